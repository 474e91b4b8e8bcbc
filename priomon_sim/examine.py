"""Runs a scenario before the eyes of all checkers."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from priomon_core.frames import to_frame
from priomon_core.wire import Codec
from priomon_sim.checkers.history import UNKNOWN, Kept, Moment, Sending, held_as
from priomon_sim.checkers.weather import Weather
from priomon_sim.driver import Driver
from priomon_sim.examiner import Examination, Examiner, Finding, cluster_of
from priomon_sim.scenario.document import Scenario
from priomon_sim.world import World, build

AFTERWARDS = 20  # periods for which a cluster is watched once it has converged


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
    examiner = Examiner(cluster_of(world.plan, world.driver.lives, world.driver.detection))
    try:
        _run(world, examiner)
    except Exception as error:  # a crash of what is examined is a finding like any other
        last = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{error} ({Path(last.filename).name}:{last.lineno}, {last.name})"
        examiner.finding = examiner.finding or Finding(type(error).__name__, world.driver.now / 1e9, what)
    return examiner.result()


def _run(world: World, examiner: Examiner) -> None:
    scenario, driver = world.scenario, world.driver
    codec = Codec(scenario.name, world.metrics)

    def show(index: int, message: Any, now: int) -> None:
        encoded = None if message.stream else len(codec.encode(to_frame(message, driver.nodes[index].replica, now)))
        examiner.sent(Sending(now, index, message.size, encoded))

    assert isinstance(driver, _Shown)
    driver.show = show
    weather = Weather(world.plan.timeline.actions, driver.lives)
    while driver.now < scenario.duration and examiner.finding is None:
        driver.clock.run_to(min(driver.now + scenario.measure.every, scenario.duration))
        weather.pass_to(driver.now)
        examiner.see(_moment(driver, weather))
        converged_at = examiner.converged_at
        if weather.over and converged_at is not None and driver.now - converged_at >= AFTERWARDS * world.plan.gossip.period:
            return


def _moment(driver: Driver, weather: Weather) -> Moment:
    """What there is to see of a simulated cluster now."""
    origins = len(driver.lives.origins)
    held = np.full((origins, origins), UNKNOWN, np.int8)
    kept: list[Kept | None] = [None] * origins
    for index in np.flatnonzero(driver.running).tolist():
        slot, watch = driver.slots[index], driver.nodes[index].watch
        membership = None if watch is None else watch.membership
        beliefs = () if membership is None else ((driver.ledger.find(key), one.state) for key, one in membership.beliefs.items())
        held[slot], strays = held_as(driver.versions[slot] > 0, beliefs)
        if membership is not None:
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
