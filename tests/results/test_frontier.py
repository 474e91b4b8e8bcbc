"""The frontier: no trial on it is beaten, and every other one is."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from priomon_results.frontier import Mark, frontier

SMALL = st.sampled_from([0.0, 1.0, 2.0, 3.0, math.inf])
MARKS = st.lists(st.tuples(SMALL, SMALL, st.booleans()), max_size=12).map(
    lambda some: [Mark(number, "tree", x, y, eligible, eligible, 1) for number, (x, y, eligible) in enumerate(some)]
)


def beats(one: Mark, other: Mark, sign: int) -> bool:
    """Whether one trial is as good in both measures and better in one."""
    ours, theirs = (sign * one.x, one.y), (sign * other.x, other.y)
    return ours != theirs and ours[0] <= theirs[0] and ours[1] <= theirs[1]


@given(MARKS, st.booleans())
def test_it_holds_what_nothing_eligible_beats_once_each(marks: list[Mark], rising: bool) -> None:
    sign = -1 if rising else 1
    eligible = [mark for mark in marks if mark.eligible and math.isfinite(mark.x) and math.isfinite(mark.y)]
    unbeaten = {(mark.x, mark.y) for mark in eligible if not any(beats(other, mark, sign) for other in eligible)}
    edge = frontier(marks, rising=rising)
    assert {(mark.x, mark.y) for mark in edge} == unbeaten
    assert len(edge) == len(unbeaten)
    assert [mark.x for mark in edge] == sorted(mark.x for mark in edge)


def test_of_equal_trials_the_first_one_is_named() -> None:
    edge = frontier([Mark(number, "tree", 1.0, 1.0, True, True, 1) for number in (3, 1, 2)])
    assert [mark.number for mark in edge] == [1]
