"""Beliefs: which rumour wins, how a suspicion ends, and what is forgotten when."""

from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core import membership as module
from priomon_core.config import SECOND, DetectionSettings
from priomon_core.events import Died, Event, Flapping, Forgotten, Left, Refuted, Restarted, Suspected
from priomon_core.holdings import AgentReplica
from priomon_core.identity import Address, Identity
from priomon_core.membership import CALM, Membership
from priomon_core.messages import Delta
from priomon_core.metrics import BUILT_IN
from priomon_core.rumours import LARGEST_INCARNATION, Rumour, State

ALIVE, SUSPECT, DEAD, LEFT = State
TOMBSTONE = 100 * SECOND


def identity(i: int, generation: int = 1) -> Identity:
    return Identity(f"n{i}", generation, Address(f"10.0.0.{i + 1}", 7946))


KEYS = [identity(i).key for i in range(10)]
ME, A, B, C, D, E, *_ = KEYS


def membership(nodes: int = 10, **settings: int) -> Membership:
    """What n0 believes, who knows `nodes` nodes with itself. A suspicion lasts 3 s to 18 s, a tombstone 100 s."""
    replica = AgentReplica(identity(0), BUILT_IN)
    replica.publish(((0, 1),), 0)
    for i in range(1, nodes):
        slot = replica.introduce(identity(i))
        assert slot is not None
        replica.versions[slot] = 1
    replica.survey()
    replica.arrived.clear()
    return Membership(replica, DetectionSettings(**({"tombstone": TOMBSTONE} | settings)), SECOND)


def accusation(key: int, state: State, incarnation: int, accuser: int = E) -> Rumour:
    return Rumour(key, state, incarnation, accuser if state in (SUSPECT, DEAD) else 0)


