"""From a scenario to a cluster: every setting reaches what it is meant for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from priomon_core.config import SEAL_OVERHEAD, SECOND
from priomon_core.errors import SettingError
from priomon_core.links import Links
from priomon_core.strategies.demon import Demon
from priomon_core.strategies.tree import Tree
from priomon_sim.lives import identities
from priomon_sim.scenario.document import Scenario
from priomon_sim.topology import TopologyError
from priomon_sim.world import Series, World, build, draft

MakeScenario = Callable[..., Scenario]
MILLISECOND = 1_000_000


@pytest.fixture
def world(scenario: MakeScenario) -> Callable[..., World]:
    """A function that builds the small scenario with settings changed."""
    return lambda *settings: build(scenario(*settings))


def delays(links: Links, source: int = 0, target: int = 1, size: int = 100, datagrams: int = 400) -> list[int]:
    """What datagrams wait that leave a link a minute apart, in ns; those that arrive."""
    starts = [60_000 * MILLISECOND * n for n in range(datagrams)]
    return [at - start for start in starts for at in links.arrivals(source, target, size, start)]


def test_defaults(world: Callable[..., World]) -> None:
    it = world()
    assert [metric.name for metric in it.metrics] == ["cpu", "memory", "network", "storage"]
    assert it.driver.settings == it.scenario.gossip.settings()
    assert all(isinstance(node.strategy, Tree) for node in it.driver.nodes)
    assert [list(node.peers) for node in it.driver.nodes] == [[p for p in range(8) if p != node] for node in range(8)]
    assert set(delays(it.driver.links)) == {MILLISECOND}
    assert not it.driver.versions.any()


def test_the_strategy_is_the_scenarios(world: Callable[..., World]) -> None:
    assert all(isinstance(node.strategy, Demon) for node in world("gossip.strategy=demon").driver.nodes)


def test_sealing_adds_its_bytes_to_every_datagram_and_changes_nothing_else(world: Callable[..., World]) -> None:
    plain, sealed = world(), world("gossip.sealed=true")
    for it in (plain, sealed):
        it.driver.clock.run_to(it.scenario.duration)
    assert (plain.driver.versions == sealed.driver.versions).all()
    assert plain.driver.datagrams_sent == sealed.driver.datagrams_sent
    for before, after, datagrams in zip(plain.driver.bytes_sent, sealed.driver.bytes_sent, plain.driver.datagrams_sent, strict=True):
        assert after == before + SEAL_OVERHEAD * datagrams > before


def test_a_sealed_datagram_keeps_to_the_limit(world: Callable[..., World]) -> None:
    assert world().driver.settings.datagram_limit == 1200
    assert world("gossip.sealed=true").driver.settings.datagram_limit == 1200 - SEAL_OVERHEAD


def test_streams_are_not_sealed(world: Callable[..., World]) -> None:
    plain, sealed = world("gossip.strategy=demon"), world("gossip.strategy=demon", "gossip.sealed=true")
    for it in (plain, sealed):
        it.driver.clock.run_to(it.scenario.duration)
    assert plain.driver.bytes_sent == sealed.driver.bytes_sent
    assert plain.driver.messages_sent > 0


def test_start_known_is_as_after_a_long_uptime(world: Callable[..., World]) -> None:
    assert (world("start=known").driver.versions == 1).all()


def test_in_an_overlay_nodes_gossip_with_their_neighbours(world: Callable[..., World]) -> None:
    it = world("topology={kind: ring}")
    for node in it.driver.nodes:
        assert len(node.peers) == 2
        assert all(it.graph.has_edge(node.replica.own, peer) for peer in node.peers)


def test_over_an_underlay_nodes_gossip_with_all_and_cross_every_hop(world: Callable[..., World]) -> None:
    it = world("topology={kind: star, role: underlay, hop_latency: 7 ms}")
    assert all(len(node.peers) == 7 for node in it.driver.nodes)
    hub = max(it.graph, key=it.graph.degree)
    leaf, other = [node for node in it.graph if node != hub][:2]
    assert set(delays(it.driver.links, hub, leaf)) == {7 * MILLISECOND}
    assert set(delays(it.driver.links, leaf, other)) == {14 * MILLISECOND}


@pytest.mark.parametrize(
    ("latency", "low", "high", "middle"),
    [
        ("{kind: uniform, low: 10 ms, high: 20 ms}", 10, 20, 15),
        ("{kind: normal, mean: 50 ms, deviation: 5 ms, minimum: 40 ms}", 40, 80, 50),
        ("{kind: lognormal, median: 30 ms, sigma: 0.2}", 10, 90, 30),
        ("{kind: empirical, file: measured.csv}", 2, 6, 3),
    ],
)
def test_latency_is_the_scenarios(
    world: Callable[..., World], tmp_path: Path, latency: str, low: float, high: float, middle: float
) -> None:
    (tmp_path / "measured.csv").write_text("latency_ms\n2\n3\n6\n")
    found = np.array(delays(world(f"network.latency={latency}").driver.links)) / MILLISECOND
    assert low <= found.min() < found.max() <= high
    assert np.median(found) == pytest.approx(middle, rel=0.1)


def test_loss_bandwidth_duplicates_and_reordering_are_the_scenarios(world: Callable[..., World]) -> None:
    assert len(delays(world("network.loss=25 %").driver.links)) == pytest.approx(300, abs=40)
    assert set(delays(world("network.bandwidth=8 kbit/s").driver.links)) == {101 * MILLISECOND}
    assert len(delays(world("network.duplicate=25 %").driver.links)) == pytest.approx(500, abs=40)
    reordered = delays(world("network.reorder={share: 25 %, extra: 30 ms}").driver.links)
    assert reordered.count(31 * MILLISECOND) == pytest.approx(100, abs=40)
    assert set(reordered) == {MILLISECOND, 31 * MILLISECOND}


def test_loss_in_bursts_is_the_scenarios(world: Callable[..., World]) -> None:
    it = world("network.loss={kind: gilbert-elliott, to_bad: 5 %, to_good: 20 %, good_loss: 0 %, bad_loss: 100 %}")
    fates = [bool(it.driver.links.arrivals(0, 1, 100, n)) for n in range(4000)]
    assert fates.count(False) / 4000 == pytest.approx(0.2, abs=0.05)
    ends = sum(lost and arrived for lost, arrived in zip(np.invert(fates), fates[1:], strict=False))
    assert fates.count(False) / ends == pytest.approx(5, rel=0.25)  # datagrams that a burst swallows


def test_single_links_have_conditions_of_their_own(world: Callable[..., World]) -> None:
    names = [identity.name for identity in identities(8)]
    it = world(f"network.links=[{{from: {names[2]}, to: '*', latency: 9 ms}}]")
    assert set(delays(it.driver.links, 2, 5)) == {9 * MILLISECOND}
    assert set(delays(it.driver.links, 5, 2)) == {MILLISECOND}


def test_a_link_of_a_node_that_does_not_exist_is_refused(world: Callable[..., World]) -> None:
    with pytest.raises(SettingError, match=r"network\.links: there is no node 'node9'; expected \* or a name from 'node0' to 'node7'"):
        world("network.links=[{from: node9, to: '*', latency: 9 ms}]")


def test_a_node_with_too_few_neighbours_is_named(world: Callable[..., World]) -> None:
    with pytest.raises(SettingError, match=r"gossip\.fanout: found 2, but node \d of the topology has 1 neighbour"):
        world("gossip.fanout=2", "topology={kind: star}")


def test_a_graph_in_pieces_is_refused_unless_meant(world: Callable[..., World], tmp_path: Path) -> None:
    (tmp_path / "pieces.txt").write_text("a b\nc d\n")
    pieces = ("nodes=4", "topology={kind: file, path: pieces.txt}")
    with pytest.raises(TopologyError, match="falls into 2 parts"):
        world(*pieces)
    it = world(*pieces, "topology.allow_disconnected=true")
    it.driver.clock.run_to(it.scenario.duration)
    assert np.count_nonzero(it.driver.versions) == 8  # each knows itself and its one neighbour


def test_synthetic_values_are_the_models(world: Callable[..., World]) -> None:
    it = world("workload={kind: synthetic, cpu: {model: constant, value: 42}}", "sample_every=500 ms")
    assert it.driver.sample_every == 500 * MILLISECOND
    assert all((series[:, 0] == 42).all() for series in it.driver.series)
    assert all(len(series) >= 12 for series in it.driver.series)


def test_a_row_of_a_trace_lasts_as_long_as_the_scenario_says(world: Callable[..., World], tmp_path: Path) -> None:
    rows = "".join(f"{second},{second},0,0,0\n" for second in range(100))
    header = "time_s,cpu_percent,memory_percent,network_bytes_per_second,storage_percent\n"
    (tmp_path / "trace.csv").write_text(header + rows)
    it = world("workload={kind: trace, path: trace.csv, every: 1 s}", "sample_every=500 ms")
    steps = np.diff(it.driver.series[0][:12, 0])
    assert steps.tolist() == [0, 1] * 5 + [0]
    assert it.notes
    assert world("workload={kind: trace, path: trace.csv}").driver.series[0][:6, 0].tolist() == list(range(6))


def test_series_measured_elsewhere_replace_the_workload(scenario: MakeScenario) -> None:
    series = [np.arange(node, node + 12.0).reshape(3, 4) for node in range(8)]
    for it in (scenario(), scenario("workload=none")):
        twin = build(it, series)
        assert all((replayed == measured).all() for replayed, measured in zip(twin.driver.series, series, strict=True))
        assert twin.notes == ["Nodes replay what live nodes measured, at least 3 samples each, instead of a workload."]
        twin.driver.clock.run_to(3 * SECOND)
        assert (twin.driver.truth() == [measured[-1] for measured in series]).all()


@pytest.mark.parametrize(
    ("series", "found"),
    [
        ([np.ones((3, 4))] * 7, "found 7; expected one for each of 8 nodes"),
        ([np.ones((3, 4))] * 7 + [np.ones((3, 5))], r"found 8, one of shape \(3, 5\); expected .* of 4 metrics"),
        ([np.ones((3, 4))] * 7 + [np.ones((0, 4))], r"found 8, one of shape \(0, 4\); expected .* at least one sample"),
        ([np.ones(4)] * 8, r"found 8, one of shape \(4,\); expected"),
    ],
)
def test_series_that_do_not_fit_are_refused(scenario: MakeScenario, series: Series, found: str) -> None:
    with pytest.raises(SettingError, match=f"series: {found}"):
        build(scenario(), series)


def test_without_a_workload_there_is_nothing_to_simulate(scenario: MakeScenario) -> None:
    with pytest.raises(SettingError, match=r"^small: this scenario names no workload, so only real agents can run it .*cluster FILE"):
        build(scenario("workload=none"))


def test_without_a_workload_all_else_can_be_checked(scenario: MakeScenario) -> None:
    assert draft(scenario("workload=none")).series is None
    with pytest.raises(SettingError, match=r"gossip\.fanout"):
        draft(scenario("workload=none", "gossip.fanout=2", "topology={kind: star}"))
