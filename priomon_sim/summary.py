"""The summary of a run: the keys that `--json` prints and the report shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from priomon_results.histogram import Histogram
from priomon_results.spread import SHARES
from priomon_sim.observer import Observer

Summary = dict[str, Any]
QUANTILES = {"p50": 0.5, "p99": 0.99}


def summarise(observer: Observer) -> Summary:
    """What a run came to. Times are seconds of virtual time; None stands for what did not happen or was not measured."""
    world, driver = observer.world, observer.world.driver
    scenario, seconds = world.scenario, driver.now / 1e9
    nodes = scenario.nodes
    counts = observer.published_and_filtered()
    converged = observer.converged_at
    per_node_second = 1 / (nodes * seconds) if seconds else math.nan
    needed = sum(driver.ledger.newest) * (nodes - 1)
    names = [metric.name for metric in world.metrics]
    spread = {f"t{share * 100:g}": _or_none(observer.spread.median(share)) for share in SHARES}
    return {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "nodes": nodes,
        "strategy": scenario.gossip.strategy,
        "trace_hash": driver.trace_hash(),
        "virtual_seconds": seconds,
        "events": driver.clock.events,
        "convergence_seconds": None if converged is None else converged / 1e9,
        "convergence_rounds": None if converged is None else converged / scenario.gossip.period,
        "coverage_final": observer.total.coverage,
        "bytes_per_node_per_second": _or_none(sum(driver.bytes_sent) * per_node_second),
        "messages_per_node_per_second": _or_none(driver.messages_sent * per_node_second),
        "redundancy": driver.delivered() / needed if needed else None,
        "lag_seconds": _quantiles(observer.total.lag, with_maximum=True),
        "age_seconds": _quantiles(observer.total.age),
        "error_in_bounds": _by_metric(names, observer.total.bounds),
        "settled_error_in_bounds": _by_metric(names, observer.total.settled),
        "error": _by_metric(names, observer.total.units),
        "published": {name: published for name, (published, _) in counts.items()},
        "filtered": {name: filtered for name, (_, filtered) in counts.items()},
        "dissemination_seconds": spread,
        "lost": dict(driver.links.lost),
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


def _by_metric(names: list[str], histograms: list[Histogram]) -> dict[str, dict[str, float | None]]:
    return {name: _quantiles(histogram, with_maximum=True) for name, histogram in zip(names, histograms, strict=True)}


def _quantiles(histogram: Histogram, with_maximum: bool = False) -> dict[str, float | None]:
    values = {name: _or_none(histogram.quantile(share)) for name, share in QUANTILES.items()}
    return values | ({"max": _or_none(histogram.maximum)} if with_maximum else {})


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
