"""How long a read waits before it asks somebody else."""

from hypothesis import given
from hypothesis import strategies as st

from priomon_core.patience import FIRST, LEAST, Patience

MILLISECOND = 1_000_000


def after(trips: list[int]) -> int:
    patience = Patience()
    for trip in trips:
        patience.took(trip)
    return patience.delay


def test_before_anything_was_measured() -> None:
    assert after([]) == FIRST


def test_equal_round_trips_leave_half_of_one() -> None:
    assert after([40 * MILLISECOND] * 60) in range(60 * MILLISECOND, 60 * MILLISECOND + 100)


def test_round_trips_that_vary_are_given_more_time() -> None:
    assert after([20 * MILLISECOND, 60 * MILLISECOND] * 60) > 100 * MILLISECOND


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=50))
def test_it_stays_between_the_least_and_what_the_longest_trip_explains(trips: list[int]) -> None:
    assert LEAST <= after(trips) <= max(LEAST, 6 * max(trips))
