"""What the fuzz has found, each as small as it gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from priomon_core.config import SECOND
from priomon_core.latency import Constant
from priomon_core.links import LinkModel
from priomon_core.messages import Delta, Digest
from priomon_core.metrics import BUILT_IN
from priomon_core.node import GossipNode
from priomon_core.replica import Replica
from priomon_core.strategies.flow import Flow
from priomon_core.wire import Ask, Call
from priomon_sim.compiled import COMPILED
from priomon_sim.faults.timeline import Freezes, Planned, Thaws, Timeline
from priomon_sim.ledger import Ledger
from priomon_sim.lives import Lives, identities
from priomon_sim.scenario.document import Scenario
from priomon_sim.scenario.faults import Fault, Pause
from priomon_sim.world import build


def test_who_hears_of_its_former_life_before_it_speaks_refuses_it(scenario: Callable[..., Scenario]) -> None:
    driver = build(scenario("faults=[{kind: crash, at: 3 s, nodes: node0, back_after: 1 s}]")).driver
    old, new = driver.lives.slots[driver.lives.names.index("node0")]
    driver.clock.run_to(4 * SECOND)
    replica = driver.nodes[driver.lives.names.index("node0")].replica
    assert (replica.own, driver.versions[new, new]) == (new, 0)
    everything = np.array(driver.ledger.newest, np.uint16)
    nothing = np.zeros_like(everything)
    others = int(np.count_nonzero(everything)) - 1
    told = Delta(int(driver.ledger.keys[old]), replica.key, 0, len(everything), everything, nothing, others, 0, 0, 900)  # type: ignore[arg-type]
    replica.learn(told, driver.now)
    assert driver.versions[new, old] == 0
    assert np.count_nonzero(driver.versions[new]) == others == 7


def test_a_call_from_a_stranger_begins_an_exchange(scenario: Callable[..., Scenario]) -> None:
    """Both may have restarted while they were apart, and each be nobody's peer but the other's."""
    fault = "faults=[{kind: crash, at: 3 s, nodes: node0, back_after: 1 s}]"
    driver = build(scenario("nodes=2", "gossip.strategy=scuttlebutt", "detection.detector=swim", fault)).driver
    driver.clock.run_to(4 * SECOND)
    index = driver.lives.names.index("node0")
    caller, node = driver.nodes[1 - index].replica, driver.nodes[index]
    node.receive(Call(caller.key, Ask.PING), 1 - index, driver.now)
    assert [(peer, type(message)) for peer, message in node.outbox] == [(1 - index, Call), (1 - index, Digest)]
    node.outbox.clear()
    driver.clock.run_to(6 * SECOND)
    assert node.replica.known(caller.key) is not None
    node.receive(Call(caller.key, Ask.PING), 1 - index, driver.now)
    assert [type(message) for _, message in node.outbox] == [Call]


def test_who_forgets_a_generation_does_not_take_an_older_one_for_new() -> None:
    """A newcomer is told of the second one together with its departure, and then of the first by somebody who has not heard."""
    lives = Lives.of([3, 1])
    ledger = Ledger(lives.origins, BUILT_IN, lives.younger)
    first, second, third = lives.slots[0]
    assert (ledger.older[first], ledger.older[second], ledger.older[third]) == (-1, first, second)
    replica = Replica(ledger, np.zeros(4, np.uint16), lives.slots[1][0], COMPILED)  # type: ignore[arg-type]

    def hear_of(slot: int) -> bool:
        row = np.zeros(4, np.uint16)
        row[slot] = 2
        replica.learn(Delta(0, replica.key, 0, 4, row, np.zeros(4, np.uint16), 1, 0, 0, 50), 0)  # type: ignore[arg-type]
        return bool(replica.versions[slot])

    replica.forget(int(ledger.keys[second]))
    assert not hear_of(first) and not hear_of(second)
    replica.admit(int(ledger.keys[second]))
    assert not hear_of(first) and hear_of(second) and hear_of(third)


@pytest.mark.parametrize("strategy", ["scuttlebutt", "rumor", "tree", "demon"])
def test_newcomers_never_hear_of_those_who_are_long_dead(scenario: Callable[..., Scenario], strategy: str) -> None:
    """Full datagrams of introductions once left no room to say who of the introduced was dead."""
    faults = "faults=[{kind: crash, at: 2 s, nodes: 'node0*'}, {kind: crash, at: 40 s, nodes: 'node1[0-4]', back_after: 1 s}]"
    gossip = f"gossip={{strategy: {strategy}, datagram_limit: 300 B}}"
    driver = build(scenario("nodes=25", "duration=50 s", "start=known", "detection.detector=swim", gossip, faults)).driver
    dead = [driver.lives.slots[node][0] for node, name in enumerate(driver.lives.names) if name < "node10"]
    reborn = [slots[1] for slots in driver.lives.slots if len(slots) > 1]
    assert (len(dead), len(reborn)) == (10, 5)
    for second in range(39, 51):
        driver.clock.run_to(second * SECOND)
        assert not driver.versions[np.ix_(reborn, dead)].any()
    assert driver.versions[np.ix_(driver.slots, dead)].any()
    assert all(driver.versions[np.ix_(reborn, reborn)].all(axis=1))


def test_who_left_is_tried_for_its_next_life(scenario: Callable[..., Scenario]) -> None:
    fault = "faults=[{kind: leave, at: 3 s, nodes: node0}]"
    driver = build(scenario("nodes=3", "duration=60 s", "detection={detector: swim, reconnect: 2 s}", fault)).driver
    index = driver.lives.names.index("node0")
    driver.clock.run_to(10 * SECOND)
    tried = driver.bytes_received[index]
    driver.clock.run_to(60 * SECOND)
    assert 10 * 36 < driver.bytes_received[index] - tried < 50 * 60  # a ping of some 40 B each 2 s


def test_a_ledger_takes_heartbeats_that_change_nothing() -> None:
    ledger = Ledger(identities(2), BUILT_IN)
    ledger.publish(0, 1, [(0, 7), (3, 9)], SECOND)
    ledger.refresh()
    ledger.publish(0, 2, [], 2 * SECOND)
    ledger.refresh()
    assert ledger.changes(0, 0, 2) == ((0, 7), (3, 9))
    assert ledger.changes(0, 1, 2) == ()
    assert ledger.age(0, 2, 5 * SECOND) == 3 * SECOND


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(10, 20), (12, 8)], [(10, Freezes(0)), (30, Thaws(0))]),  # the shorter one ends first
        ([(10, 10), (15, 5)], [(10, Freezes(0)), (20, Thaws(0))]),  # both end together
        ([(10, 10), (20, 5)], [(10, Freezes(0)), (25, Thaws(0))]),  # one begins as the other ends
        ([(10, 5), (20, 5)], [(10, Freezes(0)), (15, Thaws(0)), (20, Freezes(0)), (25, Thaws(0))]),
        ([(0, 5), (0, 7)], [(0, Freezes(0)), (7, Thaws(0))]),
    ],
)
def test_pauses_that_meet_are_one(spans: list[tuple[int, int]], expected: list[Planned]) -> None:
    faults: list[Fault] = [Pause(kind="pause", at=f"{at} s", lasts=f"{lasts} s", nodes="node0") for at, lasts in spans]  # type: ignore[arg-type]
    timeline = Timeline(faults, ["node0", "node1"], 1, 60 * SECOND, lambda conditions: LinkModel(Constant(1)))
    assert [(when // SECOND, action) for when, action in timeline.actions] == expected


def test_who_stood_still_sends_each_answer_before_it_hears_more(scenario: Callable[..., Scenario]) -> None:
    """What an answer names by order would else mean others by the time it is encoded."""
    driver = build(scenario("gossip.strategy=tree", "detection.detector=swim")).driver
    driver.clock.run_to(3 * SECOND)
    node, unsent = driver.nodes[0], []
    assert isinstance(node, GossipNode)
    receive = node.receive

    def heard(message: Any, source: Any, now: int) -> None:
        unsent.append(len(node.outbox))
        receive(message, source, now)

    node.receive = heard
    driver.freeze(0)
    driver.clock.run_to(6 * SECOND)
    sent = driver.datagrams_sent[0]
    driver.thaw(0)
    assert len(unsent) > 5 and driver.datagrams_sent[0] > sent
    assert not any(unsent)


def test_demon_takes_the_record_of_a_life_not_of_the_place_with_that_number(scenario: Callable[..., Scenario]) -> None:
    """With several lives per node the slots of origins are not the numbers of nodes."""
    fault = "faults=[{kind: crash, at: 2 s, nodes: 4, back_after: 1 s}]"
    world = build(scenario("gossip.strategy=demon", "duration=8 s", fault))
    driver = world.driver
    driver.clock.run_to(8 * SECOND)
    assert len(driver.lives.origins) == 12
    assert (driver.versions <= np.array(driver.ledger.newest)).all()
    assert (driver.versions[np.ix_(driver.slots, driver.slots)] > 0).all()


def test_what_was_told_of_a_former_life_is_not_told_again(scenario: Callable[..., Scenario]) -> None:
    """Its version is 0 from then on, and there are no values of that."""
    fault = "faults=[{kind: crash, at: 6 s, nodes: node0, back_after: 1 s}]"
    driver = build(scenario("gossip.strategy=tree", "duration=12 s", fault)).driver
    former, _ = driver.lives.slots[driver.lives.names.index("node0")]
    driver.clock.run_to(12 * SECOND)
    flow = Flow(driver.nodes[-1].replica, driver.settings)
    count = len(flow.stamps)
    for slot in range(count):
        flow.stamps[slot] = 1
    listed = flow.later(0, 1)
    assert driver.versions[driver.slots[-1], former] == 0
    assert former not in listed.slots[: listed.count]
    assert listed.count == count - 1
