"""An examination says that a sound run is sound, and by which checker a broken one is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from priomon_core import watch
from priomon_core.membership import Membership
from priomon_core.node import GossipNode
from priomon_core.priority import Publisher
from priomon_core.replica import Replica
from priomon_core.wire import Call
from priomon_sim.driver import Driver
from priomon_sim.examine import examine
from priomon_sim.examiner import usual_loss
from priomon_sim.ledger import Ledger
from priomon_sim.scenario.document import Scenario
from priomon_sim.world import draft

CHAOS = (
    "duration=700 s",
    "detection={detector: swim, reconnect: 500 ms, suspicion: 1, longest_suspicion: 1, failures: 1, heartbeat: 1 s}",
    "faults=[{kind: crash, at: 5 s, nodes: 2, back_after: 10 s}, {kind: pause, at: 10 s, lasts: 20 s, nodes: 2}, "
    "{kind: crash, at: 20 s, nodes: 1}]",
)


def test_a_sound_run(scenario: Callable[..., Scenario]) -> None:
    found = examine(scenario(*CHAOS))
    assert found.finding is None
    assert found.converged_after is not None and 0 <= found.converged_after < 60
    assert found == examine(scenario(*CHAOS))


def test_a_run_that_ends_amid_faults_is_not_asked_to_converge(scenario: Callable[..., Scenario]) -> None:
    found = examine(scenario("faults=[{kind: partition, at: 0 s, nodes: 50 %}]", "detection.detector=swim"))
    assert (found.finding, found.converged_after) == (None, None)


def test_a_run_without_detection(scenario: Callable[..., Scenario]) -> None:
    found = examine(scenario("duration=30 s"))
    assert found.finding is None and found.converged_after is not None


def forget_somebody(self: GossipNode, now: int, wake: Any = GossipNode.wake) -> None:
    wake(self, now)
    self.replica.versions[self.replica.own - 1] = 0


def overstate(self: Driver, index: int, announced: bool = False, stop: Any = Driver.stop) -> None:
    stop(self, index, announced)
    self.bytes_sent[index] += 1


def understate(self: Ledger, slot: int, version: int, changes: Any, now: int, publish: Any = Ledger.publish) -> None:
    publish(self, slot, version, changes, now)
    self.newest[slot] = version - 1


def stumble(self: Publisher, values: Any, now: int, select: Any = Publisher.select) -> Any:
    return select(self, values, now) if now < 3_000_000_000 else 1 // 0


@pytest.mark.parametrize(
    ("broken", "name", "instead", "checker"),
    [
        (GossipNode, "wake", forget_somebody, "VersionsGrow"),
        (Ledger, "publish", understate, "HeldWasPublished"),
        (Replica, "_sift", lambda self: None, "NoResurrection"),
        (Membership, "_defend", lambda self, rumour, now: None, "DeathsRefuted"),
        (Membership, "accuse", lambda self, key, now, rule: False, "Converges"),
        (Membership, "_drop", lambda self, key: None, "MemoryBounded"),
        (Driver, "stop", overstate, "BytesCounted"),
        (Call, "size", 6, "DatagramsFit"),
        (Publisher, "select", stumble, "ZeroDivisionError"),
    ],
)
def test_a_broken_protocol_is_found(
    scenario: Callable[..., Scenario], monkeypatch: pytest.MonkeyPatch, broken: Any, name: str, instead: Any, checker: str
) -> None:
    monkeypatch.setattr(broken, name, instead)
    found = examine(scenario(*CHAOS))
    assert found.finding is not None
    assert found.finding.checker == checker, str(found.finding)
    assert found.finding.at > 0 and found.finding.what


def test_a_rumour_too_many_does_not_fit(scenario: Callable[..., Scenario], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "rumours_size", lambda rumours: 0)  # what a node takes its rumours to weigh
    found = examine(scenario(*CHAOS, "gossip.datagram_limit=256 B"))
    assert found.finding is not None
    assert "that claims" in found.finding.what


def test_the_usual_loss_is_that_of_the_longest_path(scenario: Callable[..., Scenario]) -> None:
    ring = "topology={kind: ring, role: underlay}"
    assert usual_loss(draft(scenario("network.loss=10 %"))) == pytest.approx(0.1)
    assert usual_loss(draft(scenario("network.loss=10 %", ring))) == pytest.approx(1 - 0.9**4)
    assert usual_loss(draft(scenario("network.loss=0 %", ring))) == 0
    assert usual_loss(draft(scenario("network.loss=100 %"))) < 1
