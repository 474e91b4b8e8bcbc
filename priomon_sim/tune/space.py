"""What tuning may change, and how a choice becomes settings.

An axis is searched only where it can do what the goals ask without breaking what nobody asked to change. A bound is a promise to those who
read the values, and so is the longest silence, which says how old an unchanged value may look. Bounds are therefore searched only if a goal
limits an error, which is then counted in the bounds that the scenario asks for, and silences only if one limits the age.

How often nodes sample is no axis. Where a scenario samples once per period, the time that this makes is fixed before the search: a longer
period would else measure less, and look better for it. The same holds for the looks from which lag and error are known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

from priomon_core.errors import SettingError
from priomon_results.sweep.store import SETTLED_ERROR
from priomon_sim.goals import Goal
from priomon_sim.scenario.document import Scenario
from priomon_sim.scenario.problems import ScenarioError, unknown
from priomon_sim.scenario.units import DURATION, SECOND
from priomon_sim.scenario.workload import Trace
from priomon_sim.scenario.yaml_source import Place, Source
from priomon_sim.sweep import space as sweep_space
from priomon_sim.sweep.plan import Base
from priomon_sim.sweep.space import Assignment, Entry

FACTORS = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)  # of what the scenario says
STRATEGIES = ("scuttlebutt", "rumor", "tree")
PUSHING = ("rumor", "tree")
FANOUTS = (1, 2, 3, 4)
FLUSHES = (1, 2, 3, 4, 6, 8)
DEGREES = (3, 4, 6, 8, 12, 16)
GOLDEN = 0.618  # its multiples spread evenly over the time between two samples
HERE = Place("tune")

Candidate = tuple[int, ...]
"""The index of a choice for each axis."""


class Choice(NamedTuple):
    """A value of an axis, as tables show it, and the settings that it stands for."""

    value: Any
    settings: Assignment


@dataclass(frozen=True, slots=True)
class Axis:
    """Choices in their order; `own` is the index of what the scenario has.

    An axis matters to some strategies only, or to all of them if none is named.
    """

    name: str
    choices: tuple[Choice, ...]
    own: int
    strategies: tuple[str, ...] = ()

    @property
    def categorical(self) -> bool:
        """Whether the choices have no order."""
        return self.name == "strategy"


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """All combinations of the choices of all axes."""

    axes: tuple[Axis, ...]
    strategy: str
    """That of the scenario, where the strategy is no axis."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The settings that any choice decides."""
        return tuple(dict.fromkeys(path for axis in self.axes for choice in axis.choices for path in choice.settings))

    @property
    def own(self) -> Candidate:
        """The scenario as it is."""
        return tuple(axis.own for axis in self.axes)

    def chosen(self, candidate: Candidate) -> dict[str, Choice]:
        """The choices of a candidate by axis, without those that do not matter to its strategy."""
        all_choices = {axis.name: axis.choices[index] for axis, index in zip(self.axes, candidate, strict=True)}
        strategy = all_choices["strategy"].value if "strategy" in all_choices else self.strategy
        return {axis.name: all_choices[axis.name] for axis in self.axes if not axis.strategies or strategy in axis.strategies}

    def relevant(self, candidate: Candidate) -> Candidate:
        """The candidate with the scenario's own choices on axes that do not matter to its strategy: what stands for all that are alike."""
        names = self.chosen(candidate)
        return tuple(index if axis.name in names else axis.own for axis, index in zip(self.axes, candidate, strict=True))

    def beside(self, candidate: Candidate) -> list[Candidate]:
        """The candidates one step away: the next choice of an axis either way, or any other one where choices have no order."""
        found: dict[Candidate, None] = {}
        for place, axis in enumerate(self.axes):
            others = range(len(axis.choices)) if axis.categorical else (candidate[place] - 1, candidate[place] + 1)
            for index in others:
                if 0 <= index < len(axis.choices):
                    found[self.relevant((*candidate[:place], index, *candidate[place + 1 :]))] = None
        found.pop(candidate, None)
        return [*found]

    def settings(self, candidate: Candidate) -> Assignment:
        """What a candidate changes in the scenario."""
        return {path: entry for choice in self.chosen(candidate).values() for path, entry in choice.settings.items()}

    def bounds(self, candidate: Candidate) -> float:
        """How many times as wide as asked for the bounds of a candidate are."""
        choice = self.chosen(candidate).get("bounds")
        return 1.0 if choice is None else float(choice.value)

    def latin(self, count: int, seed: int) -> list[Candidate]:
        """A Latin hypercube of candidates: each choice of an axis is met its share of the times, to within two."""
        draws = {axis.name: _index(len(axis.choices)) for axis in self.axes}
        drawn = sweep_space.drawn(draws, count, seed, latin=True)
        return [self.relevant(tuple(drawn.at(number)[axis.name].value for axis in self.axes)) for number in range(count)]


def fixed_measuring(base: Base, scenario: Scenario) -> Base:
    """The scenario with what the search must not gain from: times between samples and rows of a trace are written out, and looks wander.

    A look that always comes as long after the samples would miss whatever is faster than that.
    """
    source = Source(deepcopy(base.source.data), dict(base.source.keys), dict(base.source.values))
    sample_every, look_every = scenario.sample_every or scenario.gossip.period, scenario.measure.every
    source.put(("sample_every",), DURATION.format(sample_every), HERE, HERE)
    if isinstance(scenario.workload, Trace) and scenario.workload.every is None:
        source.put(("workload", "every"), DURATION.format(scenario.gossip.period), HERE, HERE)
    if sample_every % look_every == 0 or look_every % sample_every == 0:
        source.put(("measure", "every"), DURATION.format(round(GOLDEN * look_every)), HERE, HERE)
    return Base(source, base.folder)


