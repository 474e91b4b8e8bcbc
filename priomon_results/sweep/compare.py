"""Two sweeps of the same points side by side: which measures differ by more than chance explains, and at which points.

Runs are paired by point and seed, since both met the same network and workload. A difference is relative to the mean of the pair. Its
noise is the spread of the differences between the seeds of a point, pooled over all points: a mean over `n` pairs exceeds noise when it
is more than three standard errors from zero. With one seed per point the noise is unknown, and every difference is shown.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from priomon_results.compare import CompareError
from priomon_results.store import Store
from priomon_results.sweep.store import Sweep, find_sweep

STANDARD_ERRORS = 3.0
SMALLEST = 1e-9  # relative differences below are rounding
EVERYWHERE = "all points"

Values = Mapping[tuple[str, str, int], float | None]  # by measure, axes and seed; None for what was never reached


@dataclass(frozen=True, slots=True)
class Difference:
    """How a measure differs at a point (or at all of them): means of both sides, and the mean relative difference of `pairs` runs.

    `limit` is what chance explains, None where that is unknown. `never` counts the runs that came to a value on one side only.
    """

    measure: str
    point: str
    a: float
    b: float
    pairs: int
    relative: float
    limit: float | None
    never: int

    @property
    def exceeds(self) -> bool:
        """Whether it is more than chance explains."""
        return self.never > 0 or abs(self.relative) > max(self.limit or 0.0, SMALLEST)


@dataclass(frozen=True, slots=True)
class SweepComparison:
    """Both sweeps, the number of points and runs they share, and all differences: of the whole first, then point by point."""

    a: Sweep
    b: Sweep
    points: int
    runs: int
    differences: list[Difference]


def holds_sweeps(store: Store) -> bool:
    """Whether a store is that of a sweep. Raises `StoreError`."""
    return bool(store.query("SELECT 1 FROM sweep LIMIT 1"))


def compare_sweeps(first: Store, second: Store) -> SweepComparison:
    """Compare the sweeps that were begun last in two stores. Raises `CompareError` if they share no runs, `SweepError`, `StoreError`."""
    a, b = find_sweep(first), find_sweep(second)
    ours, theirs = _values(first, a.id), _values(second, b.id)
    shared = ours.keys() & theirs.keys()
    if not shared:
        raise CompareError(
            f"{first.path} and {second.path}: the sweeps share no point and seed (they vary {', '.join(a.units)} and {', '.join(b.units)});"
            " compare sweeps of the same points"
        )
    differences = []
    for measure in dict.fromkeys(key[0] for key in ours):
        mine: dict[str, list[tuple[float | None, float | None]]] = defaultdict(list)
        for key in ours:
            if key[0] == measure and key in shared:
                mine[key[1]].append((ours[key], theirs[key]))
        differences += _of_measure(measure, mine)
    differences.sort(key=lambda difference: difference.point != EVERYWHERE)
    return SweepComparison(a, b, len({key[1] for key in shared}), len({key[1:] for key in shared}), differences)


def _values(store: Store, sweep: int) -> Values:
    rows = store.query("SELECT measure, axes, seed, value FROM point_measure WHERE sweep = ? ORDER BY number, seed, measure", sweep)
    return {(measure, axes, seed): value for measure, axes, seed, value in rows}


def _of_measure(measure: str, points: Mapping[str, list[tuple[float | None, float | None]]]) -> list[Difference]:
    """The difference over all points, then that of each."""
    relative = {point: [_relative(a, b) for a, b in pairs if a is not None and b is not None] for point, pairs in points.items()}
    noise = _pooled(list(relative.values()))
    every = [pair for pairs in points.values() for pair in pairs]
    whole = _difference(measure, EVERYWHERE, every, [one for own in relative.values() for one in own], noise)
    return [whole, *(_difference(measure, point, points[point], own, noise) for point, own in relative.items())]


def _difference(
    measure: str, point: str, pairs: list[tuple[float | None, float | None]], relative: list[float], noise: float | None
) -> Difference:
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    never = sum((a is None) != (b is None) for a, b in pairs)
    if not both:
        return Difference(measure, point, math.nan, math.nan, 0, 0.0, noise, never)
    limit = None if noise is None else STANDARD_ERRORS * noise / math.sqrt(len(both))
    return Difference(measure, point, fmean(a for a, _ in both), fmean(b for _, b in both), len(both), fmean(relative), limit, never)


def _relative(a: float, b: float) -> float:
    middle = (abs(a) + abs(b)) / 2
    return (b - a) / middle if middle else 0.0


def _pooled(groups: list[list[float]]) -> float | None:
    """The standard deviation inside groups, pooled; None if no group has two values."""
    spare = sum(len(group) - 1 for group in groups if len(group) > 1)
    if not spare:
        return None
    squares = sum(sum((value - fmean(group)) ** 2 for value in group) for group in groups if len(group) > 1)
    return math.sqrt(squares / spare)
