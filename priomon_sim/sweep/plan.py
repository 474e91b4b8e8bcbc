"""From the `sweep` of a scenario to the runs that it asks for. Everything that is wrong with it is told before the first of them starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from priomon_core.errors import SettingError
from priomon_sim.experiment import COMPARABLE
from priomon_sim.scenario import sweep as scenario_sweep
from priomon_sim.scenario.document import Scenario, checked, opened
from priomon_sim.scenario.problems import Problem, ScenarioError, show
from priomon_sim.scenario.yaml_source import Place, Source, YamlPath
from priomon_sim.sweep import space as sweep_space
from priomon_sim.sweep.space import Assignment, Draw, Entry, Space
from priomon_sim.sweep.values import between, plain
from priomon_sim.sweep.where import condition

MOST_RUNS = 1_000_000  # without --limit
SAMPLE_SEED = 1  # of the points that --limit leaves
NOT_VARIED = {
    "seed": "the seeds of a sweep follow from its key `seeds`",
    "sweep": "a sweep does not vary itself",
    "name": "it changes no run",
}
AT: YamlPath = ("sweep",)


@dataclass(frozen=True, slots=True)
class Base:
    """The scenario that all points are variants of, as it was written, and where files that it names are sought from."""

    source: Source
    folder: Path

    def variant(self, assignment: Mapping[str, Entry], seed: int) -> Scenario:
        """The scenario with other values. Raises `ScenarioError`, at the places where these were written."""
        source = Source(deepcopy(self.source.data), dict(self.source.keys), dict(self.source.values))
        for path, entry in assignment.items():
            source.put(tuple(path.split(".")), deepcopy(entry.value), entry.key, entry.place)
        source.data["seed"] = seed
        return checked(source, self.folder)


@dataclass(frozen=True, slots=True)
class Point:
    """One combination of values. Points count from 1, baselines after them; `baseline` is the number of the one to compare with.

    It is run with the first `seeds` of the plan's seeds, or with all of them.
    """

    number: int
    assignment: Assignment
    is_baseline: bool = False
    baseline: int | None = None
    seeds: int | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The values as they would stand in a scenario."""
        return {path: entry.value for path, entry in self.assignment.items()}

    def __str__(self) -> str:
        return ", ".join(f"{path}={entry.value}" for path, entry in self.assignment.items())


@dataclass(frozen=True, slots=True)
class Plan:
    """All points of a sweep, the baselines last; each is run once with each of its seeds."""

    base: Base
    scenario: Scenario
    sweep: scenario_sweep.Sweep
    paths: tuple[str, ...]
    points: list[Point]
    seeds: range

    def runs(self) -> Iterator[tuple[Point, int]]:
        """Every point with every seed of it: all with the first one, then all with the second."""
        for index, seed in enumerate(self.seeds):
            yield from ((point, seed) for point in self.points if point.seeds is None or index < point.seeds)

    def units(self) -> dict[str, str]:
        """The unit of every setting that varies, as in tables: s, B/s, B or none."""
        units = dict.fromkeys(self.paths, "")
        for point in self.points:
            for path in self.paths:
                if path in point.assignment and not units[path]:
                    units[path] = plain(point.assignment[path].value)[1]
        return units


def plan(path: Path, overrides: Sequence[tuple[str, str]] = (), limit: int | None = None) -> Plan:
    """The plan of the scenario file at `path`, after `--set` pairs; of its points at most `limit`, drawn evenly.

    Raises `ScenarioError` with everything that is wrong.
    """
    source, problems = opened(path, overrides)
    scenario = checked(source, path.parent, problems)
    sweep = scenario.sweep
    if sweep is None:
        place = source.place(())
        raise ScenarioError([place.problem((), "the scenario has no sweep; expected one such as 'sweep: {grid: {gossip.fanout: [1, 2]}}'")])
    whole = _Reader(source).read(sweep)
    base = base_of(source, path.parent)
    chosen = [completed(assignment, whole.paths, scenario) for assignment in _chosen(whole, sweep, source, limit)]
    points = _with_baselines([*{_key(assignment): assignment for assignment in chosen}.values()], sweep, source)
    made = Plan(base, scenario, sweep, whole.paths, points, range(scenario.seed, scenario.seed + sweep.seeds))
    _check(made)
    return made


