"""Strategies that push, in the simulator: every message weighed, and what a run costs beside its lower bound."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from priomon_core.config import SECOND, GossipSettings
from priomon_core.frames import to_frame
from priomon_core.latency import Uniform
from priomon_core.links import Bernoulli, LinkModel, Links
from priomon_core.metrics import BUILT_IN, Metric, Priority
from priomon_core.replica import Replica
from priomon_core.strategies.base import Peer, Strategy
from priomon_core.strategies.rumor import Rumor
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_core.strategies.tree import Tree
from priomon_core.wire import Codec
from priomon_results.store import Store
from priomon_sim.clock import Clock
from priomon_sim.compiled_draws import COMPILED_DRAWS
from priomon_sim.driver import Driver
from priomon_sim.experiment import execute
from priomon_sim.scenario.document import load

METRICS = (*BUILT_IN, Metric("temperature", "K", 0.5, Priority.CRITICAL, signed=True))
CODEC = Codec("test", METRICS)
ROUGH = LinkModel(Uniform(SECOND // 100, SECOND // 2), Bernoulli(0.2), duplicate=0.1)
COUNTS: Counter[str] = Counter()


def weighed(strategy: type[Any]) -> Callable[[Replica, GossipSettings], Strategy]:
    """A strategy that builds everything it says, and counts it by kind."""

    class Weighed(strategy):  # type: ignore[misc]
        def round(self, peers: Sequence[Peer], now: int) -> None:
            super().round(peers, now)
            self.weigh(now)

        def flush(self, now: int) -> None:
            super().flush(now)
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
                COUNTS[type(message).__name__] += 1

    return Weighed


def driver(
    strategy: Callable[[Replica, GossipSettings], Strategy],
    count: int,
    gossip: GossipSettings,
    link: LinkModel,
    metrics: tuple[Metric, ...] = METRICS,
) -> Driver:
    random = np.random.default_rng(count)
    walk = np.cumsum(random.normal(0, [3, 1, 30_000, 0.2, 0.1], (count, 30, len(METRICS))), axis=1)
    values = np.abs(np.add(walk, [50, 40, 100_000, 60, 0])) * [1, 1, 1, 1, -1]
    samples = list(values[..., : len(metrics)])
    peers = [[peer for peer in range(count) if peer != node] for node in range(count)]
    links = Links(count, 1, link, draws=COMPILED_DRAWS)
    return Driver(Clock(), metrics, gossip, strategy, peers, links, samples, SECOND, 1)


@pytest.mark.parametrize("strategy", [Rumor, Tree])
@pytest.mark.parametrize("limit", [256, 1200])
def test_messages_weigh_what_they_say(strategy: type[Any], limit: int) -> None:
    COUNTS.clear()
    cluster = driver(weighed(strategy), 40, GossipSettings(datagram_limit=limit, repair=3), ROUGH)
    cluster.clock.run_to(25 * SECOND)
    assert cluster.versions.all()
    newest = cluster.versions.diagonal().astype(int)
    assert (newest - cluster.versions < 8).all(), "somebody was left behind"
    assert {"Push", "Summary", "Delta", "Digest"} <= set(COUNTS)
    assert strategy is Tree or COUNTS["Feedback"]


@pytest.mark.parametrize("strategy", [Rumor, Tree])
def test_large_clusters_compare_by_buckets(strategy: type[Any]) -> None:
    COUNTS.clear()
    cluster = driver(weighed(strategy), 300, GossipSettings(repair=2), LinkModel(Uniform(SECOND // 100, SECOND // 10)))
    cluster.introduce_all()
    cluster.clock.run_to(6 * SECOND)
    assert COUNTS["Buckets"] and COUNTS["Selection"]


@pytest.mark.parametrize("strategy", [Rumor, Tree])
def test_a_run_is_a_function_of_its_seed(strategy: type[Any]) -> None:
    def trace() -> str:
        cluster = driver(strategy, 30, GossipSettings(), ROUGH)
        cluster.clock.run_to(10 * SECOND)
        return cluster.trace_hash()

    assert trace() == trace()


def test_a_tree_costs_less_than_comparing_everything() -> None:
    sent = {}
    for strategy in (Tree, Scuttlebutt):
        cluster = driver(strategy, 400, GossipSettings(), LinkModel(Uniform(SECOND // 100, SECOND // 10)), BUILT_IN)
        cluster.introduce_all()
        cluster.clock.run_to(12 * SECOND)
        before = sum(cluster.bytes_sent)
        cluster.clock.run_to(24 * SECOND)
        sent[strategy] = sum(cluster.bytes_sent) - before
    assert sent[Tree] < 0.8 * sent[Scuttlebutt]


def test_in_a_tree_that_began_knowing_nothing_no_update_waits_for_a_comparison() -> None:
    cluster = driver(Tree, 20, GossipSettings(repair=1000), LinkModel(Uniform(SECOND // 100, SECOND // 20)), BUILT_IN)
    cluster.clock.run_to(20 * SECOND)
    for moment in range(40, 80):
        cluster.clock.run_to(moment * SECOND // 2)
        newest = cluster.versions.diagonal()
        for observer, origin in np.argwhere(cluster.versions < newest):
            lacking = cluster.versions[observer, origin] + 1
            assert cluster.now - cluster.ledger.times[origin, lacking] < 3 * SECOND, "an update was told to nobody"


SCENARIO = """
nodes: 40
duration: 20 s
start: known
gossip: {strategy: STRATEGY}
metrics:
  cpu: {priority: critical, alarm: 50}
workload:
  kind: synthetic
  cpu: {model: ornstein-uhlenbeck, mean: 50, deviation: 20, relaxation: 3 s}
"""


@pytest.mark.parametrize("strategy", ["scuttlebutt", "rumor", "tree"])
def test_a_run_is_accounted_by_class_and_beside_its_lower_bound(strategy: str, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SCENARIO.replace("STRATEGY", strategy))
    with Store(tmp_path / "small.db") as store:
        _, summary = execute(load(path), store, lambda now: None)
    assert 0 < summary["lower_bound_bytes_per_node_per_second"] < summary["bytes_per_node_per_second"]
    assert list(summary["lag_seconds_by_class"]) == ["critical", "medium", "low"]
    assert summary["alarm_seconds"]["count"] > 20
    if strategy == "tree":  # a critical update is passed on at once
        assert summary["alarm_seconds"]["p50"] <= 0.3 < summary["dissemination_seconds_by_class"]["medium"]["t99"]
