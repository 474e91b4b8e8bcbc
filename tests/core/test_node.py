"""GossipNode: when rounds begin, with whom, and what a sample does."""

import math
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.config import SECOND, GossipSettings
from priomon_core.errors import SampleError, SettingError
from priomon_core.holdings import AgentReplica
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN
from priomon_core.node import GossipNode
from priomon_core.priority import Publisher
from priomon_core.strategies.base import Outbox, Peer

PERIOD = 2 * SECOND
FIRST = SECOND // 2


class Diary:
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
