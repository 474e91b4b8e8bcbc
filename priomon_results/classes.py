"""What each priority class gets: how fast its updates spread, and how late alarms are heard."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from priomon_core.metrics import STEPS_PER_BOUND, Metric, Priority
from priomon_results.measures import Publications
from priomon_results.spread import SHARES, Spread

QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


def present(metrics: Sequence[Metric]) -> list[Priority]:
    """The classes that a run has, the most urgent first."""
    return sorted({metric.priority for metric in metrics})


def spread_by_class(spreads: Iterable[Spread], publications: Publications, metrics: Sequence[Metric]) -> dict[str, dict[str, float | None]]:
    """Median seconds until 50, 99 and 100 % of the nodes held an update, by the most urgent class among its changed metrics."""
    times: dict[Priority, list[list[float]]] = {priority: [] for priority in present(metrics)}
    for spread in spreads:
        changed = publications.last_change[spread.origin, spread.version] == spread.version
        priority = min((metric.priority for metric, new in zip(metrics, changed, strict=True) if new), default=None)
        if priority is not None:
            times[priority].append(spread.reached)
    return {
        priority.name.lower(): {f"t{share * 100:g}": quantile([each[i] for each in reached], 0.5) for i, share in enumerate(SHARES)}
        for priority, reached in times.items()
    }


def alarm_delays(spreads: Iterable[Spread], publications: Publications, metrics: Sequence[Metric]) -> dict[str, float | None]:
    """Seconds from a published crossing of an alarm until 99 % of the nodes held it, and how many crossings were followed."""
    crossings = _crossings(publications, metrics)
    delays = [spread.reached[SHARES.index(0.99)] for spread in spreads if crossings[spread.origin, spread.version]]
    return {"count": len(delays), **{name: quantile(delays, share) for name, share in QUANTILES.items()}}


def _crossings(publications: Publications, metrics: Sequence[Metric]) -> NDArray[np.bool_]:
    """Which publications took a metric to the other side of its alarm: bool [origins, depth]."""
    crossed = np.zeros(publications.levels.shape[:2], np.bool_)
    for index, metric in enumerate(metrics):
        if metric.alarm is not None:
            above = publications.levels[:, :, index] / STEPS_PER_BOUND >= metric.position(metric.alarm)
            known = publications.last_change[:, 1:-1, index] > 0
            crossed[:, 2:] |= (above[:, 2:] != above[:, 1:-1]) & known
    return crossed


def quantile(times: Sequence[float], share: float) -> float | None:
    """The time that `share` of them do not exceed, where nan is later than all; None if that is such a one, or there are none."""
    ordered = sorted(math.inf if math.isnan(time) else time for time in times)
    value = ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else math.inf
    return value if math.isfinite(value) else None
