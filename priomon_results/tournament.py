"""A tournament: the strategies of a sweep beside each other in every setting that it has, and which of them wins, by a rule.

A *setting* is a point without its strategy: so many nodes, so much loss, this workload. Of the strategies that hold the goal in a setting,
the one that sends the fewest bytes wins it. A default has to hold the goal in every setting. Of the strategies that do, it is the one with
the least *excess*: its bytes over the fewest with which any strategy held the goal there, as the geometric mean over the settings.

All figures are medians over the seeds. Points that publish every sample (`filter: none`) take no part: where a sweep varies the filter,
they tell how many bytes the filter saves their strategy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, log

from priomon_results.sweep.store import SweepError
from priomon_results.sweep.table import Key, Row, SweepTable, Value

STRATEGY, FILTER, UNFILTERED = "gossip.strategy", "filter", "none"
BYTES, LAG, BOUND = "bytes per node", "lag p99", "lower bound"

Figures = Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class Goal:
    """The largest value (in `unit`) of a measure with which a strategy is good enough."""

    measure: str
    limit: float
    unit: str

    def holds(self, figures: Figures) -> bool:
        """Whether the median over the seeds is within the limit; a measure that was never reached, or is not there, is not."""
        row = figures.get(self.measure)
        return row is not None and row.median is not None and row.median <= self.limit

    def __str__(self) -> str:
        return f"{self.measure} at most {self.limit:g} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Entry:
    """A strategy in a setting: its figures by measure, those of the same without a filter (None: not in the sweep), and missed goals."""

    strategy: str
    setting: Key
    figures: Figures
    unfiltered: Figures | None
    missed: tuple[str, ...]

    @property
    def bytes(self) -> float:
        """Bytes per node and second; infinite if there is no such figure."""
        return _median(self.figures, BYTES)

    @property
    def filter_saving(self) -> float | None:
        """Bytes without the filter over bytes with it."""
        return None if self.unfiltered is None else _median(self.unfiltered, BYTES) / self.bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """What a strategy came to: in how many settings it held the goal, how many it won, and its excess where it held (inf: nowhere)."""

    strategy: str
    held: int
    won: int
    excess: float


@dataclass(frozen=True, slots=True)
class Tournament:
    """See the top of this file. `paths` name what a setting is made of; entries are in the order of settings, then of strategies.

    `baselines` are the figures of the sweep's baseline, by settings in which None stands for what it does not depend on.
    """

    table: SweepTable
    goals: tuple[Goal, ...]
    paths: tuple[str, ...]
    entries: tuple[Entry, ...]
    baselines: Mapping[tuple[Value | None, ...], Figures]

    @property
    def settings(self) -> list[Key]:
        """All settings."""
        return list(dict.fromkeys(entry.setting for entry in self.entries))

    @property
    def strategies(self) -> list[str]:
        """All strategies, as the sweep names them."""
        return list(dict.fromkeys(entry.strategy for entry in self.entries))

    def winner(self, setting: Key) -> Entry | None:
        """Who wins a setting; None if nobody holds the goal there."""
        good = [entry for entry in self.entries if entry.setting == setting and not entry.missed]
        return min(good, key=lambda entry: entry.bytes, default=None)

    def baseline(self, setting: Key) -> Figures | None:
        """The figures of the baseline in a setting, if the sweep has one."""
        matching = (key for key in self.baselines if all(a in (None, b) for a, b in zip(key, setting, strict=True)))
        return self.baselines.get(next(matching, ()))

    def standings(self) -> list[Standing]:
        """All strategies, the best one first."""
        winners = {setting: winner for setting in self.settings if (winner := self.winner(setting))}
        return sorted((self._standing(strategy, winners) for strategy in self.strategies), key=lambda one: (-one.held, one.excess))

    def default(self) -> str | None:
        """The strategy that wins the tournament; None if none holds the goal in every setting."""
        first = self.standings()[0]
        return first.strategy if first.held == len(self.settings) else None

    def _standing(self, strategy: str, winners: Mapping[Key, Entry]) -> Standing:
        own = [entry for entry in self.entries if entry.strategy == strategy]
        good = [entry for entry in own if not entry.missed]
        logs = [log(entry.bytes / winners[entry.setting].bytes) for entry in good]
        won = sum(entry is winner for entry in own for winner in winners.values())
        return Standing(strategy, len(good), won, exp(sum(logs) / len(logs)) if logs else inf)


def read_tournament(table: SweepTable, goals: Sequence[Goal]) -> Tournament:
    """The tournament that a sweep is. Raises `SweepError` if there are no two strategies with results."""
    if len(table.levels(STRATEGY)) < 2:
        raise SweepError(
            f"{table.sweep.scenario}: a tournament needs complete points of two strategies or more; expected them in the sweep, such as "
            f"'grid: {{{STRATEGY}: [scuttlebutt, tree]}}'"
        )
    paths = tuple(path for path in table.dimensions() if path not in (STRATEGY, FILTER))
    baselines: dict[tuple[Value | None, ...], dict[str, Row]] = {}
    points: dict[tuple[Key, Value, bool], dict[str, Row]] = {}
    for row in table.rows:
        if row.is_baseline:
            baselines.setdefault(tuple(row.axes.get(path) for path in paths), {})[row.measure] = row
        else:
            point = tuple(row.axes[path] for path in paths), row.axes[STRATEGY], row.axes.get(FILTER) != UNFILTERED
            points.setdefault(point, {})[row.measure] = row
    entries = [
        Entry(
            str(strategy),
            setting,
            figures,
            points.get((setting, strategy, False)),
            tuple(goal.measure for goal in goals if not goal.holds(figures)),
        )
        for (setting, strategy, filtered), figures in points.items()
        if filtered
    ]
    order = {setting: number for number, setting in enumerate(sorted({entry.setting for entry in entries}, key=_rank))}
    entries.sort(key=lambda entry: order[entry.setting])  # which keeps the order of strategies
    return Tournament(table, tuple(goals), paths, tuple(entries), baselines)


def _median(figures: Figures, measure: str) -> float:
    row = figures.get(measure)
    return inf if row is None or row.median is None else row.median


def _rank(setting: Key) -> tuple[tuple[bool, float, str], ...]:
    """By numbers in their order, then by texts."""
    return tuple((isinstance(value, str), 0.0 if isinstance(value, str) else float(value), str(value)) for value in setting)
