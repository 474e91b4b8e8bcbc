"""Reads: whom they ask and when, what they take for an answer, and when they end."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.config import NEVER, SECOND
from priomon_core.errors import QueryError
from priomon_core.holdings import AgentReplica
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN
from priomon_core.patience import FIRST
from priomon_core.quorum import MOST_AT_ONCE, MOST_READS, Outcome, Reads
from priomon_core.quorum_level import parse_level
from priomon_core.quorum_wire import Answer, Query
from priomon_core.rumours import State
from priomon_core.strategies.base import Outbox, Peer
from priomon_core.wire import Codec, Introduction

CODEC = Codec("test", BUILT_IN)
OWN_LEVELS = ((0, 10), (1, 20))
TARGET = Identity("target", 1, Address("10.0.0.99", 7946))


class Rest:
    """The strategy behind the reads, which writes down what reaches it."""

    def __init__(self) -> None:
        self.outbox: Outbox = []
        self.received: list[Any] = []

    def round(self, peers: Sequence[Peer], now: int) -> None:
        self.received.append(list(peers))

    def receive(self, message: Any, source: Peer, now: int) -> None:
        self.received.append(message)


class Reader:
    """A node that knows `others` and, at version 5, the target; tests play everybody else. `states` are what it holds others for."""

    def __init__(self, others: int, seed: int = 1) -> None:
        self.replica = AgentReplica(Identity("me", 1, Address("10.0.0.1", 7946)), BUILT_IN)
        self.replica.publish([(0, 1)], 0)
        self.others = [Identity(f"n{i}", 1, Address("10.0.1.1", 1000 + i)) for i in range(others - 1)]
        for identity in self.others:
            learn(self.replica, identity, 1, ())
        learn(self.replica, TARGET, 5, OWN_LEVELS)
        self.rest = Rest()
        self.states: dict[int, State] = {}
        self.reads = Reads(self.replica, self.rest, self.replica, Random(seed))
        self.keys = {identity.address: identity.key for identity in (*self.others, TARGET)}

    def begin(self, level: str, within: int = 10 * SECOND, now: int = 0) -> int:
        return self.reads.begin(TARGET.key, parse_level(level), within, now, lambda key: self.states.get(key, State.ALIVE))

    def asked(self) -> list[tuple[int, Query]]:
        """Whom it has asked since this was called last: (key, question)."""
        sent = [(self.keys[peer], message) for peer, message in self.rest.outbox]
        self.rest.outbox.clear()
        for _, message in sent:
            assert isinstance(message, Query)
            assert len(CODEC.encode(message)) == message.size
        return sent  # type: ignore[return-value]

    def answer(self, key: int, query: Query, version: int, now: int, levels: tuple[tuple[int, int], ...] = (), age: int = 0) -> None:
        self.reads.receive(Answer(key, query.number, version, age, levels, 0), None, now)

    def outcome(self) -> Outcome:
        """How the only read has ended."""
        (outcome,) = self.reads.outcomes
        assert self.reads.deadline == NEVER
        return outcome


def learn(replica: AgentReplica, identity: Identity, version: int, levels: tuple[tuple[int, int], ...]) -> None:
    slot = replica.introduce(identity)
    assert slot is not None
    replica.values.store(slot, Introduction(identity, version, 0, levels), 0)
    replica.versions[slot] = version
    replica.survey()


def test_local_asks_nobody() -> None:
    reader = Reader(5)
    reader.begin("local", now=3 * SECOND)
    outcome = reader.outcome()
    assert reader.asked() == [] and outcome.met and outcome.messages == 0 and outcome.answers == ()
    assert (outcome.result.key, outcome.result.version, outcome.result.levels) == (reader.replica.key, 5, OWN_LEVELS)


@pytest.mark.parametrize(("level", "asked"), [("from(3)", 3), ("agree(2)", 2), ("majority", 5), ("all", 9)])
def test_as_many_are_asked_in_parallel_as_the_level_needs(level: str, asked: int) -> None:
    reader = Reader(9)
    reader.begin(level)
    assert len({key for key, _ in reader.asked()}) == asked


def test_the_freshest_answer_wins_with_what_it_changes() -> None:
    reader = Reader(9)
    reader.begin("from(3)")
    questions = reader.asked()
    assert {query.since for _, query in questions} == {5}
    for (key, query), version in zip(questions, (5, 8, 4), strict=True):
        reader.answer(key, query, version, SECOND // 10, ((1, 77),) if version > 5 else ())
    outcome = reader.outcome()
    assert outcome.met and outcome.messages == 6 and outcome.ended == SECOND // 10
    assert (outcome.result.key, outcome.result.version, outcome.result.levels) == (questions[1][0], 8, ((0, 10), (1, 77)))
    assert [(held.key, held.version) for held in outcome.answers] == [(questions[i][0], version) for i, version in enumerate((5, 8, 4))]


def test_who_knows_nothing_is_replaced_at_once() -> None:
    reader = Reader(9)
    reader.begin("from(2)")
    (first, query), _ = reader.asked()
    reader.answer(first, query, 0, 1000)
    ((third, _),) = reader.asked()
    assert third != first and reader.reads.outcomes == []


def test_agreement_needs_equal_versions_and_equal_values() -> None:
    reader = Reader(9)
    reader.begin("agree(2)")
    questions = reader.asked()
    assert {query.since for _, query in questions} == {0}
    for i, (version, levels) in enumerate([(6, ((0, 1),)), (6, ((0, 2),)), (7, ((0, 2),)), (6, ((0, 2),))]):
        assert reader.reads.outcomes == []
        key, query = questions[i]
        reader.answer(key, query, version, 1000, levels)
        questions += reader.asked()
    outcome = reader.outcome()
    assert outcome.met and (outcome.result.version, outcome.result.levels) == (6, ((0, 2),))


def test_late_answers_make_it_ask_others_and_ever_more() -> None:
    reader = Reader(60)
    reader.begin("from(3)")
    seen: list[int] = []
    for expected in (3, 6, 12, 24):
        keys = [key for key, _ in reader.asked()]
        assert len(keys) == expected and not set(keys) & set(seen)
        seen += keys
        reader.reads.wake(reader.reads.deadline)


def test_once_all_were_asked_it_asks_again_and_less_often() -> None:
    reader = Reader(3)
    reader.begin("all", within=20 * FIRST)
    times = []
    while not reader.reads.outcomes:
        assert len(reader.asked()) == 3
        times.append(now := reader.reads.deadline)
        reader.reads.wake(now)
    assert times == [FIRST, 3 * FIRST, 7 * FIRST, 15 * FIRST, 20 * FIRST]
    assert not reader.outcome().met


def test_the_dead_are_not_asked_and_suspects_come_last() -> None:
    reader = Reader(9)
    dead, suspects = [one.key for one in reader.others[:3]], [one.key for one in reader.others[3:6]]
    reader.states = dict.fromkeys(dead, State.DEAD) | dict.fromkeys(suspects, State.SUSPECT)
    reader.begin("from(4)")
    asked = [key for key, _ in reader.asked()]
    assert not set(asked) & set(dead) and set(asked[:3]).isdisjoint(suspects) and asked[3] in suspects


def test_what_cannot_be_met_does_not_wait_for_the_deadline() -> None:
    reader = Reader(9)
    reader.states = dict.fromkeys([one.key for one in reader.others[:6]], State.DEAD)
    reader.begin("majority")
    for key, query in reader.asked():
        reader.answer(key, query, 6, 2000)
    outcome = reader.outcome()
    assert not outcome.met and outcome.ended == 2000 and outcome.result.version == 6 and len(outcome.answers) == 3


def test_who_dies_while_it_is_asked_is_not_waited_for() -> None:
    reader = Reader(2)
    reader.begin("all")
    (first, query), (second, _) = reader.asked()
    reader.answer(first, query, 5, 1000)
    reader.states[second] = State.DEAD
    reader.reads.wake(reader.reads.deadline)
    assert not reader.outcome().met


def test_who_left_is_no_member_and_who_is_dead_still_is() -> None:
    reader = Reader(9)
    gone = [one.key for one in reader.others[:4]]
    reader.states = dict.fromkeys(gone, State.LEFT)
    reader.begin("majority")
    assert len(reader.asked()) == 3
    reader.states = dict.fromkeys(gone, State.DEAD)
    reader.begin("majority")
    assert len(reader.asked()) == 5


def test_a_read_of_everybody_is_a_window_that_slides() -> None:
    reader = Reader(200)
    reader.begin("all")
    questions = reader.asked()
    assert len(questions) == MOST_AT_ONCE
    answered = 0
    while questions:
        key, query = questions.pop()
        reader.answer(key, query, 5, 1000)
        answered += 1
        questions += reader.asked()
        assert len(questions) <= MOST_AT_ONCE
    assert answered == 200 and reader.outcome().met


def test_what_cannot_be_read_is_refused_and_nothing_is_sent() -> None:
    reader = Reader(3)
    with pytest.raises(QueryError, match="is not known here"):
        reader.reads.begin(12345, parse_level("local"), SECOND, 0, lambda key: State.ALIVE)
    with pytest.raises(QueryError, match=r"from\(4\): expected at most 3"):
        reader.begin("from(4)")
    assert reader.asked() == [] and reader.reads.outcomes == []
    for _ in range(MOST_READS):
        reader.begin("all")
    with pytest.raises(QueryError, match="reads are under way"):
        reader.begin("all")


def test_what_is_for_the_strategy_goes_there() -> None:
    reader = Reader(3)
    reader.reads.round(["peer"], 0)
    reader.reads.receive("news", "peer", 0)
    assert reader.rest.received == [["peer"], "news"]


@pytest.mark.parametrize("since", [0, 4, 5, 9])
def test_an_answer_carries_what_changed_since(since: int) -> None:
    reader = Reader(3)
    reader.reads.receive(Query(7, 3, TARGET.key, since, 0), "asker", SECOND)
    ((peer, answer),) = reader.rest.outbox
    assert isinstance(answer, Answer) and peer == "asker"
    assert (answer.sender, answer.number, answer.version) == (reader.replica.key, 3, 5)
    assert answer.levels == (OWN_LEVELS if since < 5 else ())
    assert len(CODEC.encode(answer)) == answer.size


def test_who_knows_nothing_says_so() -> None:
    reader = Reader(3)
    reader.reads.receive(Query(7, 3, 12345, 0, 0), "asker", SECOND)
    ((_, answer),) = reader.rest.outbox
    assert answer == Answer(reader.replica.key, 3, 0, 0, (), len(CODEC.encode(answer)))  # type: ignore[arg-type]


Act = tuple[str, int]
ACTS = st.lists(st.tuples(st.sampled_from(("answer", "nothing", "again", "stranger", "late", "wait")), st.integers(0, 10**6)), max_size=80)


@given(st.sampled_from(("from(3)", "majority", "all", "agree(3)")), st.integers(4, 20), st.integers(0, 10**6), ACTS)
def test_whatever_happens(level: str, others: int, seed: int, acts: list[Act]) -> None:
    """No responder counts twice, no read outlives its deadline, and one is met exactly if as many answered as its level needs."""
    reader, random = Reader(others, seed), Random(seed)
    within, now = SECOND, 0
    number = reader.begin(level, within)
    asked: dict[int, Query] = {}
    said: dict[int, int] = {}

    def act(kind: str, choice: int) -> None:
        nonlocal now
        asked.update(reader.asked())
        silent = sorted(set(asked) - set(said))
        if kind in ("answer", "nothing") and silent:
            key = silent[choice % len(silent)]
            said[key] = 0 if kind == "nothing" else random.choice((5, 6))
            reader.answer(key, asked[key], said[key], now)
        elif kind == "again" and said:
            key = sorted(said)[choice % len(said)]
            reader.answer(key, asked[key], 6, now)
        elif kind == "stranger" and (strangers := sorted(set(reader.keys.values()) - set(asked))):
            reader.answer(strangers[choice % len(strangers)], Query(0, number, 0, 0, 0), 6, now)
        elif kind == "late":
            reader.answer(choice, Query(0, number + 1, 0, 0, 0), 6, now)
        elif kind == "wait":
            now = min(now + choice * 1000, reader.reads.deadline)
            reader.reads.wake(now)

    for kind, choice in acts:
        if not reader.reads.outcomes:
            act(kind, choice)
            assert reader.reads.outcomes or now <= reader.reads.deadline <= within
    while not reader.reads.outcomes:
        now = reader.reads.deadline
        reader.reads.wake(now)
    outcome = reader.outcome()
    assert outcome.ended <= within
    assert {held.key: held.version for held in outcome.answers} == {key: version for key, version in said.items() if version}
    assert len({held.key for held in outcome.answers}) == len(outcome.answers)
    versions = [held.version for held in outcome.answers]
    most = max(map(versions.count, versions), default=0) if level == "agree(3)" else len(versions)
    assert outcome.met == (most >= parse_level(level).others(others + 1))
    assert outcome.result.version == max([5, *versions]) or (level == "agree(3)" and outcome.met)


def test_the_same_randomness_asks_the_same_nodes() -> None:
    def asked(seed: int) -> list[int]:
        reader = Reader(30, seed)
        reader.begin("from(5)")
        return [key for key, _ in reader.asked()]

    assert asked(3) == asked(3)
    assert len({tuple(asked(seed)) for seed in range(5)}) > 1
