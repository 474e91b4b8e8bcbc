"""GossipNode: when rounds begin, with whom, and what a sample does."""

import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.config import NEVER, SECOND, DetectionSettings, GossipSettings
from priomon_core.errors import SampleError, SettingError
from priomon_core.holdings import AgentReplica
from priomon_core.identity import Address, Identity
from priomon_core.messages import Digest
from priomon_core.metrics import BUILT_IN
from priomon_core.node import GossipNode
from priomon_core.priority import Publisher
from priomon_core.rumours import Rumour, State
from priomon_core.strategies.base import Outbox, Peer, Strategy
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_core.watch import Watch
from priomon_core.wire import Ask, Call, Introduction

PERIOD = 2 * SECOND
FIRST = SECOND // 2


class Diary(Strategy):
    """A strategy that writes down what it was told."""

    def __init__(self) -> None:
        self.outbox: Outbox = []
        self.rounds: list[tuple[int, list[Peer]]] = []
        self.received: list[tuple[Any, Peer, int]] = []

    def round(self, peers: Sequence[Peer], now: int) -> None:
        self.rounds.append((now, list(peers)))

    def receive(self, message: Any, source: Peer, now: int) -> None:
        self.received.append((message, source, now))


def node(peers: Sequence[Peer] = ("a", "b", "c"), fanout: int = 1, seed: int = 1) -> tuple[GossipNode, Diary]:
    diary = Diary()
    replica = AgentReplica(Identity("me", 1, Address("10.0.0.1", 7946)), BUILT_IN)
    settings = GossipSettings(period=PERIOD, fanout=fanout)
    return GossipNode(replica, diary, Publisher(BUILT_IN), peers, settings, Random(seed), FIRST), diary


def test_rounds_begin_at_their_deadlines() -> None:
    gossip, diary = node()
    for now in range(0, 10 * SECOND, SECOND // 2):
        gossip.wake(now)
    assert [now for now, _ in diary.rounds] == [FIRST + i * PERIOD for i in range(5)]


def test_waking_early_does_nothing() -> None:
    gossip, diary = node()
    gossip.wake(FIRST - 1)
    assert diary.rounds == [] and gossip.deadline == FIRST


def test_waking_late_keeps_the_rhythm() -> None:
    gossip, _ = node()
    gossip.wake(FIRST + PERIOD - 1)
    assert gossip.deadline == FIRST + PERIOD


@given(st.integers(PERIOD, 100 * PERIOD))
def test_overslept_rounds_are_not_made_up_for(late: int) -> None:
    gossip, diary = node()
    gossip.wake(FIRST + late)
    gossip.wake(FIRST + late)
    assert len(diary.rounds) == 1
    assert gossip.deadline == FIRST + late + PERIOD


@given(st.integers(1, 8), st.integers(0, 6), st.integers(0, 1000))
def test_a_round_has_distinct_peers(fanout: int, count: int, seed: int) -> None:
    gossip, diary = node(range(count), fanout, seed)
    for _ in range(5):
        gossip.wake(gossip.deadline)
    assert len(diary.rounds) == (5 if count else 0)
    for _, peers in diary.rounds:
        assert len(set(peers)) == len(peers) == min(fanout, count)
        assert set(peers) <= set(range(count))


def test_without_peers_time_goes_on() -> None:
    gossip, diary = node(())
    gossip.wake(FIRST)
    assert diary.rounds == [] and gossip.deadline == FIRST + PERIOD
    gossip.peers = ("late",)
    gossip.wake(FIRST + PERIOD)
    assert diary.rounds == [(FIRST + PERIOD, ["late"])]


@pytest.mark.parametrize("fanout", [1, 2])
def test_every_peer_has_the_same_chance(fanout: int) -> None:
    gossip, diary = node(range(4), fanout)
    for _ in range(4000):
        gossip.wake(gossip.deadline)
    chosen = [peer for _, peers in diary.rounds for peer in peers]
    share = fanout / 4
    assert all(abs(chosen.count(peer) - 4000 * share) < 4 * math.sqrt(4000 * share * (1 - share)) for peer in range(4))


def test_the_same_seed_chooses_the_same_peers() -> None:
    rounds = []
    for seed in (1, 1, 2):
        gossip, diary = node(range(10), 2, seed)
        for _ in range(10):
            gossip.wake(gossip.deadline)
        rounds.append(diary.rounds)
    assert rounds[0] == rounds[1] != rounds[2]


def test_messages_go_to_the_strategy_and_come_from_it() -> None:
    gossip, diary = node()
    gossip.receive("hello", "a", 7)
    assert diary.received == [("hello", "a", 7)]
    diary.outbox.append(("a", "reply"))
    assert gossip.outbox == [("a", "reply")]


def test_a_sample_worth_it_is_a_publication() -> None:
    gossip, _ = node()
    versions = []
    for now, cpu in enumerate([50.0, 51.0, 56.0, math.nan]):
        gossip.sample((cpu, 40.0, 0.0, 70.0), now)
        versions.append(gossip.replica.versions[0])
    assert versions == [1, 1, 2, 2]
    assert gossip.replica.values.changes(0, 1, 2) == ((0, 112),)
    assert gossip.publisher.missing == [1, 0, 0, 0]


def test_a_refused_sample_is_no_publication() -> None:
    gossip, _ = node()
    with pytest.raises(SampleError):
        gossip.sample((50.0, -1.0, 0.0, 70.0), 0)
    assert gossip.replica.versions[0] == 0 and gossip.publisher.published == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("field", "smallest", "unit"),
    [("period", 1, "ns"), ("fanout", 1, "peers"), ("datagram_limit", 256, "B"), ("burst", 1, "datagrams"), ("settling", 0, "rounds")],
)
def test_settings_out_of_range_are_refused(field: str, smallest: int, unit: str) -> None:
    assert getattr(GossipSettings(**{field: smallest}), field) == smallest
    with pytest.raises(SettingError, match=f"{field}: expected at least {smallest} {unit}, found {smallest - 1}"):
        GossipSettings(**{field: smallest - 1})


