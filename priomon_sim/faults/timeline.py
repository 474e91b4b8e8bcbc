"""From the faults of a scenario to a timeline of single actions, the same for the simulator and for real agents.

Who is struck, and when a random fault happens, depends on the seed and on earlier faults, never on what the protocol does. So the whole
timeline is known before the run, and with it every generation that a node will ever have.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Literal

from priomon_core.errors import SettingError
from priomon_core.links import LinkModel
from priomon_sim.faults.targets import parse_targets
from priomon_sim.scenario.faults import Churn, Crash, Degrade, Fault, Leave, Partition, Pause, Restart, Skew, Starve
from priomon_sim.scenario.network import Conditions
from priomon_sim.scenario.units import DURATION


@dataclass(frozen=True, slots=True)
class Crashes:
    """The node stops without a word and loses what it knows."""

    node: int


@dataclass(frozen=True, slots=True)
class Leaves:
    """The node says goodbye and stops."""

    node: int


@dataclass(frozen=True, slots=True)
class Starts:
    """The node starts again, as this generation."""

    node: int
    generation: int


@dataclass(frozen=True, slots=True)
class Freezes:
    """The node stands still, by a fault of this kind."""

    node: int
    kind: Literal["pause", "starve"] = "pause"


@dataclass(frozen=True, slots=True)
class Thaws:
    """The node goes on."""

    node: int


@dataclass(frozen=True, slots=True)
class Cuts:
    """No datagram passes from `sources` to `targets` any more."""

    cut: int
    sources: frozenset[int]
    targets: frozenset[int]


@dataclass(frozen=True, slots=True)
class Mends:
    """The cut of this number is over."""

    cut: int


@dataclass(frozen=True, slots=True)
class Alters:
    """Links that begin or end at `nodes` get this model."""

    change: int
    nodes: frozenset[int]
    model: LinkModel


@dataclass(frozen=True, slots=True)
class Restores:
    """The change of this number is over."""

    change: int


@dataclass(frozen=True, slots=True)
class Skews:
    """The node's clock runs at this rate from now on."""

    node: int
    rate: float


Action = Crashes | Leaves | Starts | Freezes | Thaws | Cuts | Mends | Alters | Restores | Skews
Planned = tuple[int, Action]  # when (ns), what
AWAKE = -1


class TimelineError(SettingError):
    """Faults that cannot strike: `findings` says by their numbers, from 0 on, what is wrong with them."""

    def __init__(self, findings: Mapping[int, str]) -> None:
        self.findings = findings
        super().__init__("; ".join(f"faults[{number}]: {message}" for number, message in sorted(findings.items())))


@dataclass(slots=True)
class _Stage:
    """What has happened so far while the timeline is made."""

    names: Sequence[str]
    running: list[bool] = field(init=False)
    generation: list[int] = field(init=False)
    frozen_until: list[int] = field(init=False)  # `AWAKE` for a node that does not stand still

    def __post_init__(self) -> None:
        self.running = [True] * len(self.names)
        self.generation = [1] * len(self.names)
        self.frozen_until = [AWAKE] * len(self.names)


