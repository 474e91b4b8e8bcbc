"""What a look at all nodes says: coverage, lag, age and error, as docs/validation.md defines them.

All of it follows from one count: how many observers hold which version of each origin. Lag, age and error of a pair depend on (origin,
version) alone, so they are worked out once per version and weighted by the count; a million pairs cost one pass of counting. The
simulator and live runs use this same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from priomon_core.metrics import STEPS_PER_BOUND, Metric, Priority
from priomon_results.histogram import Histogram

Versions = NDArray[np.unsignedinteger | np.int64]
CHUNK = 1 << 22  # pairs counted at once


@dataclass(frozen=True, slots=True)
class Publications:
    """What origins have published: `times` int64 [origins, depth] (ns), `last_change` and `levels` [origins, depth, metrics].

    `newest` int64 [origins] is each origin's newest version; version 0 means nothing, and lines past the newest mean nothing either.
    """

    newest: NDArray[np.int64]
    times: NDArray[np.int64]
    last_change: NDArray[np.unsignedinteger | np.int64]
    levels: NDArray[np.int64]

    def of(self, origins: NDArray[np.int64]) -> Publications:
        """Those of some origins, given by their indexes."""
        return Publications(self.newest[origins], self.times[origins], self.last_change[origins], self.levels[origins])


@dataclass(slots=True)
class Measures:
    """Distributions over pairs of different nodes: lag and age in seconds, and per metric the error in bounds and in its unit.

    `classes` are the lags again, counting only updates of one priority class each, from the most urgent on that the metrics have.
    `settled` is the error in bounds of the pairs that lack no publication: what the filter alone costs, without what is under way.
    """

    coverage: float = 0.0
    lag: Histogram = field(default_factory=Histogram)
    classes: dict[Priority, Histogram] = field(default_factory=dict)
    age: Histogram = field(default_factory=Histogram)
    bounds: list[Histogram] = field(default_factory=list)
    settled: list[Histogram] = field(default_factory=list)
    units: list[Histogram] = field(default_factory=list)

    @staticmethod
    def blank(metrics: int) -> Measures:
        """Measures of nothing, to which looks can be added."""
        bounds, settled, units = ([Histogram() for _ in range(metrics)] for _ in range(3))
        return Measures(bounds=bounds, settled=settled, units=units)

    def add(self, look: Measures) -> None:
        """Add another look's distributions; coverage becomes that look's."""
        self.coverage = look.coverage
        self.lag.merge(look.lag)
        for priority, lag in look.classes.items():
            self.classes.setdefault(priority, Histogram()).merge(lag)
        self.age.merge(look.age)
        for mine, theirs in zip(self.bounds + self.settled + self.units, look.bounds + look.settled + look.units, strict=True):
            mine.merge(theirs)


def count_holders(versions: Versions, depth: int) -> NDArray[np.int64]:
    """How many observers other than the origin hold each version: int64 [origins, depth] from [observers, origins].

    Observers and origins are the same nodes in the same order.
    """
    nodes = versions.shape[1]
    base = np.arange(nodes, dtype=np.int64) * depth
    counts = np.zeros(nodes * depth, np.int64)
    rows = max(1, CHUNK // nodes)
    for first in range(0, len(versions), rows):
        counts += np.bincount((versions[first : first + rows] + base).ravel(), minlength=nodes * depth)
    own = base + np.diagonal(versions)
    counts[own] -= 1
    return counts.reshape(nodes, depth)


def measure(versions: Versions, publications: Publications, truth: NDArray[np.float64], metrics: Sequence[Metric], now: int) -> Measures:
    """One look at `now` (ns). `truth` float64 [nodes, metrics] holds the newest samples, nan where there is none.

    A pair without knowledge has no age and no error; its lag runs from the origin's first publication. Fewer than two nodes are no
    pair, and nothing is counted.
    """
    if len(versions) < 2:
        return Measures.blank(len(metrics))
    deepest = int(publications.newest.max(initial=0)) + 1
    holders = count_holders(versions, deepest)
    look = Measures.blank(len(metrics))
    nodes = len(versions)
    known = holders[:, 1:]
    look.coverage = float(known.sum() / (nodes * (nodes - 1)))
    times = publications.times[:, :deepest]
    lag = np.zeros(holders.shape)
    lag[:, :-1] = (now - times[:, 1:]) / 1e9  # the oldest publication that is lacking is the one after the version held
    behind = np.arange(deepest) < publications.newest[:, None]
    lag[~behind] = 0.0
    pairs = np.where(publications.newest[:, None] > 0, holders, 0)
    look.lag.add(lag, pairs)
    for priority in sorted({metric.priority for metric in metrics}):
        of_class = [index for index, metric in enumerate(metrics) if metric.priority == priority]
        look.classes[priority] = Histogram()
        look.classes[priority].add(_lag_of(of_class, publications, deepest, now), pairs)
    for index, metric in enumerate(metrics):
        changed = publications.last_change[:, 1:deepest, index].astype(np.int64)
        published = changed > 0
        weights = np.where(published, known, 0)
        look.age.add((now - np.take_along_axis(times, changed, axis=1)) / 1e9, weights)
        levels = publications.levels[:, 1:deepest, index]
        weights = np.where(np.isfinite(truth[:, index])[:, None], weights, 0)
        positions = _positions(metric, truth[:, index])
        errors = np.abs(positions[:, None] - levels / STEPS_PER_BOUND)
        look.bounds[index].add(errors, weights)
        look.settled[index].add(errors, np.where(behind[:, 1:], 0, weights))
        look.units[index].add(np.abs(truth[:, index][:, None] - _values(metric, levels)), weights)
    return look


def _lag_of(metrics: Sequence[int], publications: Publications, deepest: int, now: int) -> NDArray[np.float64]:
    """Seconds since the oldest publication after each version that changed one of some metrics, else 0: float64 [origins, deepest]."""
    versions = np.arange(deepest)
    changed = (publications.last_change[:, :deepest, metrics] == versions[:, None]).any(axis=2)
    changed &= (versions > 0) & (versions <= publications.newest[:, None])
    times = np.where(changed, publications.times[:, :deepest], now)
    oldest = np.full(times.shape, now)  # among the versions after
    oldest[:, :-1] = np.minimum.accumulate(times[:, :0:-1], axis=1)[:, ::-1]
    return np.asarray((now - oldest) / 1e9)


def _positions(metric: Metric, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`Metric.position` of many values."""
    if metric.scale == "log":
        return np.asarray(np.log(np.maximum(values, metric.floor) / metric.floor) / np.log(metric.bound))
    return values / metric.bound


def _values(metric: Metric, levels: NDArray[np.int64]) -> NDArray[np.float64]:
    """`Metric.value` of many levels."""
    positions = levels / STEPS_PER_BOUND
    return np.asarray(metric.floor * metric.bound**positions if metric.scale == "log" else positions * metric.bound)
