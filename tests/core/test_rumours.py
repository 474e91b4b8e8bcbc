"""What a node passes on: often enough, the fresh first, within the room there is, and never more than it may keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.rumours import MOST_RUMOURS, Rumour, Rumours, State, rumour_size, rumours_size

ROOM = 1000


def alive(key: int, incarnation: int = 1) -> Rumour:
    return Rumour(key, State.ALIVE, incarnation)


@pytest.mark.parametrize(("nodes", "times"), [(1, 2), (2, 2), (9, 2), (10, 4), (99, 4), (100, 6), (1000, 8)])
def test_a_rumour_is_told_a_logarithmic_number_of_times(nodes: int, times: int) -> None:
    rumours = Rumours(2)
    rumours.add(alive(1))
    told = [rumours.take(ROOM, nodes) for _ in range(times + 3)]
    assert told == [[alive(1)]] * times + [[]] * 3
    assert rumours.count == 0


def test_those_told_least_often_go_first() -> None:
    rumours = Rumours(4)
    room = 2 + 2 * rumour_size(alive(1))
    for key in (1, 2):
        rumours.add(alive(key))
    assert rumours.take(room, 100) == [alive(1), alive(2)]
    rumours.add(alive(3))
    assert rumours.take(room, 100) == [alive(3), alive(1)]
    assert rumours.take(room, 100) == [alive(2), alive(3)]


def test_a_stronger_rumour_replaces_weaker_ones() -> None:
    rumours = Rumours(4)
    accusations = [Rumour(1, State.SUSPECT, 0, accuser) for accuser in (7, 8)]
    for rumour in accusations:
        rumours.add(rumour)
    assert rumours.take(ROOM, 10) == accusations
    rumours.add(alive(1))
    assert rumours.take(ROOM, 10) == [alive(1)] and rumours.count == 1


def test_adding_what_is_being_told_does_not_begin_again() -> None:
    rumours = Rumours(1)
    for _ in range(3):
        rumours.add(alive(1))
    assert rumours.take(ROOM, 9) == [alive(1)]
    assert rumours.take(ROOM, 9) == []


def test_a_node_can_be_dropped() -> None:
    rumours = Rumours(4)
    for rumour in (Rumour(1, State.SUSPECT, 0, 7), Rumour(1, State.SUSPECT, 0, 8), alive(2)):
        rumours.add(rumour)
    rumours.drop(1)
    rumours.drop(99)
    assert rumours.take(ROOM, 9) == [alive(2)]


def test_no_more_are_kept_than_allowed_and_the_stale_go_first() -> None:
    rumours = Rumours(4)
    rumours.add(alive(0))
    rumours.take(ROOM, 100)
    for key in range(1, MOST_RUMOURS + 1):
        rumours.add(alive(key))
    assert rumours.count == MOST_RUMOURS
    assert alive(0) not in rumours.take(1 << 20, 100)


@given(
    st.lists(st.builds(Rumour, st.integers(0, 2**32 - 1), st.sampled_from(State), st.integers(0, 10**6), st.integers(1, 9)), max_size=60),
    st.integers(-5, 400),
)
def test_what_is_taken_fits(rumours: list[Rumour], room: int) -> None:
    queue = Rumours(4)
    for rumour in rumours:
        queue.add(rumour)
    taken = queue.take(room, 1000)
    assert rumours_size(taken) <= max(room, 0)
    assert len(set(taken)) == len(taken)
    if queue.count and not taken:
        assert room < 2 + max(map(rumour_size, rumours))
