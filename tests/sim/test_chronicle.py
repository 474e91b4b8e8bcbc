"""The chronicle: what happens and what is noticed reach the verdicts in the order of time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from priomon_core.config import DetectionSettings
from priomon_core.events import Died, Event, Forgotten, Left, Refuted, Restarted, Suspected
from priomon_sim.chronicle import Chronicle, longest_suspicion
from priomon_sim.faults.timeline import Crashes, Cuts, Freezes, Leaves, Mends, Planned, Starts, Thaws
from priomon_sim.lives import Lives

SECOND = 1_000_000_000
LIVES = Lives.of([2, 1, 1])
(OLD, NEW), (B,), (C,) = LIVES.slots


def key(slot: int) -> int:
    return LIVES.origins[slot].key


def chronicle(*actions: Planned) -> Chronicle:
    return Chronicle([(when * SECOND, action) for when, action in actions], LIVES, 5 * SECOND)


def tell(it: Chronicle, now: int, *noticed: tuple[float, int, Event], knowing: Sequence[int] = (OLD, NEW, B, C)) -> None:
    it.tell(now * SECOND, [(round(at * SECOND), observer, event) for at, observer, event in noticed], lambda life: knowing)


def died(slot: int) -> Died:
    return Died(0, key(slot), "", "")


def test_what_is_noticed_is_judged_by_what_had_happened_by_then() -> None:
    it = chronicle((2, Crashes(0)))
    suspected = Suspected(0, key(OLD), "", "", "")
    tell(it, 10, (5, C, died(OLD)), (1, B, suspected), (3, B, suspected), (4, B, died(OLD)))
    (end,) = it.verdicts.detections()
    assert (end.node, end.suspected, end.first, end.t100) == (0, 1.0, 2.0, 3.0)
    assert [(one.at, one.kind) for one in it.verdicts.false_positives] == [(SECOND, "suspicion")]


def test_what_is_noticed_later_than_now_waits() -> None:
    it = chronicle((2, Crashes(0)))
    tell(it, 1, (3, B, died(OLD)))
    assert not it.verdicts.counts
    tell(it, 3)
    assert it.verdicts.detections()[0].first == 1.0


def test_only_those_who_know_the_life_are_its_audience() -> None:
    it = chronicle((2, Leaves(0)))
    tell(it, 3, knowing=[C])
    (end,) = it.verdicts.detections()
    assert (end.announced, end.audience) == (True, 1)


def test_generations_are_lives_of_their_own() -> None:
    it = chronicle((2, Crashes(0)), (4, Starts(0, 2)), (8, Leaves(0)))
    tell(it, 10, (5, B, Restarted(0, key(NEW), "", key(OLD))), (6, C, died(OLD)), (9, C, Left(0, key(NEW), "")))
    assert [(end.at // SECOND, end.audience, end.first) for end in it.verdicts.detections()] == [(2, 1, 4.0), (8, 2, 1.0)]


def test_standstills_and_cuts_excuse_and_refutations_clear() -> None:
    it = chronicle((1, Freezes(1)), (2, Thaws(1)), (8, Cuts(1, frozenset([1]), frozenset([2]))), (9, Mends(1)), (30, Crashes(2)))
    accusations = [(at, B, died(C)) for at in (3, 10, 20)]
    tell(it, 25, *accusations, (21, B, Refuted(0, key(C), "", 1, True)), (22, B, Forgotten(0, key(C), "")))
    assert [(one.at // SECOND, one.circumstances) for one in it.verdicts.false_positives] == [(3, "starved observer"), (20, "healthy")]
    tell(it, 40, (31, B, died(C)))
    assert it.verdicts.detections()[0].first == 1.0


def test_faults_are_those_that_have_struck() -> None:
    it = chronicle((2, Crashes(0)), (4, Starts(0, 2)), (8, Leaves(2)))
    tell(it, 3)
    assert it.faults() == [(0, 2.0, None, "crash", LIVES.names[0])]
    tell(it, 8)
    assert it.faults() == [(0, 2.0, 4.0, "crash", LIVES.names[0]), (1, 8.0, None, "leave", LIVES.names[2])]


@pytest.mark.parametrize(("nodes", "seconds"), [(5, 9), (10, 9), (1_000, 27)])
def test_the_longest_suspicion_grows_with_the_logarithm_of_the_nodes(nodes: int, seconds: int) -> None:
    settings = DetectionSettings(suspicion=3, longest_suspicion=6)
    assert longest_suspicion(settings, nodes, SECOND // 2) == seconds * SECOND
