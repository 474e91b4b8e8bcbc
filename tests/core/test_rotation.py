"""Whom to speak with: everybody once a pass, in an order of chance."""

from math import sqrt
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from priomon_core.rotation import Rotation


@given(st.integers(1, 60), st.integers(0, 1000))
def test_a_pass_visits_everybody_once(count: int, seed: int) -> None:
    rotation, peers = Rotation(Random(seed)), [f"peer{i}" for i in range(count)]
    for _ in range(3):
        assert sorted(peer for _ in range(count) for peer in rotation.next(peers, 1)) == sorted(peers)


@given(st.integers(0, 12), st.integers(1, 5), st.integers(0, 1000))
def test_partners_of_a_round_are_distinct(count: int, fanout: int, seed: int) -> None:
    rotation = Rotation(Random(seed))
    for _ in range(20):
        chosen = rotation.next(range(count), fanout)
        assert len(set(chosen)) == len(chosen) <= min(fanout, count)
        assert chosen or not count


@given(st.integers(1, 40), st.sets(st.integers(0, 39)), st.integers(0, 1000))
def test_those_passed_over_have_no_turn(count: int, out: set[int], seed: int) -> None:
    rotation = Rotation(Random(seed))
    visited = [peer for _ in range(2 * count) for peer in rotation.next(range(count), 1, lambda peer: peer in out)]
    assert set(visited) == set(range(count)) - out


def test_a_list_may_change_at_any_time() -> None:
    rotation = Rotation(Random(1))
    for count in (5, 3, 0, 7, 7, 1, 2):
        assert set(rotation.next(range(count), 2)) <= set(range(count))


def test_each_round_is_as_good_as_a_draw() -> None:
    """Also the tenth of a pass: the number of visits to each peer is that of independent draws, or closer to the mean."""
    visits = [0] * 50
    for seed in range(5000):
        rotation = Rotation(Random(seed))
        visits[[rotation.next(range(50), 1) for _ in range(10)][-1][0]] += 1
    assert all(abs(count - 100) < 4.5 * sqrt(100) for count in visits)
