"""A suspicion: the more independent accusers, the shorter."""

from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.suspicion import CONFIRMATIONS, Suspicion

LEAST, MOST = 10_000, 60_000


@pytest.mark.parametrize(
    ("accusers", "possible", "lasts"),
    [
        ([], 10, MOST),
        ([2], 10, MOST - round((MOST - LEAST) * log(2) / log(4))),
        ([2, 3], 10, MOST - round((MOST - LEAST) * log(3) / log(4))),
        ([2, 3, 4], 10, LEAST),
        ([2, 3, 4, 5, 6], 10, LEAST),
        ([1, 1, 1], 10, MOST),  # the first accuser again
        ([2, 2, 2], 10, MOST - round((MOST - LEAST) * log(2) / log(4))),
        ([2], 1, LEAST),  # nobody else could confirm
        ([], 0, LEAST),
        ([], -1, LEAST),
    ],
)
def test_how_long_it_lasts(accusers: list[int], possible: int, lasts: int) -> None:
    suspicion = Suspicion(1, 500, LEAST, MOST, possible)
    for accuser in accusers:
        suspicion.confirm(accuser, 700)
    assert suspicion.deadline == 500 + lasts


@given(st.lists(st.integers(1, 6)), st.integers(0, 8))
def test_a_confirmation_counts_once_and_never_lengthens(accusers: list[int], possible: int) -> None:
    suspicion = Suspicion(1, 0, LEAST, MOST, possible)
    for i, accuser in enumerate(accusers):
        before, known = suspicion.deadline, accuser in suspicion.accusers
        counted = suspicion.confirm(accuser, i)
        assert not (counted and known)
        assert (suspicion.deadline < before) == counted
    assert LEAST <= suspicion.deadline <= MOST
    assert suspicion.confirmations <= min(CONFIRMATIONS, possible)


def test_it_can_be_postponed() -> None:
    suspicion = Suspicion(1, 500, LEAST, MOST, 3)
    suspicion.postpone(250)
    assert suspicion.deadline == 750 + MOST


def test_the_longest_is_not_below_the_shortest() -> None:
    assert Suspicion(1, 0, LEAST, LEAST // 2, 3).deadline == LEAST