def base_of(source: Source, folder: Path) -> Base:
    """What the points of a scenario are variants of: the scenario without its `sweep`."""
    return Base(Source({key: value for key, value in source.data.items() if key != "sweep"}, source.keys, source.values), folder)


def _chosen(space: Space, sweep: scenario_sweep.Sweep, source: Source, limit: int | None) -> list[Assignment]:
    """The assignments that are neither skipped nor beyond the limit, in their order."""
    place = source.place((*AT, "skip_where"))

    def refused(message: str) -> ScenarioError:
        return ScenarioError([place.problem((*AT, "skip_where"), message)])

    try:
        skipped = condition(sweep.skip_where, space.paths) if sweep.skip_where.strip() else None
    except SettingError as error:
        raise refused(str(error)) from None
    runs = space.size * sweep.seeds
    if limit is None and runs > MOST_RUNS:
        message = f"found {space.size:,} points with {sweep.seeds:,} seeds each, expected at most {MOST_RUNS:,} runs, or --limit"
        raise ScenarioError([source.place(AT).problem(AT, message)])
    few = space.size <= MOST_RUNS  # so few that a limit can apply to what is left of all, instead of to what is looked at
    indices: Sequence[int] = range(space.size)
    if limit is not None and not few:
        indices = sorted(Random(SAMPLE_SEED).sample(indices, limit))
    try:
        kept = [
            assignment
            for assignment in map(space.at, indices)
            if skipped is None or not skipped({path: plain(entry.value)[0] for path, entry in assignment.items()})
        ]
    except SettingError as error:
        raise refused(str(error)) from None
    if not kept:
        raise refused(f"all {len(indices):,} points are skipped, expected some to be left")
    if limit is not None and len(kept) > limit:
        kept = [kept[index] for index in sorted(Random(SAMPLE_SEED).sample(range(len(kept)), limit))]
    return kept


def completed(assignment: Assignment, paths: Sequence[str], scenario: Scenario) -> Assignment:
    """With the scenario's own values of settings that only other points change, so that tables have no holes."""
    missing = [path for path in paths if path not in assignment]
    settings = scenario.dump() if missing else {}
    here = Place("sweep")
    known = {path: Entry(value, here, here) for path in missing if (value := _find(settings, path.split("."))) is not None}
    whole = known | assignment
    return {path: whole[path] for path in paths if path in whole}


