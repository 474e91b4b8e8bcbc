"""Verdicts: who is asked to notice an end, when it counts as known, and which accusations are false."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_results.verdicts import CIRCUMSTANCES, Detection, FalsePositive, Verdicts

SECOND = 1_000_000_000
LATELY = 10 * SECOND


def story(nodes: int = 5, second_lives: int = 0) -> Verdicts:
    """A run of so many nodes, of which the first have a second life, numbered after all first lives."""
    return Verdicts([*range(nodes), *range(second_lives)], range(nodes), LATELY)


def stop(verdicts: Verdicts, node: int, at: int, announced: bool = False) -> None:
    """End a life that everybody knows."""
    verdicts.stopped(node, at * SECOND, announced=announced, knowing=range(20))


def only(verdicts: Verdicts) -> Detection:
    (detection,) = verdicts.detections()
    return detection


def test_times_run_from_the_crash_to_the_suspicion_and_the_verdicts_of_all_who_knew_it() -> None:
    verdicts = story()
    stop(verdicts, 4, 10)
    verdicts.suspected(12 * SECOND, 0, 4)
    verdicts.suspected(13 * SECOND, 1, 4)
    for at, observer in ((15, 1), (16, 0), (18, 3), (20, 2), (21, 2)):
        verdicts.died(at * SECOND, observer, 4)
    assert only(verdicts) == Detection(4, 10 * SECOND, False, 4, 0, 2.0, 5.0, 6.0, 10.0, 10.0)
    assert not verdicts.counts


@given(st.integers(1, 300), st.data())
def test_shares_count_all_of_the_audience(audience: int, data: st.DataObject) -> None:
    noticed = data.draw(st.integers(0, audience))
    verdicts = story(audience + 1)
    verdicts.stopped(audience, 0, announced=False, knowing=range(audience))
    for observer in range(noticed):
        verdicts.died((observer + 1) * SECOND, observer, audience)
    found = only(verdicts)
    assert (found.audience, found.missed) == (audience, audience - noticed)
    for time, share in ((found.t50, 0.5), (found.t99, 0.99), (found.t100, 1.0)):
        assert (time is not None) == (noticed / audience >= share)
        if time is not None:
            assert time / audience >= share > (time - 1) / audience
    assert found.first == (1.0 if noticed else None)


def test_only_those_who_ran_and_knew_the_life_and_were_not_cut_off_have_to_notice() -> None:
    verdicts = story(6)
    stop(verdicts, 5, 1)
    verdicts.cut(1, frozenset([0]), frozenset([4]))
    verdicts.cut(2, frozenset([4]), frozenset([1]))
    verdicts.cut(3, frozenset([2]), frozenset([4]))
    verdicts.mended(3, SECOND)
    verdicts.stopped(4, 2 * SECOND, announced=False, knowing=[0, 1, 2, 5])
    assert [(end.node, end.audience) for end in verdicts.detections()] == [(5, 4), (4, 1)]


def test_who_stops_or_hears_of_the_next_life_is_let_off() -> None:
    verdicts = story(5, second_lives=1)
    stop(verdicts, 0, 1)
    verdicts.died(2 * SECOND, 1, 0)
    stop(verdicts, 2, 3)
    verdicts.started(5, 4 * SECOND)
    verdicts.succeeded(3, 0)
    verdicts.suspected(5 * SECOND, 3, 0)
    (first, _) = verdicts.detections()
    assert (first.audience, first.missed, first.suspected) == (2, 1, None)
    verdicts.succeeded(4, 0)
    assert verdicts.detections()[0].audience == 1


def test_the_next_life_is_another_one() -> None:
    verdicts = story(3, second_lives=1)
    stop(verdicts, 0, 1)
    verdicts.started(3, 5 * SECOND)
    verdicts.died(6 * SECOND, 1, 0)
    assert not verdicts.counts
    verdicts.died(6 * SECOND, 1, 3)
    assert verdicts.counts["death", "healthy"] == 1
    stop(verdicts, 0, 10)
    verdicts.died(12 * SECOND, 2, 3)
    assert [(end.audience, end.missed, end.first) for end in verdicts.detections()] == [(2, 1, 5.0), (1, 0, 2.0)]


def test_who_held_a_live_node_dead_before_it_stopped_cannot_notice_that() -> None:
    verdicts = story(4)
    verdicts.died(SECOND, 0, 3)
    verdicts.died(SECOND, 1, 3)
    verdicts.cleared(1, 3)
    stop(verdicts, 3, 5)
    assert only(verdicts).audience == 2


def test_false_positives_are_told_with_their_nodes_and_counted() -> None:
    verdicts = story(4, second_lives=1)
    stop(verdicts, 0, 1)
    verdicts.started(4, 2 * SECOND)
    verdicts.suspected(3 * SECOND, 1, 4)
    verdicts.died(4 * SECOND, 4, 2)
    assert verdicts.false_positives == [
        FalsePositive(3 * SECOND, "suspicion", 1, 0, "healthy"),
        FalsePositive(4 * SECOND, "death", 0, 2, "healthy"),
    ]
    verdicts.false_positives.clear()
    assert verdicts.summary(SECOND)["false_suspicions"] == dict.fromkeys(CIRCUMSTANCES, 0) | {"healthy": 1}
    assert verdicts.summary(SECOND)["false_deaths"]["healthy"] == 1


def test_a_node_that_stands_still_is_accused_with_reason_and_a_starved_one_with_an_excuse() -> None:
    verdicts = story(3)
    verdicts.froze(2)
    verdicts.suspected(SECOND, 0, 2)
    assert not verdicts.counts
    verdicts.died(SECOND, 2, 0)
    verdicts.thawed(2, 5 * SECOND)
    verdicts.suspected(15 * SECOND, 0, 2)
    verdicts.suspected(15 * SECOND, 2, 1)
    verdicts.suspected(16 * SECOND, 0, 2)
    assert [(one.observer, one.subject, one.circumstances) for one in verdicts.false_positives] == [
        (2, 0, "starved observer"),
        (0, 2, "starved subject"),
        (2, 1, "starved observer"),
        (0, 2, "healthy"),
    ]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_cut_excuses_the_pair_that_it_parts_and_explains_the_others(reverse: bool) -> None:
    verdicts = story(5)
    sides = (frozenset([0]), frozenset([1, 2]))
    verdicts.cut(1, *(reversed(sides) if reverse else sides))
    verdicts.died(SECOND, 0, 1)
    verdicts.mended(1, 2 * SECOND)
    verdicts.died(12 * SECOND, 1, 0)
    assert not verdicts.counts
    verdicts.suspected(12 * SECOND, 1, 2)
    verdicts.suspected(12 * SECOND, 3, 2)
    verdicts.suspected(12 * SECOND, 3, 4)
    verdicts.suspected(13 * SECOND, 1, 0)
    assert [one.circumstances for one in verdicts.false_positives] == ["parted", "parted", "healthy", "healthy"]


def test_the_time_in_which_nodes_were_down_adds_up() -> None:
    verdicts = story(3, second_lives=1)
    stop(verdicts, 0, 1)
    stop(verdicts, 1, 2)
    verdicts.started(3, 4 * SECOND)
    assert verdicts.lost(10 * SECOND) == (3 + 8) * SECOND


def test_a_summary_counts_what_never_happened_as_later_than_all_that_did() -> None:
    verdicts = story(6)
    for node, noticed in ((5, 12), (4, None), (3, 14), (2, None)):
        verdicts.stopped(node, 10 * SECOND, announced=node == 2, knowing=[0])
        if noticed is not None:
            verdicts.suspected(noticed * SECOND, 0, node)
            verdicts.died(noticed * SECOND, 0, node)
    found = verdicts.summary(SECOND // 2)
    assert {name: found[name] for name in ("crashes", "leaves", "unnoticed", "missed")} == {
        "crashes": 3,
        "leaves": 1,
        "unnoticed": 1,
        "missed": 2,
    }
    assert found["seconds"]["first"] == {"mean": 3.0, "p50": 4.0, "p99": None, "max": 4.0}
    assert found["periods"]["suspected"] == {"mean": 6.0, "p50": 8.0, "p99": None, "max": 8.0}


def test_without_crashes_there_are_no_times() -> None:
    verdicts = story()
    stop(verdicts, 0, 1, announced=True)
    verdicts.died(2 * SECOND, 1, 0)
    assert set(verdicts.summary(SECOND)["seconds"].values()) == {None}


def test_a_crash_that_nobody_had_to_notice_is_no_detection() -> None:
    verdicts = story()
    verdicts.stopped(0, SECOND, announced=False, knowing=[])
    found = verdicts.summary(SECOND)
    assert (found["crashes"], found["unnoticed"], found["seconds"]["first"]) == (1, 0, None)
