"""The recorded history of a live run before the checkers: what is sound passes, what is broken is found, what is not known is no lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from priomon_core.config import SECOND, DetectionSettings, GossipSettings
from priomon_core.metrics import CPU
from priomon_core.rumours import State
from priomon_node.orchestrator.history import ABSENT, History
from priomon_sim.checkers.history import Cluster
from priomon_sim.checkers.verdicts import refutation_time
from priomon_sim.examiner import Examination
from priomon_sim.faults.timeline import Crashes, Planned, Starts
from priomon_sim.ledger import Ledger
from priomon_sim.lives import Lives

PEERS = [[1, 2], [0, 2], [0, 1]]
HEADERS = 28
LIMIT = GossipSettings().datagram_limit
Held = dict[str, int]


class Told:
    """What the agents of a, b and c told. Each published at 0.5 s, 1.5 s and so on, unless `publish` says otherwise; b may live twice.

    Lives are called by their nodes, and the second of b `b2`.
    """

    def __init__(self, *actions: Planned, detector: str = "swim") -> None:
        lives = Lives.of([1, 2 if any(isinstance(action, Starts) for _, action in actions) else 1, 1])
        detection = DetectionSettings(detector=detector)
        self.cluster = Cluster(lives, PEERS, GossipSettings(), detection, loss=0.0, overhead=HEADERS)
        self.slots = dict(zip("abc", (slots[0] for slots in lives.slots), strict=True))
        if len(lives.slots[1]) > 1:
            self.slots["b2"] = lives.slots[1][1]
        self.ledger = Ledger(lives.origins, [CPU])
        self.history = History(self.cluster, actions, SECOND)
        self.deeds = [self.did({}) for _ in lives.origins]

    def key(self, life: str) -> int:
        return self.cluster.lives.origins[self.slots[life]].key

    def publish(self, life: str, *seconds: float) -> Told:
        slot = self.slots[life]
        for when in seconds:
            self.ledger.publish(slot, self.ledger.newest[slot] + 1, [(0, 5)], round(when * SECOND))
        return self

    def did(self, held: Held, beliefs: dict[int, State] | None = None, sendings: Sequence[tuple[int, int]] = (), **more: Any) -> Any:
        """The deeds of a life that holds these versions; keywords replace what it told."""
        said = {
            "held": [number for life, version in held.items() for number in (self.key(life), version)],
            "beliefs": [number for key, state in (beliefs or {}).items() for number in (key, state)],
            "kept": [0, 0, 0],
            "bytes_sent": sum(true + HEADERS for _, true in sendings),
            "sendings": [[claim, true, 1] for claim, true in sendings],
        }
        return said | more

    def look(self, second: float, **deeds: Any) -> Told:
        """A probe at which these lives looked."""
        for life, said in deeds.items():
            self.deeds[self.slots[life]] = said
        self.history.record(round(second * SECOND), [self.slots[life] for life in deeds], self.deeds)
        return self

    def all_look(self, second: float, version: int, looking: str = "abc", **different: Any) -> Told:
        """A probe at which all hold one version of all, but those for whom `different` says otherwise."""
        same = self.did(dict.fromkeys("abc", version))
        return self.look(second, **{life: different.get(life, same) for life in looking})

    def examine(self, *ended: str) -> Examination:
        return self.history.examine(self.ledger, [self.slots[life] for life in ended])

    def finding(self, *ended: str) -> tuple[str, float] | None:
        """Which checker objects, and when."""
        found = self.examine(*ended).finding
        return None if found is None else (found.checker, found.at)


def sound(*actions: Planned) -> Told:
    told = Told(*actions)
    for life in "abc":
        told.publish(life, 0.5, 1.5, 2.5)
    return told.all_look(1, 1).all_look(2, 2)


def test_a_sound_history_passes() -> None:
    found = sound().all_look(3, 3).examine("a", "b", "c")
    assert (found.finding, found.converged_after, found.messages) == (None, 1.0, 0)
    assert str(found) == "ok: 0 messages; it converged 1.0 s after its last fault"
    assert Told().examine().finding is None  # nobody has told of anything


def test_a_version_that_goes_back() -> None:
    told = sound()
    assert told.all_look(3, 3, b=told.did({"a": 1, "b": 3, "c": 3})).finding("a", "b", "c") == ("VersionsGrow", 3.0)


@pytest.mark.parametrize("version", [4, 60_000])
def test_a_version_that_nobody_published(version: int) -> None:
    told = sound()
    told.all_look(3, 3, b=told.did({"a": version, "b": 3, "c": 3}))
    assert told.finding("a", "b", "c") == ("HeldWasPublished", 3.0)


def test_own_publications_that_are_lost() -> None:
    told = sound()
    assert told.all_look(3, 3, b=told.did({"a": 3, "b": 2, "c": 3})).finding("a", "b", "c") == ("HeldWasPublished", 3.0)


def test_looks_need_not_be_at_one_time() -> None:
    told = sound().publish("a", 3.02)
    told.all_look(3, 3, b=told.did({"a": 4, "b": 3, "c": 3}))  # b looked 30 ms late, and a published between
    told.all_look(4, 3, **{life: told.did({"a": 4, "b": 3, "c": 3}) for life in "abc"})
    assert told.finding("a", "b", "c") is None
    ahead = sound().publish("a", 4.01)
    ahead.all_look(3, 3, b=ahead.did({"a": 4, "b": 3, "c": 3}))  # nobody looks late by more than an interval
    assert ahead.finding("a", "b", "c") == ("HeldWasPublished", 3.0)


def test_what_a_killed_process_took_with_it_counts_as_published_once_it_is_silent() -> None:
    told = sound()
    beyond = told.did({"a": 5, "b": 3, "c": 3})
    told.look(3, b=beyond, c=beyond)
    assert told.finding("b", "c") is None
    assert told.finding("a", "b", "c") == ("HeldWasPublished", 3.0)  # it has told all, and this was not in it
    early = sound()
    early.all_look(3, 3, b=early.did({"a": 5, "b": 3, "c": 3})).look(4, b=early.deeds[early.slots["b"]])
    assert early.finding("b", "c") == ("HeldWasPublished", 3.0)  # a itself looked after that


def test_an_older_generation_that_comes_back() -> None:
    told = sound((3 * SECOND, Crashes(1)), (4 * SECOND, Starts(1, 2))).publish("b2", 4.5)
    second = {"a": 3, "b2": 1, "c": 3}
    back = second | {"b": 2}
    told.all_look(3, 3, "ac")
    told.look(5, a=told.did(second), b2=told.did(second), c=told.did(second))
    told.look(6, a=told.did(second), b2=told.did(second), c=told.did(back))
    assert told.finding("a", "b", "c") == ("NoResurrection", 6.0)


def test_a_life_that_replaced_another_is_no_step_back() -> None:
    told = sound((3 * SECOND, Crashes(1)), (4 * SECOND, Starts(1, 2))).publish("b2", 4.5)
    second = told.did({"a": 3, "b2": 1, "c": 3})
    found = told.all_look(3, 3, "ac").look(5, a=second, b2=second, c=second).look(6, a=second, b2=second, c=second).examine("b")
    assert (found.finding, found.converged_after) == (None, 1.0)


def judging(told: Told, state: State) -> Any:
    return told.did(dict.fromkeys("abc", 3), {told.key("b"): state})


def test_the_living_that_are_held_dead_for_long_or_for_gone_at_all() -> None:
    told = sound()
    limit = refutation_time(3, told.cluster.gossip, told.cluster.detection, 0.0) // SECOND
    for second in (3, 4, limit + 2, limit + 4):
        told.all_look(second, 3, a=judging(told, State.DEAD))
    assert told.finding("a", "b", "c") == ("DeathsRefuted", limit + 4)
    told = sound()
    assert told.all_look(3, 3, a=judging(told, State.LEFT)).finding("a", "b", "c") == ("DeathsRefuted", 3.0)


def test_who_is_not_there_may_be_held_dead_and_keeps_the_calm_from_beginning() -> None:
    told = sound()
    limit = refutation_time(3, told.cluster.gossip, told.cluster.detection, 0.0) // SECOND
    dead = judging(told, State.DEAD)
    for second in (3, 4, 5, limit + 4, 10 * limit):
        told.look(second, a=dead, c=dead)  # b's process is gone, which no fault says
    found = told.examine("a", "c")
    assert (found.finding, found.converged_after) == (None, None)


def test_a_look_that_is_missing_now_and_then_means_nothing() -> None:
    told = sound((int(2.5 * SECOND), Crashes(1)))
    dead = judging(told, State.DEAD)
    for second in range(3, 2 + ABSENT):
        told.look(second, a=dead)  # c is stalled: what it holds is what it held
    found = told.look(2 + ABSENT, a=dead, c=dead).examine("a", "b", "c")
    assert (found.finding, found.converged_after) == (None, ABSENT - 0.5)


def test_what_never_agrees() -> None:
    told = sound()
    apart = told.did({"a": 3, "c": 3, "b": 0})
    for second in (3, 10_000):
        told.all_look(second, 3, a=apart)
    # The version fell to nothing; without that, only the lasting disagreement is left.
    assert told.finding("a", "b", "c") == ("VersionsGrow", 3.0)
    told = Told()
    for life in "abc":
        told.publish(life, 0.5)
    for second in (1, 10_000):
        told.all_look(second, 1, a=told.did({"a": 1, "c": 1}))
    assert told.finding("a", "b", "c") == ("Converges", 10_000.0)


def test_bytes_that_are_counted_wrong() -> None:
    told = sound()
    honest = told.did(dict.fromkeys("abc", 3), sendings=[(100, 100), (80, 80)])
    assert honest["bytes_sent"] == 236
    found = told.all_look(3, 3, a=honest).all_look(4, 3, a=honest).examine("a", "b", "c")
    assert (found.finding, found.messages) == (None, 2)
    told = sound()
    assert told.all_look(3, 3, a=honest | {"bytes_sent": 235}).finding("a", "b", "c") == ("BytesCounted", 3.0)


@pytest.mark.parametrize("sizes", [(LIMIT + 1, LIMIT + 1), (90, 100)])
def test_datagrams_that_are_too_long_or_not_what_they_claim(sizes: tuple[int, int]) -> None:
    told = sound()
    assert told.all_look(3, 3, a=told.did(dict.fromkeys("abc", 3), sendings=[sizes])).finding("a", "b", "c") == ("DatagramsFit", 3.0)


@pytest.mark.parametrize("broken", [{"kept": [17, 0, 0]}, {"kept": [0, 4, 0]}, {"kept": [0, 0, 4]}, {"beliefs": [12345, State.DEAD]}])
def test_memory_that_grows(broken: dict[str, Any]) -> None:
    told = sound()
    assert told.all_look(3, 3, a=told.did(dict.fromkeys("abc", 3)) | broken).finding("a", "b", "c") == ("MemoryBounded", 3.0)


def test_nodes_that_do_not_judge_keep_nothing_for_it() -> None:
    told = Told(detector="none")
    for life in "abc":
        told.publish(life, 0.5)
    told.all_look(1, 1, **{life: told.did(dict.fromkeys("abc", 1), kept=None) for life in "abc"})
    assert told.examine("a", "b", "c").finding is None