def watched(detector: str = "swim") -> tuple[GossipNode, AgentReplica]:
    """A node with a watch and scuttlebutt that knows three others at 10.0.0.2 to 10.0.0.4."""
    replica = AgentReplica(Identity("me", 1, Address("10.0.0.1", 7946)), BUILT_IN)
    replica.publish(((0, 1),), 0)
    for i, other in enumerate(OTHERS):
        slot = replica.introduce(other)
        assert slot is not None
        replica.values.store(slot, Introduction(other, 1, 0, ((0, i),)), 0)
        replica.versions[slot] = 1
    replica.survey()
    gossip = GossipSettings(period=PERIOD)
    strategy = Scuttlebutt(replica, gossip)
    watch = Watch(replica, strategy, replica, gossip, DetectionSettings(detector=detector), Random(1))
    peers = [other.address for other in OTHERS]
    return GossipNode(replica, strategy, Publisher(BUILT_IN), peers, gossip, Random(1), FIRST, watch), replica


OTHERS = [Identity(f"other{i}", 1, Address(f"10.0.0.{i + 2}", 7946)) for i in range(3)]
KEYS = [other.key for other in OTHERS]


def said(gossip: GossipNode) -> list[tuple[Peer, Any]]:
    messages = list(gossip.outbox)
    gossip.outbox.clear()
    return messages


def test_watched_partners_take_turns_and_are_asked_for_an_answer() -> None:
    gossip, _ = watched()
    partners = []
    for _ in range(6):
        gossip.wake(gossip.round_due)
        ((peer, digest),) = said(gossip)
        assert digest.probe and digest.rumours == ()
        gossip.receive(Call(KEYS[gossip.peers.index(peer)], Ask.ACK), peer, gossip.round_due - PERIOD + 1)
        partners.append(peer)
    assert sorted(partners[:3]) == sorted(partners[3:]) == sorted(gossip.peers)


def test_an_answered_probe_leaves_nothing_to_wake_for() -> None:
    gossip, _ = watched()
    gossip.wake(FIRST)
    ((peer, _),) = said(gossip)
    assert gossip.deadline == FIRST + SECOND // 2
    gossip.receive(Call(KEYS[gossip.peers.index(peer)], Ask.ACK), peer, FIRST + 1)
    gossip.wake(gossip.deadline)
    assert gossip.deadline == gossip.round_due == FIRST + PERIOD and said(gossip) == []


def test_an_unanswered_probe_is_made_again_through_others() -> None:
    gossip, _ = watched()
    gossip.wake(FIRST)
    ((peer, _),) = said(gossip)
    target = KEYS[gossip.peers.index(peer)]
    gossip.wake(gossip.deadline)
    (again, ping), *requests = said(gossip)
    assert again == peer and ping == Call(gossip.replica.key, Ask.PING)
    assert {helper for helper, _ in requests} == set(gossip.peers) - {peer}
    assert {request for _, request in requests} == {Call(gossip.replica.key, Ask.PING_REQUEST, gossip.replica.key, target)}