class Timeline:
    """All actions of a run in their order, as (when in ns, action)."""

    def __init__(
        self, faults: Sequence[Fault], names: Sequence[str], seed: int, duration: int, model: Callable[[Conditions], LinkModel]
    ) -> None:
        """Raises `TimelineError` for faults that cannot strike."""
        self.actions: list[Planned] = []
        self._stage = _Stage(names)
        self._model = model
        self._duration = duration
        self._due: list[tuple[int, int, int, Callable[[int], None]]] = []
        self._number = 0
        self._fault = 0  # which fault acts
        findings: dict[int, str] = {}
        for self._fault, fault in enumerate(faults):
            if fault.at >= duration:
                findings[self._fault] = f"found at: {DURATION.format(fault.at)}, expected before the end, {DURATION.format(duration)}"
            self._at(fault.at, partial(self._begin, fault, Random(f"{seed} fault {self._fault}")))
        while self._due:
            now, _, self._fault, act = heapq.heappop(self._due)
            try:
                act(now)
            except SettingError as error:
                findings.setdefault(self._fault, str(error))
        if findings:
            raise TimelineError(findings)

    @property
    def generations(self) -> list[int]:
        """How many generations each node has in the run, from 1 on."""
        return list(self._stage.generation)

    def _at(self, when: int, act: Callable[[int], None]) -> None:
        if when < self._duration:
            self._number += 1
            heapq.heappush(self._due, (when, self._number, self._fault, act))

    def _do(self, now: int, action: Action) -> None:
        self.actions.append((now, action))

    def _begin(self, fault: Fault, random: Random, now: int) -> None:
        if isinstance(fault, Churn):
            self._churn(fault, random, now)
            return
        nodes = self._choose(str(fault.nodes), random)
        match fault:
            case Crash() | Leave():
                for node in nodes:
                    self._stop(node, now, announced=isinstance(fault, Leave))
                    if fault.back_after is not None:
                        self._at(now + fault.back_after, lambda then, node=node: self._start(node, then))  # type: ignore[misc]
            case Restart():
                for node in nodes:
                    self._start(node, now)
            case Pause():
                for node in nodes:
                    self._freeze(node, now, self._end(fault, now), "pause")
            case Starve():
                for node in nodes:
                    self._starve(node, now, self._end(fault, now), fault, random)
            case Partition():
                self._partition(fault, nodes, random, now)
            case Degrade():
                number = self._number = self._number + 1
                self._do(now, Alters(number, frozenset(nodes), self._model(fault.conditions)))
                self._at(self._end(fault, now), lambda then: self._do(then, Restores(number)))
            case Skew():
                for node in nodes:
                    self._do(now, Skews(node, fault.rate))

    def _choose(self, text: str, random: Random) -> list[int]:
        return parse_targets(text).choose(self._stage.names, self._stage.running, random)

    def _end(self, fault: Pause | Starve | Partition | Degrade | Churn, now: int) -> int:
        return self._duration if fault.lasts is None else now + fault.lasts

    def _stop(self, node: int, now: int, announced: bool) -> None:
        if self._stage.running[node]:
            self._stage.running[node] = False
            self._do(now, Leaves(node) if announced else Crashes(node))

    def _start(self, node: int, now: int) -> None:
        if not self._stage.running[node]:
            self._stage.running[node] = True
            self._stage.frozen_until[node] = AWAKE
            self._stage.generation[node] += 1
            self._do(now, Starts(node, self._stage.generation[node]))

    def _freeze(self, node: int, now: int, until: int, kind: Literal["pause", "starve"]) -> None:
        """Freeze a node that runs, or keep it frozen for longer. It thaws only if it is still of the generation that froze."""
        stage, generation = self._stage, self._stage.generation[node]
        if not stage.running[node]:
            return
        if stage.frozen_until[node] == AWAKE:
            self._do(now, Freezes(node, kind))
        stage.frozen_until[node] = max(stage.frozen_until[node], until)

        def thaw(then: int) -> None:
            if stage.running[node] and stage.generation[node] == generation and stage.frozen_until[node] == then:
                stage.frozen_until[node] = AWAKE
                self._do(then, Thaws(node))

        self._at(until, thaw)

    def _starve(self, node: int, now: int, end: int, fault: Starve, random: Random) -> None:
        for begin, until in _spells(now, end, fault.running, fault.blocked, random):
            self._at(begin, lambda then, until=until: self._freeze(node, then, until, "starve"))  # type: ignore[misc]

    def _partition(self, fault: Partition, nodes: list[int], random: Random, now: int) -> None:
        inside = frozenset(nodes)
        others = frozenset(self._choose(str(fault.peers), random)) - inside
        if not inside or not others:
            raise SettingError("found a partition with nobody on one side, expected nodes on both")
        if fault.direction != "in":
            self._cut(inside, others, now, self._end(fault, now))
        if fault.direction != "out":
            self._cut(others, inside, now, self._end(fault, now))

    def _cut(self, sources: frozenset[int], targets: frozenset[int], now: int, end: int) -> None:
        number = self._number = self._number + 1
        self._do(now, Cuts(number, sources, targets))
        self._at(end, lambda then: self._do(then, Mends(number)))

    def _churn(self, fault: Churn, random: Random, now: int) -> None:
        end = min(self._end(fault, now), self._duration)
        mean = 60e9 / fault.per_minute
        when = now + round(random.expovariate(1 / mean))
        candidates = parse_targets(str(fault.nodes))
        candidates.check(self._stage.names)

        def strike(then: int) -> None:
            there = [node for node in candidates.choose(self._stage.names, self._stage.running, random) if self._stage.running[node]]
            if there:
                node = random.choice(there)
                self._stop(node, then, announced=random.random() < fault.leave)
                self._at(then + round(random.expovariate(1 / fault.down)), lambda back: self._start(node, back))

        while when < end:
            self._at(when, strike)
            when += round(random.expovariate(1 / mean))


def _spells(now: int, end: int, running: int, blocked: int, random: Random) -> Iterator[tuple[int, int]]:
    """(Begin, end) of the times in which a starved node stands still."""
    while True:
        now += round(random.expovariate(1 / running))
        until = min(now + round(random.expovariate(1 / blocked)), end)
        if now >= end:
            return
        yield now, until
        now = until
