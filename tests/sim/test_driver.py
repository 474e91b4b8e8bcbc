"""The driver: when nodes sample and speak, what becomes of a message, and that every byte is accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from priomon_core.config import SECOND, UDP_IPV4_HEADERS, GossipSettings
from priomon_core.latency import Constant, Uniform
from priomon_core.links import Bernoulli, LinkModel, Links
from priomon_core.metrics import CPU, MEMORY
from priomon_core.replica import Replica
from priomon_core.strategies.base import Outbox, Peer, Strategy
from priomon_core.strategies.demon import Demon
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_sim.clock import Clock
from priomon_sim.driver import Driver, StrategyFactory
from priomon_sim.lives import identities

MILLISECOND = 1_000_000
SERIES = np.array([[10.0, 20.0], [30.0, 20.0], [50.0, 80.0]])


@dataclass
class Note:
    """A message with nothing but a size."""

    size: int = 100
    stream: bool = False


class Talker(Strategy):
    """A strategy that sends a note to its peers and keeps what it gets: (time, source)."""

    stream = False

    def __init__(self, replica: Replica, settings: GossipSettings) -> None:
        self.outbox: Outbox = []
        self.rounds: list[int] = []
        self.received: list[tuple[int, int]] = []

    def round(self, peers: Sequence[Peer], now: int) -> None:
        self.rounds.append(now)
        self.outbox += [(peer, Note(stream=self.stream)) for peer in peers]

    def receive(self, message: Any, source: Peer, now: int) -> None:
        self.received.append((now, source))


class Connected(Talker):
    """Sends over TCP."""

    stream = True


class Ledgered(Links):
    """Links that keep books: wire bytes given, and wire bytes that will arrive, by when."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.given = 0
        self.arriving: list[tuple[int, int]] = []

    def arrivals(self, source: int, target: int, size: int, now: int) -> tuple[int, ...]:
        found = super().arrivals(source, target, size, now)
        self.given += size
        self.arriving += [(at, size) for at in found]
        return found

    def stream(self, source: int, target: int, size: int, now: int) -> tuple[int, int]:
        arrival, again = super().stream(source, target, size, now)
        self.given += size + again
        self.arriving += [(arrival, size)]
        return arrival, again


def driver(strategy: StrategyFactory = Talker, nodes: int = 4, model: LinkModel | None = None, **changes: Any) -> Driver:
    arguments: dict[str, Any] = {
        "metrics": (CPU, MEMORY),
        "settings": GossipSettings(),
        "peers": [[peer for peer in range(nodes) if peer != node] for node in range(nodes)],
        "links": Ledgered(nodes, 1, model or LinkModel(Constant(MILLISECOND))),
        "series": [SERIES] * nodes,
        "sample_every": SECOND,
        "seed": 1,
    }
    return Driver(Clock(), strategy=strategy, **arguments | changes)


def talkers(of: Driver) -> list[Any]:
    return [node.strategy for node in of.nodes]


@pytest.mark.parametrize("count", [2, 11, 1000])
def test_identities_are_distinct_and_in_the_order_of_their_keys(count: int) -> None:
    found = identities(count)
    keys = [identity.key for identity in found]
    assert keys == sorted(set(keys))
    assert len({identity.name for identity in found}) == len({identity.address for identity in found}) == count
    assert len({len(identity.name) for identity in found}) == 1


def test_a_node_speaks_once_per_period_from_a_phase_of_its_own() -> None:
    it = driver(nodes=20)
    it.clock.run_to(10 * SECOND - 1)
    phases = [talker.rounds[0] for talker in talkers(it)]
    assert len(set(phases)) == 20
    assert max(phases) < SECOND
    for talker in talkers(it):
        assert np.diff(talker.rounds).tolist() == [SECOND] * 9


def test_phases_are_another_seeds_own() -> None:
    first, again, other = ([node.deadline for node in driver(seed=seed).nodes] for seed in (1, 1, 2))
    assert first == again != other


def test_together_all_nodes_speak_at_once() -> None:
    it = driver(together=True)
    it.clock.run_to(3 * SECOND)
    assert [talker.rounds for talker in talkers(it)] == [[SECOND, 2 * SECOND, 3 * SECOND]] * 4


def test_fanout_peers_are_contacted_and_told_the_sender() -> None:
    it = driver(settings=GossipSettings(fanout=3), together=True)
    it.clock.run_to(SECOND + MILLISECOND)
    for index, talker in enumerate(talkers(it)):
        assert sorted(talker.received) == [(SECOND + MILLISECOND, peer) for peer in range(4) if peer != index]