@pytest.mark.parametrize(
    ("call", "answers"),
    [
        (Call(KEYS[0], Ask.PING), [(0, Ask.ACK, 0, 0)]),
        (Call(KEYS[0], Ask.ACK), []),
        # asked about another: the asker hears at once that it was heard, and the other is asked
        (Call(KEYS[0], Ask.PING_REQUEST, KEYS[0], KEYS[1]), [(0, Ask.ACK, 0, 0), (1, Ask.PING_REQUEST, KEYS[0], KEYS[1])]),
        # asked on behalf of another: the helper gets the answer, and the asker a direct one
        (Call(KEYS[1], Ask.PING_REQUEST, KEYS[0], -1), [(1, Ask.INDIRECT_ACK, KEYS[0], -1), (0, Ask.ACK, 0, 0)]),
        # an answer for another is carried on
        (Call(KEYS[1], Ask.INDIRECT_ACK, KEYS[0], KEYS[1]), [(0, Ask.INDIRECT_ACK, KEYS[0], KEYS[1])]),
        # but nothing travels more than one hop
        (Call(KEYS[2], Ask.PING_REQUEST, KEYS[0], KEYS[1]), []),
        (Call(KEYS[2], Ask.INDIRECT_ACK, KEYS[0], KEYS[1]), []),
        # nor to nobody
        (Call(KEYS[0], Ask.PING_REQUEST, KEYS[0], 12345), [(0, Ask.ACK, 0, 0)]),
    ],
)
def test_calls_are_answered_and_carried_one_hop(call: Call, answers: list[tuple[int, Ask, int, int]]) -> None:
    gossip, replica = watched()
    call = replace(call, target=replica.key if call.target == -1 else call.target)
    gossip.receive(call, gossip.peers[KEYS.index(call.sender)], 1)
    expected = [(gossip.peers[i], Call(replica.key, kind, of, replica.key if about == -1 else about)) for i, kind, of, about in answers]
    assert said(gossip) == expected


def test_a_probe_with_nothing_to_answer_is_acknowledged() -> None:
    gossip, replica = watched()
    digest = Digest(KEYS[0], 0, 4, replica.versions[:], replica.roster, 20)
    gossip.receive(digest, gossip.peers[0], 1)
    assert said(gossip) == []
    gossip.receive(replace(digest, probe=True), gossip.peers[0], 1)
    assert said(gossip) == [(gossip.peers[0], Call(replica.key, Ask.ACK))]


def test_the_accused_hears_of_it_whatever_is_sent_to_it() -> None:
    gossip, replica = watched()
    gossip.receive(Call(KEYS[1], Ask.ACK, rumours=(Rumour(KEYS[0], State.SUSPECT, 0, KEYS[1]),)), gossip.peers[1], 1)
    assert said(gossip) == []
    for _ in range(20):  # long after everybody else was told
        gossip.receive(Call(KEYS[0], Ask.PING), gossip.peers[0], 2)
        ((_, ack),) = said(gossip)
        assert ack.rumours == (Rumour(KEYS[0], State.SUSPECT, 0, KEYS[1]),)
    gossip.receive(Call(KEYS[2], Ask.PING), gossip.peers[2], 3)
    assert said(gossip) == [(gossip.peers[2], Call(replica.key, Ask.ACK))]


def test_an_accusation_of_this_node_is_answered_at_once() -> None:
    gossip, replica = watched()
    gossip.receive(Call(KEYS[1], Ask.ACK, rumours=(Rumour(replica.key, State.SUSPECT, 0, KEYS[2]),)), gossip.peers[1], 1)
    assert said(gossip) == [(gossip.peers[1], Call(replica.key, Ask.ACK, rumours=(Rumour(replica.key, State.ALIVE, 1),)))]


def test_messages_of_its_own_are_ignored() -> None:
    gossip, replica = watched()
    gossip.receive(Call(replica.key, Ask.PING), gossip.peers[0], 1)
    assert said(gossip) == []


def test_a_goodbye_is_the_last_word() -> None:
    gossip, replica = watched()
    gossip.leave()
    goodbyes = said(gossip)
    assert {peer for peer, _ in goodbyes} == set(gossip.peers)
    assert {call for _, call in goodbyes} == {Call(replica.key, Ask.ACK, rumours=(Rumour(replica.key, State.LEFT, 1),))}
    gossip.wake(100 * PERIOD)
    gossip.receive(Call(KEYS[0], Ask.PING), gossip.peers[0], 1)
    assert said(gossip) == [] and gossip.deadline == NEVER


def test_without_a_watch_there_is_no_goodbye() -> None:
    gossip, diary = node()
    gossip.leave()
    gossip.wake(100 * PERIOD)
    assert gossip.outbox == [] and diary.rounds == []


def test_no_detector_needs_no_watch() -> None:
    with pytest.raises(SettingError, match="detector: none needs no watch"):
        watched("none")