def _find(settings: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        settings = settings.get(step) if isinstance(settings, Mapping) else None
    return settings


def _with_baselines(chosen: Sequence[Assignment], sweep: scenario_sweep.Sweep, source: Source) -> list[Point]:
    """Numbered points, then the baselines: one for each combination of nodes, network and workload among the points."""
    if sweep.baseline is None:
        return [Point(number, assignment) for number, assignment in enumerate(chosen, 1)]
    at = (*AT, "baseline")
    settings = {path: Entry(value, *_places(source, (*at, path))) for path, value in sweep.baseline.items()}
    numbers = {_key(assignment): number for number, assignment in enumerate(chosen, 1)}
    points: list[Point] = []
    baselines: list[Point] = []
    for number, assignment in enumerate(chosen, 1):
        load = {path: entry for path, entry in assignment.items() if path.partition(".")[0] in COMPARABLE} | settings
        baseline = numbers.setdefault(_key(load), len(numbers) + 1)
        if baseline > len(chosen) + len(baselines):
            baselines.append(Point(baseline, load, is_baseline=True))
        points.append(Point(number, assignment, baseline=baseline))
    return points + baselines


def _key(assignment: Assignment) -> frozenset[tuple[str, str]]:
    """What makes two assignments the same."""
    return frozenset((path, repr(entry.value)) for path, entry in assignment.items())


def _check(made: Plan) -> None:
    """Raises `ScenarioError` for points that cannot be run, looking at as few as meet every value once."""
    seen: set[tuple[str, Place, str]] = set()
    problems: dict[tuple[str, int, int, str], Problem] = {}
    for point in made.points:
        values = {(path, entry.place, repr(entry.value)) for path, entry in point.assignment.items()}
        if values <= seen:
            continue
        seen |= values
        try:
            made.base.variant(point.assignment, made.scenario.seed)
        except ScenarioError as error:
            for problem in error.problems:
                told = Problem(problem.file, problem.line, problem.column, problem.path, f"{problem.message} (in the point {point})")
                problems.setdefault((problem.file, problem.line, problem.column, problem.message), told)
    if problems:
        raise ScenarioError(problems.values())


def _places(source: Source, path: YamlPath) -> tuple[Place, Place]:
    return source.place(path, key=True), source.place(path)


@dataclass(slots=True)
class _Reader:
    """Turns the parts of a sweep into a space and notes all that is wrong with them."""

    source: Source
    problems: list[Problem] = field(default_factory=list)

    def read(self, sweep: scenario_sweep.Sweep) -> Space:
        """The space of the whole sweep. Raises `ScenarioError`."""
        space = self._space(sweep, AT)
        for path in sweep.baseline or {}:
            self._may_vary(path, (*AT, "baseline", path))
        if self.problems:
            raise ScenarioError(self.problems)
        return space

    def _space(self, parts: scenario_sweep.Space, at: YamlPath) -> Space:
        spaces = [self._axis(path, axis, (*at, "grid", path)) for path, axis in parts.grid.items()]
        if parts.together:
            spaces.append(self._zip(parts.together, (*at, "zip")))
        if parts.listed:
            spaces.append(self._list(parts.listed, (*at, "list")))
        for name, points in (("random", parts.random), ("latin", parts.latin)):
            if points is not None:
                spaces.append(self._drawn(points, (*at, name), latin=name == "latin"))
        if parts.either:
            spaces.append(sweep_space.union([self._space(one, (*at, "either", index)) for index, one in enumerate(parts.either)]))
        if not spaces:
            self._wrong(at, "found nothing to vary, expected grid, zip, list, random, latin or either")
            return sweep_space.listed([{}])
        self._apart(spaces, at)
        return sweep_space.product(spaces)

    def _wrong(self, path: YamlPath, message: str) -> None:
        key, _ = _places(self.source, path)
        self.problems.append(key.problem(path, message))

    def _apart(self, spaces: Sequence[Space], at: YamlPath) -> None:
        """Two parts that are combined cannot both decide the same setting, or a setting and the mapping around it."""
        owners = [(path, number) for number, space in enumerate(spaces) for path in space.paths]
        for index, (path, owner) in enumerate(owners):
            for other, another in owners[:index]:
                if path == other and owner != another:
                    self._wrong(at, f"{path} is varied by two parts that are combined, expected it in one of them")
                elif path.startswith(f"{other}.") or other.startswith(f"{path}."):
                    self._wrong(
                        at, f"{min(path, other, key=len)} and {max(path, other, key=len)} decide the same setting, expected one of them"
                    )

    def _may_vary(self, path: str, at: YamlPath) -> None:
        first = path.partition(".")[0]
        if not all(path.split(".")):
            self._wrong(at, f"found {show(path)}, expected keys joined by dots, such as gossip.fanout")
        elif first in NOT_VARIED:
            self._wrong(at, f"cannot be varied: {NOT_VARIED[first]}")

    def _entries(self, path: str, axis: scenario_sweep.Axis, at: YamlPath) -> list[Entry]:
        """The values of an axis, in order."""
        self._may_vary(path, at)
        key, place = _places(self.source, at)
        if self._is_range(axis, at):
            if axis.points is None:
                self._wrong(at, "found a range without points, expected how many values it has")
                return []
            value = self._between(axis, at)
            steps = axis.points - 1
            return [Entry(each, key, place) for each in dict.fromkeys(value(step / steps) for step in range(axis.points))] if value else []
        seen: set[tuple[Any, str]] = set()
        for index, value in enumerate(axis.values):
            if plain(value) in seen:
                self._wrong((*at, index), f"found {show(value)} twice, expected every value once")
            seen.add(plain(value))
        if not axis.values:
            self._wrong(at, "found no values, expected at least one")
        return [Entry(value, key, self._place_of(at, index)) for index, value in enumerate(axis.values)]

    def _place_of(self, at: YamlPath, index: int) -> Place:
        """Where a value of a list was written, with or without the key `values`."""
        inner = (*at, "values", index)
        return self.source.place(inner if inner in self.source.values else (*at, index))

    def _is_range(self, axis: scenario_sweep.Axis, at: YamlPath) -> bool:
        is_range = (axis.start, axis.stop) != ("", "")
        if axis.values and (is_range or axis.points is not None):
            self._wrong(at, "found values and a range, expected one of them")
            return False
        return is_range

    def _between(self, axis: scenario_sweep.Axis, at: YamlPath) -> Callable[[float], Any] | None:
        try:
            return between(axis.start, axis.stop, axis.scale)
        except SettingError as error:
            self._wrong(at, str(error))
            return None

    def _axis(self, path: str, axis: scenario_sweep.Axis, at: YamlPath) -> Space:
        return sweep_space.axis(path, self._entries(path, axis, at))

    def _zip(self, axes: Mapping[str, scenario_sweep.Axis], at: YamlPath) -> Space:
        spaces = [self._axis(path, axis, (*at, path)) for path, axis in axes.items()]
        sizes = {space.paths[0]: space.size for space in spaces}
        if len({*sizes.values()}) > 1 and all(sizes.values()):
            given = ", ".join(f"{path} has {size}" for path, size in sizes.items())
            self._wrong(at, f"found lists of several lengths ({given}), expected as many values of each")
        return sweep_space.together(spaces)

    def _list(self, points: Sequence[Mapping[str, Any]], at: YamlPath) -> Space:
        assignments = []
        for index, point in enumerate(points):
            if not point:
                self._wrong((*at, index), "found an empty point, expected values such as {gossip.fanout: 2}")
            for path in point:
                self._may_vary(path, (*at, index, path))
            assignments.append({path: Entry(value, *_places(self.source, (*at, index, path))) for path, value in point.items()})
        return sweep_space.listed(assignments)

    def _drawn(self, points: scenario_sweep.Drawn, at: YamlPath, *, latin: bool) -> Space:
        draws = dict(self._draws(points.over, (*at, "over")))
        return sweep_space.drawn(draws, points.points, points.seed, latin=latin)

    def _draws(self, axes: Mapping[str, scenario_sweep.Axis], at: YamlPath) -> Iterator[tuple[str, Draw]]:
        """How to draw from each axis: from a range anywhere, from a list each value alike. What is wrong is noted and left out."""
        for path, axis in axes.items():
            place = (*at, path)
            if not self._is_range(axis, place):
                if entries := self._entries(path, axis, place):
                    yield path, partial(_choose, entries)
                continue
            self._may_vary(path, place)
            if axis.points is not None:
                self._wrong(place, f"found {axis.points} points of a range to draw from, expected none: the part says how many are drawn")
            if value := self._between(axis, place):
                yield path, partial(_measure_out, value, *_places(self.source, place))


def _choose(entries: Sequence[Entry], share: float) -> Entry:
    return entries[int(share * len(entries))]


def _measure_out(value: Callable[[float], Any], key: Place, place: Place, share: float) -> Entry:
    return Entry(value(share), key, place)
