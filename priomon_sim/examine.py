"""Runs a scenario before the eyes of all checkers."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priomon_core.frames import to_frame
from priomon_core.links import UNREACHABLE
from priomon_core.rumours import State
from priomon_core.wire import Codec
from priomon_sim.checkers.costs import BytesCounted, DatagramsFit, MemoryBounded
from priomon_sim.checkers.history import UNKNOWN, Checker, Cluster, Kept, Moment, Sending
from priomon_sim.checkers.knowledge import HeldWasPublished, NoResurrection, VersionsGrow
from priomon_sim.checkers.verdicts import Converges, DeathsRefuted
from priomon_sim.checkers.weather import Weather
from priomon_sim.driver import Driver
from priomon_sim.scenario import Scenario
from priomon_sim.world import Blueprint, World, build

CHECKERS = (VersionsGrow, HeldWasPublished, NoResurrection, DeathsRefuted, BytesCounted, DatagramsFit, MemoryBounded)
MOST_LOSS = 0.99  # where more is lost nobody can promise anything, and waiting longer would not help
AFTERWARDS = 20  # periods for which a cluster is watched once it has converged


@dataclass(frozen=True, slots=True)
class Finding:
    """What a checker objects to, `at` seconds of virtual time. If the run itself crashed, `checker` is the name of its exception."""

    checker: str
    at: float
    what: str

    def __str__(self) -> str:
        return f"{self.checker} at {self.at:g} s: {self.what}"


@dataclass(frozen=True, slots=True)
class Examination:
    """What became of a run: the first finding, None if all is well; when the cluster converged, in seconds after its last fault."""

    finding: Finding | None
    converged_after: float | None
    messages: int


class _ObjectionError(Exception):
    """A checker objects; this ends a run and never leaves the file."""

    def __init__(self, checker: Checker, what: str) -> None:
        super().__init__(what)
        self.checker = type(checker).__name__


class _Shown(Driver):
    """A driver that shows each message to somebody before it sends it."""

    show: Callable[[int, Any, int], None]

    def _sender(self, overhead: int) -> Callable[[int, int], None]:
        send, outboxes = super()._sender(overhead), self._outboxes

        def shown(index: int, now: int) -> None:
            for _, message in outboxes[index]:
                self.show(index, message, now)
            send(index, now)

        return shown


def examine(scenario: Scenario) -> Examination:
    """Run a scenario until a checker objects, or until it has converged after its last fault and stayed so for a while, or to its end.

    Raises `PriomonError` for a scenario that cannot be built.
    """
    world = build(scenario, make=_Shown)
    cluster = _cluster(world)
    converges = Converges(cluster)
    checkers: list[Checker] = [*(kind(cluster) for kind in CHECKERS), converges]
    finding = None
    try:
        _run(world, cluster, checkers, converges)
    except _ObjectionError as objection:
        finding = Finding(objection.checker, world.driver.now / 1e9, str(objection))
    except Exception as error:  # a crash of what is examined is a finding like any other
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{error} ({Path(last.filename).name}:{last.lineno}, {last.name})"
        finding = Finding(type(error).__name__, world.driver.now / 1e9, what)
    return Examination(finding, converges.took, world.driver.messages_sent)


def _cluster(world: World) -> Cluster:
    plan, driver = world.plan, world.driver
    return Cluster(driver.lives, plan.peers, plan.gossip, driver.detection, usual_loss(plan), plan.overhead)


def usual_loss(plan: Blueprint) -> float:
    """The share of datagrams that is lost without faults, over the longest path; single links may be worse. Below 1 in any case."""
    nodes = range(len(plan.peers))
    hops = 1
    if plan.hops is not None:
        hops = max(length for a in nodes for b in nodes if (length := plan.hops(a, b)) != UNREACHABLE)
    return min(1.0 - (1.0 - plan.link.loss.share) ** hops, MOST_LOSS)


def _run(world: World, cluster: Cluster, checkers: list[Checker], converges: Converges) -> None:
    scenario, driver = world.scenario, world.driver
    codec, watching = Codec(scenario.name, world.metrics), [checker for checker in checkers if type(checker).sent is not Checker.sent]

    def show(index: int, message: Any, now: int) -> None:
        encoded = None if message.stream else len(codec.encode(to_frame(message, driver.nodes[index].replica, now)))
        sending = Sending(now, index, message.size, encoded)
        for checker in watching:
            _hear(checker, checker.sent(sending))

    assert isinstance(driver, _Shown)
    driver.show = show
    weather = Weather(world.plan.timeline.actions, driver.lives)
    while driver.now < scenario.duration:
        driver.clock.run_to(min(driver.now + scenario.measure.every, scenario.duration))
        weather.pass_to(driver.now)
        moment = _moment(driver, weather)
        for checker in checkers:
            _hear(checker, checker.see(moment))
        converged_at = converges.converged_at
        if weather.over and converged_at is not None and driver.now - converged_at >= AFTERWARDS * cluster.gossip.period:
            return


def _hear(checker: Checker, objections: Iterable[str]) -> None:
    for objection in objections:
        raise _ObjectionError(checker, objection)


def _moment(driver: Driver, weather: Weather) -> Moment:
    """What there is to see of a simulated cluster now."""
    origins = len(driver.lives.origins)
    held = np.full((origins, origins), UNKNOWN, np.int8)
    kept: list[Kept | None] = [None] * origins
    for index in np.flatnonzero(driver.running).tolist():
        slot, watch = driver.slots[index], driver.nodes[index].watch
        row: NDArray[np.int8] = held[slot]
        row[driver.versions[slot] > 0] = State.ALIVE
        if watch is None:
            continue
        membership, strays = watch.membership, 0
        for key, belief in membership.beliefs.items():
            other = driver.ledger.find(key)
            if other is None or row[other] == UNKNOWN:
                strays += 1
            else:
                row[other] = belief.state
        kept[slot] = Kept(strays, membership.rumours.count, len(membership.departed), len(membership.refused))
    return Moment(
        now=driver.now,
        present=weather.present.copy(),
        begun=weather.begun,
        newest=np.array(driver.ledger.newest, np.int64),
        versions=driver.versions.copy(),
        held=held,
        undisturbed=weather.undisturbed,
        calm_since=weather.calm_since,
        bytes_sent=driver.bytes_sent,
        kept=kept,
    )