def test_samples_may_come_more_often_than_rounds() -> None:
    it = driver(sample_every=SECOND // 4, together=True)
    it.clock.run_to(2 * SECOND)
    assert it.samples == [5] * 4
    assert [len(talker.rounds) for talker in talkers(it)] == [2] * 4


def test_truth_is_the_newest_sample_and_the_series_starts_again() -> None:
    it = driver(together=True)
    assert np.isnan(it.truth()).all()
    for second in range(1, 8):
        it.clock.run_to(second * SECOND)
        assert (it.truth() == SERIES[(second - 1) % 3]).all()


def test_what_is_sampled_is_published_as_the_filter_says() -> None:
    it = driver(together=True)
    it.clock.run_to(3 * SECOND)
    # cpu moves by 20 points each time; memory first rests, then jumps
    assert it.ledger.newest == [3] * 4
    assert it.ledger.changes(0, 0, 3) == ((0, CPU.level(50.0)), (1, MEMORY.level(80.0)))
    assert it.ledger.changes(0, 1, 2) == ((0, CPU.level(30.0)),)
    assert [node.publisher.filtered for node in it.nodes] == [[0, 1]] * 4
    assert it.versions.diagonal().tolist() == [3] * 4


def test_introduced_nodes_know_everybodys_first_publication_at_once() -> None:
    it = driver(Scuttlebutt)
    it.introduce_all()
    assert (it.versions == 1).all()
    assert len({node.replica.roster for node in it.nodes}) == 1
    assert it.nodes[0].replica.roster[0] == 4


def test_a_lost_message_is_sent_but_not_received() -> None:
    it = driver(model=LinkModel(Constant(MILLISECOND), Bernoulli(1.0)))
    it.clock.run_to(5 * SECOND)
    assert sum(it.datagrams_sent) == it.messages_sent == it.links.lost["loss"] == 20
    assert it.bytes_received == [0] * 4
    assert all(not talker.received for talker in talkers(it))


def test_a_doubled_message_arrives_twice_and_is_sent_once() -> None:
    it = driver(model=LinkModel(Constant(MILLISECOND), duplicate=1.0), together=True)
    it.clock.run_to(SECOND + MILLISECOND)
    assert it.messages_sent == 4
    assert sum(len(talker.received) for talker in talkers(it)) == 8


def test_headers_are_counted_for_datagrams_and_lie_in_a_streams_size() -> None:
    for strategy, headers in ((Talker, UDP_IPV4_HEADERS), (Connected, 0)):
        it = driver(strategy, together=True)
        it.clock.run_to(SECOND + MILLISECOND)
        assert it.bytes_sent == [100 + headers] * 4
        assert sum(it.datagrams_sent) == (4 if headers else 0)


def test_the_overhead_of_datagrams_counts_in_all_bytes_and_on_links() -> None:
    bandwidth = 8 * (UDP_IPV4_HEADERS + 133)  # a note with this overhead takes a second
    links = Ledgered(4, 1, LinkModel(Constant(MILLISECOND), bandwidth=bandwidth))
    it = driver(overhead=UDP_IPV4_HEADERS + 33, links=links, together=True)
    it.clock.run_to(2 * SECOND + MILLISECOND)
    assert it.bytes_sent == [2 * (133 + UDP_IPV4_HEADERS)] * 4
    assert links.arriving[0] == (2 * SECOND + MILLISECOND, 133 + UDP_IPV4_HEADERS)
    assert sum(it.bytes_received) == 4 * (133 + UDP_IPV4_HEADERS)


def test_a_stream_arrives_although_the_network_loses_half() -> None:
    it = driver(Connected, model=LinkModel(Constant(MILLISECOND), Bernoulli(0.5)), together=True)
    it.clock.run_to(300 * SECOND)
    assert it.messages_sent == 4 * 300
    assert sum(len(talker.received) for talker in talkers(it)) > 0.95 * it.messages_sent  # the rest is under way
    assert sum(it.bytes_sent) > 1.9 * 100 * it.messages_sent  # what is lost is sent again, with headers of its own


@settings(max_examples=25)
@given(st.sampled_from([Scuttlebutt, Demon]), st.floats(0, 0.6), st.floats(0, 0.3), st.integers(0, 2**63 - 1))
def test_bytes_sent_are_those_delivered_lost_or_under_way(strategy: StrategyFactory, loss: float, duplicate: float, seed: int) -> None:
    links = Ledgered(6, seed, LinkModel(Uniform(MILLISECOND, SECOND), Bernoulli(loss), duplicate=duplicate))
    it = driver(strategy, nodes=6, links=links, seed=seed, settings=GossipSettings(fanout=2))
    it.clock.run_to(8 * SECOND)
    assert sum(it.bytes_sent) == links.given
    assert sum(it.bytes_received) == sum(size for at, size in links.arriving if 0 <= at <= it.now)
    assert links.sent == it.messages_sent


def test_every_delivery_counts_in_the_trace_and_the_hash_goes_on() -> None:
    whole, parts = driver(Scuttlebutt), driver(Scuttlebutt)
    empty = whole.trace_hash()
    whole.clock.run_to(6 * SECOND)
    for second in range(7):
        parts.clock.run_to(second * SECOND)
        parts.trace_hash()
    assert whole.trace_hash() == parts.trace_hash() != empty
