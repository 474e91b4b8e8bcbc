"""The summary of a run: the keys that `--json` prints, and that the report and comparisons read. Both modes have the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from priomon_results import prototype
from priomon_results.bound import lower_bound
from priomon_results.classes import alarm_delays, present, spread_by_class
from priomon_results.histogram import Histogram
from priomon_results.observer import Observer, Traffic
from priomon_results.spread import SHARES

Summary = dict[str, Any]
QUANTILES = {"p50": 0.5, "p99": 0.99}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What a run's observer does not know: what was run, and what its driver counted up to its end.

    `period` is the gossip period and `now` the length of the run (ns); `lost` datagrams by cause; `faults` how many there were, and
    `detects` whether nodes judge each other.
    `events` and `trace_hash` are the simulator's: real time has none. `examination` is what checkers said of a live run's history.
    """

    scenario: str
    seed: int
    nodes: int
    strategy: str
    period: int
    now: int
    traffic: Traffic
    lost: Mapping[str, int]
    faults: int = 0
    detects: bool = False
    examination: Mapping[str, Any] | None = None
    events: int | None = None
    trace_hash: str = ""


def summarise(observer: Observer, ending: Ending) -> Summary:
    """What a run came to. Times are seconds of the run's clock; None stands for what did not happen or was not measured.

    Rates are per node and second in which it ran; `detection` is as `Verdicts.summary` says, None if nodes do not judge each other;
    `queries` as `QueryTotals.summary` says.
    """
    seconds, traffic = ending.now / 1e9, ending.traffic
    converged = observer.converged_at
    lived = ending.nodes * seconds - (0 if observer.verdicts is None else observer.verdicts.lost(ending.now) / 1e9)
    per_node_second = 1 / lived if lived else math.nan
    needed = traffic.published * (ending.nodes - 1)
    names = [metric.name for metric in observer.metrics]
    spread = {f"t{share * 100:g}": _or_none(observer.spread.median(share)) for share in SHARES}
    return {
        "scenario": ending.scenario,
        "seed": ending.seed,
        "nodes": ending.nodes,
        "strategy": ending.strategy,
        "trace_hash": ending.trace_hash,
        "virtual_seconds": seconds,
        "events": ending.events,
        "convergence_seconds": None if converged is None else converged / 1e9,
        "convergence_rounds": None if converged is None else converged / ending.period,
        "coverage_final": observer.total.coverage,
        "bytes_per_node_per_second": _or_none(sum(traffic.bytes_sent) * per_node_second),
        "messages_per_node_per_second": _or_none(traffic.messages_sent * per_node_second),
        "lower_bound_bytes_per_node_per_second": _lower_bound(observer, ending, seconds),
        "prototype_bytes_per_node_per_second": prototype.in_json(ending.nodes, ending.period),
        "prototype_in_our_codec_bytes_per_node_per_second": _prototype_in_our_codec(observer, ending),
        "redundancy": traffic.delivered / needed if needed else None,
        "lag_seconds": _quantiles(observer.total.lag, with_maximum=True),
        "age_seconds": _quantiles(observer.total.age),
        "error_in_bounds": _by_metric(names, observer.total.bounds),
        "settled_error_in_bounds": _by_metric(names, observer.total.settled),
        "error": _by_metric(names, observer.total.units),
        "published": {name: traffic.samples[name][0] for name in names},
        "filtered": {name: traffic.samples[name][1] for name in names},
        "dissemination_seconds": spread,
        **_classes(observer),
        "lost": dict(ending.lost),
        "faults": ending.faults,
        "detection": observer.verdicts.summary(ending.period) if observer.verdicts is not None and ending.detects else None,
        "queries": observer.queries.summary(),
        "examination": ending.examination,
        "saving_vs_baseline": None,
    }


def saving(summary: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, Any] | None:
    """How many times fewer bytes a run sent than its baseline, with the baseline's accuracy beside it."""
    if not summary["bytes_per_node_per_second"]:
        return None
    return {
        "scenario": baseline["scenario"],
        "bytes_ratio": baseline["bytes_per_node_per_second"] / summary["bytes_per_node_per_second"],
        **{key: baseline[key] for key in ("bytes_per_node_per_second", "lag_seconds", "age_seconds", "error_in_bounds")},
    }


def _lower_bound(observer: Observer, ending: Ending, seconds: float) -> float | None:
    if observer.publications is None or not seconds:
        return None
    return lower_bound(observer.publications, observer.metrics, ending.nodes, seconds)


def _prototype_in_our_codec(observer: Observer, ending: Ending) -> float | None:
    if observer.publications is None:
        return None
    return prototype.in_our_codec(observer.publications, observer.metrics, ending.nodes, ending.period)


def _classes(observer: Observer) -> Summary:
    """Lag and dissemination by priority class where there are several, and the delays of alarms where metrics have some."""
    publications, metrics, spreads = observer.publications, observer.metrics, observer.spread.all()
    several = publications is not None and len(present(metrics)) > 1
    alarms = publications is not None and any(metric.alarm is not None for metric in metrics)
    lags = {priority.name.lower(): _quantiles(lag, with_maximum=True) for priority, lag in observer.total.classes.items()}
    return {
        "lag_seconds_by_class": lags if several else None,
        "dissemination_seconds_by_class": spread_by_class(spreads, publications, metrics) if publications and several else None,
        "alarm_seconds": alarm_delays(spreads, publications, metrics) if publications and alarms else None,
    }


def _by_metric(names: Sequence[str], histograms: Sequence[Histogram]) -> dict[str, dict[str, float | None]]:
    return {name: _quantiles(histogram, with_maximum=True) for name, histogram in zip(names, histograms, strict=True)}


def _quantiles(histogram: Histogram, with_maximum: bool = False) -> dict[str, float | None]:
    values = {name: _or_none(histogram.quantile(share)) for name, share in QUANTILES.items()}
    return values | ({"max": _or_none(histogram.maximum)} if with_maximum else {})


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