def search_space(base: Base, scenario: Scenario, goals: Sequence[Goal], kept: Collection[str]) -> SearchSpace:
    """The axes that the goals leave open, without those that are `kept`, and without choices that the scenario cannot take.

    Raises `SettingError` if there is no axis of a name in `kept`, or none is left.
    """
    axes = [*_gossip(scenario), *_promises(scenario, goals)]
    for name in kept:
        if name not in [axis.name for axis in axes]:
            raise SettingError(f"--keep {name}: {unknown('axis', name, [axis.name for axis in axes])}")
    open_axes = [_possible(axis, base, scenario) for axis in axes if axis.name not in kept]
    several = tuple(axis for axis in open_axes if len(axis.choices) > 1)
    if not several:
        raise SettingError(f"--keep {', '.join(kept)}: nothing is left to tune; expected fewer")
    return SearchSpace(several, scenario.gossip.strategy)


def _gossip(scenario: Scenario) -> Iterable[Axis]:
    """The axes of how knowledge travels."""
    gossip = scenario.gossip
    yield _axis("strategy", "gossip.strategy", dict.fromkeys((gossip.strategy, *STRATEGIES)), gossip.strategy)
    period = DURATION.format(gossip.period)
    periods = [period if factor == 1 else _rounded(gossip.period * factor) for factor in FACTORS]
    yield _axis("period", "gossip.period", periods, period)
    yield _axis("fanout", "gossip.fanout", sorted({*FANOUTS, gossip.fanout}), gossip.fanout)
    yield _axis("flushes", "gossip.flushes", sorted({*FLUSHES, gossip.flushes}), gossip.flushes, PUSHING)
    yield _axis("degree", "gossip.degree", sorted({*DEGREES, gossip.degree}), gossip.degree, ("tree",))


def _rounded(nanoseconds: float) -> str:
    """A duration of two digits."""
    return DURATION.format(max(1, int(float(f"{nanoseconds:.2g}"))))


def _axis(name: str, path: str, values: Iterable[Any], own: Any, strategies: tuple[str, ...] = ()) -> Axis:
    unique = list(dict.fromkeys(values))
    choices = tuple(Choice(value, {path: Entry(value, HERE, HERE)}) for value in unique)
    return Axis(name, choices, unique.index(own), strategies)


def _promises(scenario: Scenario, goals: Sequence[Goal]) -> Iterable[Axis]:
    """The axes of what readers of the values are promised, where the goals say what they need instead."""
    names = {goal.measure.name for goal in goals}
    if any("error" in name for name in names):
        yield _scaled("bounds", _bound_factors(goals), scenario)
    if any(name.startswith("age ") for name in names):
        yield _scaled("silences", FACTORS, scenario)


def _bound_factors(goals: Sequence[Goal]) -> Sequence[float]:
    """How wide bounds may be. A bounded filter uses its bound up, so that no wider one keeps a goal on the largest error.

    Narrower ones than asked for cost bytes. They can only help where the error of updates under way counts too.
    """
    most = min((goal.limit for goal in goals if goal.measure is SETTLED_ERROR and goal.relation == "<="), default=FACTORS[-1])
    only_largest = all(goal.measure is SETTLED_ERROR for goal in goals if "error" in goal.measure.name)
    least = min(1.0, most) if only_largest else FACTORS[0]
    return [factor for factor in FACTORS if least <= factor <= most]


def _scaled(name: str, factors: Sequence[float], scenario: Scenario) -> Axis:
    """An axis of factors for a promise of all metrics at once; the scenario's own, 1, is among them."""
    choices = tuple(Choice(factor, _promise(name, factor, scenario)) for factor in sorted({*factors, 1.0}))
    return Axis(name, choices, [choice.value for choice in choices].index(1.0))


def _promise(name: str, factor: float, scenario: Scenario) -> Assignment:
    """The bounds or silences of all metrics, `factor` times as wide on the scale of each."""
    values: dict[str, Any] = {}
    for metric in scenario.enabled_metrics():
        if name == "bounds":
            bound = metric.bound**factor if metric.scale == "log" else metric.bound * factor
            values[f"metrics.{metric.name}.bound"] = float(f"{bound:.6g}")
        else:
            values[f"metrics.{metric.name}.silence"] = DURATION.format(round(metric.longest_silence * factor * SECOND))
    return {path: Entry(value, HERE, HERE) for path, value in values.items()}


def _possible(axis: Axis, base: Base, scenario: Scenario) -> Axis:
    """An axis without the choices that the scenario refuses, such as a fan-out beyond the neighbours."""
    kept = [choice for index, choice in enumerate(axis.choices) if index == axis.own or _taken(choice, base, scenario)]
    return Axis(axis.name, tuple(kept), kept.index(axis.choices[axis.own]), axis.strategies)


def _taken(choice: Choice, base: Base, scenario: Scenario) -> bool:
    try:
        base.variant(choice.settings, scenario.seed)
    except ScenarioError:
        return False
    return True


def _index(choices: int) -> sweep_space.Draw:
    return lambda share: Entry(int(share * choices), HERE, HERE)
