"""The weather follows a timeline: who is present, since when pairs are undisturbed, and since when it is calm."""

from __future__ import annotations

from collections.abc import Sequence

from priomon_core.config import SECOND
from priomon_core.latency import Constant
from priomon_core.links import LinkModel
from priomon_sim.checkers.weather import Weather
from priomon_sim.faults.timeline import Action, Alters, Crashes, Cuts, Freezes, Leaves, Mends, Restores, Skews, Starts, Thaws
from priomon_sim.lives import Lives

LIVES = Lives.of([1, 2, 1])
FIRST = [slots[0] for slots in LIVES.slots]
MODEL = LinkModel(Constant(1))


def weather(*actions: tuple[int, Action]) -> Weather:
    """The weather of actions, whose times are in seconds."""
    return Weather([(when * SECOND, action) for when, action in actions], LIVES)


def undisturbed(now: Weather) -> Sequence[Sequence[float]]:
    return [[since / SECOND for since in line] for line in now.undisturbed.tolist()]


def test_lives_end_and_begin() -> None:
    now = weather((2, Crashes(1)), (3, Leaves(0)), (5, Starts(1, 2)))
    assert sorted(now.present.nonzero()[0]) == sorted(FIRST)
    now.pass_to(4 * SECOND)
    assert now.present.nonzero()[0].tolist() == [FIRST[2]]
    assert not now.over
    now.pass_to(6 * SECOND)
    assert sorted(now.present.nonzero()[0]) == sorted([FIRST[2], LIVES.slots[1][1]])
    assert now.begun.all() and now.over
    assert now.calm_since == 5 * SECOND
    assert undisturbed(now) == [[6, 6, 6], [6, 5, 5], [6, 5, 0]]  # the first node is still down


def test_a_life_between_two_looks_has_begun() -> None:
    now = weather((1, Crashes(1)), (2, Starts(1, 2)), (3, Crashes(1)))
    now.pass_to(4 * SECOND)
    assert not now.present[LIVES.slots[1]].any()
    assert now.begun[LIVES.slots[1]].all()


def test_what_lasts_disturbs_until_it_ends() -> None:
    one_way = Cuts(7, frozenset({0}), frozenset({1}))
    now = weather((1, one_way), (2, Freezes(2)), (4, Thaws(2)), (5, Mends(7)))
    now.pass_to(3 * SECOND)
    assert now.calm_since is None
    assert undisturbed(now) == [[0, 3, 3], [3, 0, 3], [3, 3, 3]]
    now.pass_to(9 * SECOND)
    assert now.calm_since == 5 * SECOND
    assert undisturbed(now) == [[0, 5, 4], [5, 0, 4], [4, 4, 4]]


def test_changed_links_and_clocks() -> None:
    now = weather((1, Alters(3, frozenset({0}), MODEL)), (2, Skews(1, 1.1)), (4, Restores(3)))
    now.pass_to(3 * SECOND)
    assert now.calm_since is None
    assert undisturbed(now) == [[3, 3, 3], [3, 2, 2], [3, 2, 0]]
    now.pass_to(9 * SECOND)
    assert now.calm_since == 4 * SECOND
    assert undisturbed(now) == [[4, 4, 4], [4, 2, 2], [4, 2, 0]]


def test_a_node_that_crashes_while_it_stands_still_is_not_still_for_ever() -> None:
    now = weather((1, Freezes(1)), (2, Crashes(1)), (3, Starts(1, 2)))
    now.pass_to(9 * SECOND)
    assert now.calm_since == 3 * SECOND
    assert undisturbed(now)[1] == [3, 3, 3]


def test_who_should_run_and_does_not_disturbs_until_now() -> None:
    now = weather((1, Crashes(2)), (8, Freezes(0)))
    now.pass_to(4 * SECOND)
    now.missed([1, 2], 4 * SECOND)
    assert now.calm_since == 4 * SECOND
    assert undisturbed(now) == [[0, 4, 4], [4, 4, 4], [4, 4, 4]]
    now.missed([2], 5 * SECOND)  # it is down, as planned
    assert now.calm_since == 4 * SECOND
    now.pass_to(9 * SECOND)
    now.missed([1], 9 * SECOND)
    assert now.calm_since is None