def kinds(events: Sequence[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


PRECEDENCE = [
    # held,         heard,        then
    ((ALIVE, 0), (ALIVE, 0), (ALIVE, 0)),
    ((ALIVE, 0), (SUSPECT, 0), (SUSPECT, 0)),
    ((ALIVE, 1), (SUSPECT, 0), (ALIVE, 1)),
    ((ALIVE, 1), (SUSPECT, 1), (SUSPECT, 1)),
    ((ALIVE, 0), (DEAD, 0), (DEAD, 0)),
    ((ALIVE, 1), (DEAD, 0), (ALIVE, 1)),
    ((ALIVE, 0), (LEFT, 1), (LEFT, 1)),
    ((SUSPECT, 0), (ALIVE, 0), (SUSPECT, 0)),
    ((SUSPECT, 0), (ALIVE, 1), (ALIVE, 1)),
    ((SUSPECT, 1), (SUSPECT, 0), (SUSPECT, 1)),
    ((SUSPECT, 0), (SUSPECT, 1), (SUSPECT, 1)),
    ((SUSPECT, 0), (DEAD, 0), (DEAD, 0)),
    ((SUSPECT, 1), (DEAD, 0), (SUSPECT, 1)),
    ((DEAD, 0), (ALIVE, 0), (DEAD, 0)),
    ((DEAD, 0), (SUSPECT, 0), (DEAD, 0)),
    ((DEAD, 0), (ALIVE, 1), (ALIVE, 1)),
    ((DEAD, 0), (SUSPECT, 1), (SUSPECT, 1)),
    ((DEAD, 0), (LEFT, 1), (LEFT, 1)),
    ((LEFT, 1), (DEAD, 1), (LEFT, 1)),
    ((LEFT, 1), (SUSPECT, 1), (LEFT, 1)),
    ((LEFT, 1), (ALIVE, 1), (LEFT, 1)),
]


@pytest.mark.parametrize(("held", "heard", "then"), PRECEDENCE)
def test_precedence(held: tuple[State, int], heard: tuple[State, int], then: tuple[State, int]) -> None:
    one = membership()
    one.hear(accusation(A, *held), 0)
    one.hear(accusation(A, *heard), 1)
    belief = one.belief(A)
    assert (one.state(A), belief.incarnation if belief else 0) == then


RUMOURS = st.builds(accusation, st.sampled_from((A, B)), st.sampled_from(State), st.integers(0, 3), st.sampled_from((C, D, E)))


@given(st.lists(RUMOURS, max_size=12).flatmap(lambda rumours: st.tuples(st.just(rumours), st.permutations(rumours))))
def test_any_order_of_the_same_rumours_gives_the_same_belief(orders: tuple[list[Rumour], list[Rumour]]) -> None:
    told = []
    for order in orders:
        one = membership()
        for rumour in order:
            one.hear(rumour, 0)
        told.append(([outcome(one, key) for key in (A, B)], set(one.departed)))
    assert told[0] == told[1]


def outcome(one: Membership, key: int) -> tuple[State, int, int]:
    """State, incarnation, and how many accusers a suspicion has: what rumours alone decide."""
    belief = one.belief(key)
    if belief is None:
        return ALIVE, 0, 0
    accusers = len(belief.suspicion.accusers) if belief.state == SUSPECT and belief.suspicion else 0
    return belief.state, belief.incarnation, accusers


def test_a_suspicion_becomes_a_verdict_in_time() -> None:
    one = membership()
    assert one.accuse(A, 0, "silent")
    assert one.deadline == 18 * SECOND
    one.expire(18 * SECOND - 1)
    assert one.state(A) == SUSPECT
    one.expire(18 * SECOND)
    assert one.state(A) == DEAD and one.departed == {A: 18 * SECOND + TOMBSTONE}
    assert kinds(one.events) == [Suspected, Died]
    assert one.rumours.take(100, 10) == [Rumour(A, DEAD, 0, ME)]


def test_three_confirmations_make_it_six_times_as_fast() -> None:
    one = membership()
    one.accuse(A, 0, "silent")
    for accuser in (B, B, C, D):
        one.hear(Rumour(A, SUSPECT, 0, accuser), SECOND)
    assert one.deadline == 3 * SECOND
    assert {rumour.accuser for rumour in one.rumours.take(100, 10)} == {ME, B, C, D}


def test_accusing_again_confirms_nothing() -> None:
    one = membership()
    assert one.accuse(A, 0, "silent")
    assert not one.accuse(A, 1, "silent")
    one.hear(Rumour(B, SUSPECT, 0, C), 0)
    assert one.accuse(B, 1, "silent")
    one.condemn(A, 2, "really")
    assert not one.accuse(A, 3, "silent")
    assert one.state(A) == DEAD


def test_the_accused_refutes() -> None:
    one = membership()
    assert one.hear(Rumour(ME, SUSPECT, 0, B), 5) == Rumour(ME, ALIVE, 1)
    assert one.incarnation == 1
    assert one.hear(Rumour(ME, DEAD, 7, B), 6) == Rumour(ME, ALIVE, 8)
    assert one.rumours.take(100, 10) == [Rumour(ME, ALIVE, 8)]
    assert one.events == [Refuted(5, ME, "n0", 1, False), Refuted(6, ME, "n0", 8, True)]


def test_an_old_accusation_is_answered_without_a_new_incarnation() -> None:
    one = membership()
    one.hear(Rumour(ME, SUSPECT, 4, B), 0)
    for _ in range(50):
        one.rumours.take(100, 10)
    assert one.hear(Rumour(ME, SUSPECT, 2, C), 1) == Rumour(ME, ALIVE, 5)
    assert one.incarnation == 5
    assert one.rumours.take(100, 10) == [Rumour(ME, ALIVE, 5)]


def test_incarnations_end_without_harm() -> None:
    one = membership()
    one.hear(Rumour(ME, DEAD, LARGEST_INCARNATION - 1, B), 0)
    assert one.incarnation == LARGEST_INCARNATION
    one.hear(Rumour(A, ALIVE, LARGEST_INCARNATION), 0)
    assert not one.accuse(A, 1, "silent")
    one.condemn(A, 1, "silent")
    one.hear(Rumour(A, DEAD, LARGEST_INCARNATION - 1, B), 1)
    assert one.state(A) == ALIVE
    one.hear(Rumour(ME, DEAD, LARGEST_INCARNATION - 1, B), 1)
    assert one.incarnation == LARGEST_INCARNATION


def test_whoever_is_behind_is_told() -> None:
    one = membership()
    one.hear(Rumour(A, ALIVE, 3), 0)
    for _ in range(50):
        one.rumours.take(100, 10)
    assert one.hear(Rumour(A, DEAD, 2, B), 1) == Rumour(A, ALIVE, 3)
    assert one.rumours.take(100, 10) == [Rumour(A, ALIVE, 3)]
    assert one.hear(Rumour(A, ALIVE, 3), 1) is None


@pytest.mark.parametrize("state", [SUSPECT, DEAD])
def test_an_accuser_that_is_not_held_alive_is_not_believed(state: State) -> None:
    one = membership()
    one.hear(accusation(B, state, 0), 0)
    one.hear(Rumour(A, SUSPECT, 0, B), 1)
    one.hear(Rumour(A, DEAD, 0, B), 1)
    assert one.state(A) == ALIVE
    one.hear(Rumour(B, ALIVE, 1), 2)
    one.hear(Rumour(A, DEAD, 0, B), 3)
    assert one.state(A) == DEAD


@pytest.mark.parametrize("held", [(ALIVE, 0), (SUSPECT, 0), (DEAD, 0), (ALIVE, 1), (LEFT, 1)])
def test_a_question_is_answered_by_who_knows_better_and_believed_by_nobody(held: tuple[State, int]) -> None:
    asking, asked = membership(), membership()
    asking.hear(Rumour(A, DEAD, 0, B), 0)
    asked.hear(accusation(A, *held), 0)
    before = outcome(asked, A)
    answer = asked.hear(asking.question(A), 1)
    assert outcome(asked, A) == before
    assert answer == (accusation(A, *held) if held[1] else None)
    if answer is not None:
        asking.hear(answer, 2)
        assert outcome(asking, A) == before


def test_nothing_is_believed_of_unknown_nodes() -> None:
    one = membership(3)
    stranger = identity(8).key
    one.hear(Rumour(stranger, DEAD, 0, A), 0)
    assert not one.accuse(stranger, 0, "silent")
    one.condemn(stranger, 0, "silent")
    assert one.belief(stranger) is None and one.departed == {}


def test_who_leaves_is_gone_and_says_nothing_more() -> None:
    one, other = membership(), membership()
    goodbye = one.leave()
    assert one.gone and goodbye == Rumour(ME, LEFT, 1)
    other_me = Rumour(A, LEFT, 1)
    other.accuse(A, 0, "silent")
    other.hear(other_me, 1)
    assert other.state(A) == LEFT and A in other.departed and not other.last_calls(0)
    assert kinds(other.events) == [Suspected, Left]


def test_tombstones_and_refusals_end() -> None:
    one = membership()
    one.condemn(A, 0, "silent")
    one.expire(TOMBSTONE - 1)
    assert one.replica.known(A) is not None
    one.expire(TOMBSTONE)
    assert one.replica.known(A) is None and one.belief(A) is None and one.departed == {}
    assert one.replica.introduce(identity(1)) is None  # type: ignore[attr-defined]
    assert one.refused_until("n1") == 2 * TOMBSTONE
    one.expire(2 * TOMBSTONE)
    assert one.refused_until("n1") is None
    assert one.replica.introduce(identity(1)) is not None  # type: ignore[attr-defined]
    assert kinds(one.events) == [Died, Forgotten]


def test_a_forgotten_node_is_welcome_when_it_speaks_itself() -> None:
    one = membership()
    one.condemn(A, 0, "silent")
    one.expire(TOMBSTONE)
    one.spoke(B)
    assert one.replica.introduce(identity(1)) is None  # type: ignore[attr-defined]
    one.spoke(A)
    assert one.replica.introduce(identity(1)) is not None and not one.refused  # type: ignore[attr-defined]


def test_a_forgotten_node_is_welcome_when_it_has_refuted() -> None:
    one = membership()
    one.hear(Rumour(A, DEAD, 3, B), 0)
    one.expire(TOMBSTONE)
    one.hear(Rumour(A, ALIVE, 3), TOMBSTONE)
    assert one.refused_until("n1") == 2 * TOMBSTONE
    one.hear(Rumour(A, ALIVE, 4), TOMBSTONE)
    assert one.refused_until("n1") is None


def test_the_departed_are_withheld_from_others_until_they_return() -> None:
    one = membership()
    row, slot = one.replica.versions, one.replica.known(A)
    assert slot is not None

    def introduced() -> bool:
        versions = array("q", [version if i == slot else 0 for i, version in enumerate(row)])
        nothing = array("q", bytes(8 * len(row)))
        return one.replica.introduces(Delta(one.replica.key, B, 0, len(row), versions, nothing, 1, 0, 0, 1))

    for incarnation, departure in enumerate((DEAD, LEFT)):
        one.hear(Rumour(A, SUSPECT, incarnation, B), 0)
        assert introduced()
        one.hear(Rumour(A, departure, incarnation, B), 0)
        assert not introduced()
        one.hear(Rumour(A, ALIVE, incarnation + 1), 0)
        assert introduced()


def test_a_younger_generation_ends_all_that_was_held_against_the_older() -> None:
    one = membership()
    one.accuse(A, 0, "silent")
    one.replica.introduce(identity(1, 2))  # type: ignore[attr-defined]
    ((older, younger),) = one.replica.superseded
    one.superseded(older, younger, 7)
    one.expire(100 * SECOND)
    assert older == A and one.belief(A) is None and one.deadline == module.NEVER
    assert [type(event) for event in one.events] == [Suspected, Restarted]
    one.hear(Rumour(A, DEAD, 5, B), 8)
    assert one.departed == {}


def test_flapping_is_counted_and_lengthens_suspicion() -> None:
    one = membership()
    lasted = []
    for i in range(8):
        one.accuse(A, 0, "silent")
        suspicion = one.belief(A).suspicion  # type: ignore[union-attr]
        assert suspicion is not None
        lasted.append(suspicion.least // SECOND)
        one.hear(Rumour(A, DEAD, i, B), 0)
        one.hear(Rumour(A, ALIVE, i + 1), 0)
    assert lasted == [3, 6, 9, 12, 15, 18, 18, 18]
    assert [event.times for event in one.events if isinstance(event, Flapping)] == [2, 3, 4, 5, 6, 7, 8]
    one.accuse(A, 6 * CALM, "silent")
    assert one.belief(A).suspicion.least == (1 + 2) * 3 * SECOND  # type: ignore[union-attr]


def test_postponing_holds_verdicts() -> None:
    one = membership()
    one.accuse(A, 0, "silent")
    one.postpone(4 * SECOND)
    one.expire(22 * SECOND - 1)
    assert one.state(A) == SUSPECT
    one.expire(22 * SECOND)
    assert one.state(A) == DEAD


def test_before_a_verdict_the_accusation_is_told_again() -> None:
    one = membership()
    one.accuse(A, 0, "silent")
    for _ in range(50):
        one.rumours.take(100, 10)
    assert one.last_calls(14 * SECOND) == [] and one.rumours.count == 0
    assert one.last_calls(15 * SECOND) == [A]
    assert one.rumours.take(100, 10) == [Rumour(A, SUSPECT, 0, ME)]


def test_only_a_few_of_many_suspects_are_asked_once_more() -> None:
    one = membership()
    for key in KEYS[1:]:
        one.accuse(key, 0, "silent")
    assert one.last_calls(one.deadline) == KEYS[1 : 1 + module.MOST_CALLS] != KEYS[1:]


def test_in_a_pair_nobody_can_confirm() -> None:
    one = membership(2)
    one.accuse(A, 0, "silent")
    assert one.deadline == 3 * SECOND


def test_memory_of_the_departed_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DEPARTED", 4)
    one = membership()
    for now, key in enumerate(KEYS[1:]):
        one.condemn(key, now, "silent")
        one.expire(now)
    assert list(one.departed) == KEYS[-4:] and list(one.refused) == KEYS[2:6]
    assert one.live == 1


def test_many_lives_and_deaths_leave_nothing_behind() -> None:
    one = membership(2)
    for i in range(2000):
        key = Identity(f"churn{i}", 1, Address("10.9.0.1", 1)).key
        slot = one.replica.introduce(Identity(f"churn{i}", 1, Address("10.9.0.1", 1)))  # type: ignore[attr-defined]
        one.replica.versions[slot] = 1
        one.replica.survey()
        one.accuse(key, i * SECOND, "silent")
        one.expire(i * SECOND)
        one.events.clear()
    held = [one.departed, one.refused, one.replica.values.keys, one.replica._refused, one.replica.holdings._generations, one._beliefs]  # type: ignore[attr-defined]
    assert max(map(len, held)) <= 2 * (TOMBSTONE // SECOND) + 30
    assert one.rumours.count <= 2 * (TOMBSTONE // SECOND) + 30
