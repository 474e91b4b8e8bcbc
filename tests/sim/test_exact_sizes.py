"""Bytes in the simulator are the bytes of the network: every simulated message is built and weighed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from priomon_core.config import SECOND, GossipSettings
from priomon_core.frames import to_frame
from priomon_core.latency import Constant
from priomon_core.links import Bernoulli, LinkModel, Links
from priomon_core.messages import Delta
from priomon_core.metrics import BUILT_IN, Metric
from priomon_core.replica import Replica
from priomon_core.strategies.base import Peer
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_core.wire import Codec
from priomon_sim.clock import Clock
from priomon_sim.compiled_draws import COMPILED_DRAWS
from priomon_sim.driver import Driver

METRICS = (*BUILT_IN, Metric("temperature", "K", 0.5, signed=True))
CODEC = Codec("test", METRICS)
LINK = LinkModel(Constant(SECOND // 20), Bernoulli(0.2), duplicate=0.1)


class Weighed(Scuttlebutt):
    """Scuttlebutt that builds everything it says, and counts it."""

    def __init__(self, replica: Replica, settings: GossipSettings) -> None:
        super().__init__(replica, settings)
        self.counts: Counter[str] = Counter()

    def round(self, peers: Sequence[Peer], now: int) -> None:
        super().round(peers, now)
        self.weigh(now)

    def receive(self, message: Any, source: Peer, now: int) -> None:
        super().receive(message, source, now)
        self.weigh(now)

    def weigh(self, now: int) -> None:
        for _, message in self.outbox:
            frame = to_frame(message, self.replica, now)
            data = CODEC.encode(frame)
            assert len(data) == message.size <= self.settings.datagram_limit
            assert CODEC.decode(data) == frame
            whole = "whole" if message.count == len(self.replica.versions) else "part"
            kind = "delta" if isinstance(message, Delta) else "explicit" if message.roster is None else "positional"
            self.counts[f"{whole} {kind}"] += 1


def driver(count: int, gossip: GossipSettings, filter_name: Any, links: Links) -> Driver:
    random = np.random.default_rng(count)
    metrics = [replace(metric, filter=filter_name) for metric in METRICS]
    walk = np.cumsum(random.normal(0, [3, 1, 30_000, 0.2, 2], (count, 8, len(METRICS))), axis=1)
    values = np.abs(np.add(walk, [50, 40, 100_000, 60, 0])) * [1, 1, 1, 1, -1]
    peers = [[int(peer) for peer in random.choice(count, 8, replace=False) if peer != i] for i in range(count)]
    return Driver(Clock(), metrics, gossip, Weighed, peers, links, list(values), SECOND, seed=1)


def counts(run: Driver) -> Counter[str]:
    total: Counter[str] = Counter()
    for node in run.nodes:
        assert isinstance(node.strategy, Weighed)
        total += node.strategy.counts
    return total


@pytest.mark.parametrize("filter_name", ["none", "bounded"])
@pytest.mark.parametrize("warm", [False, True])
def test_sixty_nodes(filter_name: str, warm: bool) -> None:
    run = driver(60, GossipSettings(), filter_name, Links(60, 1, LINK, draws=COMPILED_DRAWS))
    if warm:
        run.introduce_all()
    run.clock.run_to(20 * SECOND)
    found = counts(run)
    assert found["whole positional"] > 100 and found["whole delta"] > 100
    assert warm or found["whole explicit"] > 100


def test_publications_that_are_all_alike() -> None:
    """The ledger then spares the look at every value: see `Values.uniform`."""
    run = driver(60, GossipSettings(datagram_limit=600), "none", Links(60, 1, LINK, draws=COMPILED_DRAWS))
    run.series = [np.array([[10, 10, 1e5, 10, -1], [11, 9, 2e5, 12, 1]])] * 60
    run.clock.run_to(10 * SECOND)
    assert run.ledger.uniform is not None
    found = counts(run)
    assert found["whole delta"] > 100 and found["part delta"] > 10


@pytest.mark.parametrize("filter_name", ["none", "bounded"])
def test_sixty_nodes_through_small_datagrams(filter_name: str) -> None:
    run = driver(60, GossipSettings(datagram_limit=256, burst=3), filter_name, Links(60, 1, LINK, draws=COMPILED_DRAWS))
    run.clock.run_to(20 * SECOND)
    found = counts(run)
    assert min(found["part explicit"], found["part delta"], found["whole delta"], found["whole positional"]) > 10


@pytest.mark.parametrize("filter_name", ["none", "bounded"])
@pytest.mark.parametrize("missing", [1.0, 0.5, 0.02, 0.0])
def test_five_thousand_nodes(five_thousand: dict[str, Driver], filter_name: str, missing: float) -> None:
    """An exchange between a node that knows all and one that lacks a share of the origins, and some versions of the rest."""
    run = five_thousand[filter_name]
    count = len(run.nodes)
    random = np.random.default_rng(3)
    newest = run.versions.diagonal().copy()
    a, b = run.nodes[10], run.nodes[2000]
    a.replica.versions[:] = newest
    b.replica.versions[:] = np.where(random.random(count) < missing, 0, np.maximum(newest.astype(int) - (random.random(count) < 0.2), 1))
    b.replica.versions[b.replica.own] = newest[b.replica.own]
    now = 9 * SECOND
    for beginner, other in ((a, b), (b, a)):
        for node in (a, b):
            node.replica.survey()
        beginner.strategy.round([other.replica.own], now)
        for source, target in ((beginner, other), (other, beginner)) * 2:
            sent = list(source.outbox)
            source.outbox.clear()
            for _, message in sent:
                target.receive(message, source.replica.own, now)
    assert np.count_nonzero(b.replica.versions < newest) < count * (missing + 0.25)
    found = counts(run)
    assert found["part delta"] and found["part explicit"] and not found["whole explicit"]
    assert missing or found["part positional"]


@pytest.fixture(scope="module")
def five_thousand() -> dict[str, Driver]:
    """Clusters in which every node has sampled eight times; nobody has said anything yet."""
    runs = {}
    for name in ("none", "bounded"):
        run = driver(5000, GossipSettings(settling=1), name, Links(5000, 1, LINK, draws=COMPILED_DRAWS))
        for index, node in enumerate(run.nodes):
            for taken, values in enumerate(run.series[index].tolist()):
                node.sample(values, taken * SECOND)
        runs[name] = run
    return runs
