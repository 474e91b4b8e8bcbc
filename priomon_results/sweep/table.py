"""The tidy table of a sweep: a row per point and measure, with quartiles over the seeds; and what it says of each setting's weight."""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priomon_results.compare import quartiles
from priomon_results.store import Store
from priomon_results.sweep.store import Sweep, find_sweep

Value = float | str | bool
Key = tuple[Value, ...]

SHOWN = ("bytes per node", "lag p99", "error p99", "convergence", "99 % hold it dead", "saving")  # unless one is chosen
MOST_LEVELS = 8  # of a setting in an estimate of its weight; more values are put together by rank
ALL_REACHED = math.inf  # stands for a value that was never reached where values are ordered


@dataclass(frozen=True, slots=True)
class Row:
    """A measure at a point. `axes` are numbers in the sweep's units, or texts; quartiles are None where so many never came to it."""

    point: int
    is_baseline: bool
    axes: Mapping[str, Value]
    measure: str
    unit: str
    seeds: int
    low: float | None
    median: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Weight:
    """How much of a measure's variation between points a setting explains (`share`, 0 to 1), and the rank correlation of both.

    The correlation is None for settings that are no numbers.
    """

    measure: str
    path: str
    share: float
    correlation: float | None


@dataclass(frozen=True, slots=True)
class SweepTable:
    """A sweep with all rows of its complete points, in the order of points, then of names of measures."""

    sweep: Sweep
    rows: list[Row]

    @property
    def paths(self) -> list[str]:
        """The settings that vary, in the order of the sweep."""
        return [*self.sweep.units]

    @property
    def measures(self) -> list[str]:
        """The measures that there are."""
        return list(dict.fromkeys(row.measure for row in self.rows))

    def of(self, measure: str) -> list[Row]:
        """The rows of a measure, without baselines."""
        return [row for row in self.rows if row.measure == measure and not row.is_baseline]

    def levels(self, path: str) -> list[Value]:
        """The values that a setting takes: numbers in their order, then texts as they come."""
        found = dict.fromkeys(row.axes[path] for row in self.rows if not row.is_baseline and path in row.axes)
        return sorted(found, key=lambda value: (0, value) if is_number(value) else (1, 0.0))

    def dimensions(self) -> list[str]:
        """Settings that vary on their own: of those that always change together, the first one."""
        points = {row.point: row.axes for row in self.rows if not row.is_baseline}.values()
        kept: list[str] = []
        for path in self.paths:
            if len(self.levels(path)) > 1 and not any(_together(points, path, other) for other in kept):
                kept.append(path)
        return kept


def read_table(store: Store, number: int | None = None) -> SweepTable:
    """The table of the sweep with this id, or of the one begun last. Raises `SweepError` and `StoreError`."""
    sweep = find_sweep(store, number)
    axes: dict[str, dict[str, Value]] = {}
    rows = []
    for point, is_baseline, text, measure, unit, *figures in store.each(
        "SELECT number, is_baseline, axes, measure, unit, seeds, low, median, high FROM point_table WHERE sweep = ?"
        " ORDER BY number, measure",
        sweep.id,
    ):
        if text not in axes:
            axes[text] = json.loads(text)
        rows.append(Row(point, bool(is_baseline), axes[text], sys.intern(measure), sys.intern(unit), *figures))
    return SweepTable(sweep, rows)


def columns(table: SweepTable) -> dict[str, list[Any]]:
    """The table by columns, for files. A setting with numbers and texts becomes text."""
    result: dict[str, list[Any]] = {"point": [row.point for row in table.rows]}
    result["role"] = ["baseline" if row.is_baseline else "point" for row in table.rows]
    for path in table.paths:
        values = [row.axes.get(path) for row in table.rows]
        mixed = len({is_number(value) for value in values if value is not None}) > 1
        result[path] = [str(value) for value in values] if mixed else values
    for name in ("measure", "unit", "seeds", "low", "median", "high"):
        result[name] = [getattr(row, name) for row in table.rows]
    return result


def is_number(value: object) -> bool:
    """Whether a value can be put on a scale."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def shown(table: SweepTable) -> list[str]:
    """The main measures of a sweep, as far as they vary.

    Errors are in bounds, unless these vary themselves: then they are those of the first such metric, in its unit.
    """
    of_metric = next((path.split(".")[1] for path in table.paths if path.startswith("metrics.") and path.endswith(".bound")), None)
    names = [f"{of_metric}: {measure}" if of_metric and measure == "error p99" else measure for measure in SHOWN]
    return [name for name in names if len({row.median for row in table.of(name)} - {None}) > 1]


def grouped(rows: Iterable[Row], paths: Sequence[str]) -> dict[Key, tuple[float, float, float]]:
    """(Low, median, high) of rows of one measure by their values of `paths`: over the seeds, or over points where several are alike.

    What was never reached is nan.
    """
    members: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        if all(path in row.axes for path in paths):
            members[tuple(row.axes[path] for path in paths)].append(row)
    result = {}
    for key, alike in members.items():
        if len(alike) == 1:
            triple: tuple[float | None, ...] = (alike[0].low, alike[0].median, alike[0].high)
        else:
            over = quartiles([ALL_REACHED if row.median is None else row.median for row in alike])
            triple = (over.low, over.median, over.high)
        low, median, high = (math.nan if value is None or math.isinf(value) else value for value in triple)
        result[key] = low, median, high
    return result


def weights(table: SweepTable) -> list[Weight]:
    """How much each setting decides each measure: the heaviest first within a measure.

    The share is that of the variance between points which lies between the levels of the setting (the correlation ratio), less what
    as many levels would explain by chance (Kelley's epsilon squared). Points where the measure was never reached are left out.
    """
    found = []
    for measure in table.measures:
        rows = [row for row in table.of(measure) if row.median is not None]
        values = np.array([row.median for row in rows], dtype=float)
        if len(rows) < 3 or np.ptp(values) <= 1e-12 * np.abs(values).max():
            continue
        own = [_weight(measure, path, rows, values) for path in table.dimensions()]
        found += sorted(own, key=lambda weight: -weight.share)
    return found


def _weight(measure: str, path: str, rows: Sequence[Row], values: NDArray[np.float64]) -> Weight:
    given = [row.axes.get(path) for row in rows]
    numeric = all(map(is_number, given))
    ranks = _ranks(np.array(given, dtype=float)) if numeric else None
    _, levels = np.unique([str(value) for value in given], return_inverse=True)
    if ranks is not None and levels.max() >= MOST_LEVELS:
        levels = (ranks * MOST_LEVELS / (len(ranks) + 1e-9)).astype(int)
    counts = np.bincount(levels)
    means = np.bincount(levels, values) / np.maximum(counts, 1)
    total = float(((values - values.mean()) ** 2).sum())
    within = float(((values - means[levels]) ** 2).sum())
    used = np.count_nonzero(counts)
    spare = len(values) - used
    share = 1 - within / total * (len(values) - 1) / spare if spare > 0 else 1 - within / total
    correlation = None
    if ranks is not None and np.ptp(ranks):
        correlation = float(np.corrcoef(ranks, _ranks(values))[0, 1])
    return Weight(measure, path, min(max(share, 0.0), 1.0), correlation)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 0; equal values have their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: NDArray[np.float64] = (ends - counts + ends - 1) / 2
    return middle[inverse]


def _together(points: Iterable[Mapping[str, Value]], one: str, other: str) -> bool:
    """Whether each value of one setting belongs to one of the other, and the other way round."""
    pairs = {(point.get(one), point.get(other)) for point in points}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
