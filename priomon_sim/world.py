"""From a scenario to a cluster in virtual time: its graph, links, workload and nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priomon_core.errors import SettingError
from priomon_core.metrics import Metric
from priomon_core.strategies.demon import Demon
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_sim import latency, network, scenario_network, scenario_workload, topology, workload
from priomon_sim.clock import Clock
from priomon_sim.driver import Driver, StrategyFactory, identities
from priomon_sim.scenario import Scenario
from priomon_sim.scenario_topology import Graph
from priomon_sim.trace import Source, read_trace

STRATEGIES: dict[str, StrategyFactory] = {"scuttlebutt": Scuttlebutt, "demon": Demon}
GRAPH_ROLE = set(Graph.model_fields) | {"kind"}  # settings that say what a graph is used for, not what it looks like


@dataclass(frozen=True, slots=True)
class World:
    """All that a run moves. `notes` tell a reader of the results what the numbers alone would not."""

    scenario: Scenario
    metrics: tuple[Metric, ...]
    graph: Any
    driver: Driver
    notes: list[str]


def build(scenario: Scenario) -> World:
    """The world of a scenario. Raises `PriomonError` for a graph, link, trace or fan-out that cannot carry it."""
    graph = _graph(scenario)
    peers = _peers(scenario, graph)
    metrics = scenario.enabled_metrics()
    period = scenario.gossip.period
    sample_every = scenario.sample_every or period
    steps = scenario.duration // sample_every + 2
    series, note = _series(scenario, metrics, sample_every, steps)
    driver = Driver(
        Clock(),
        metrics,
        scenario.gossip.settings(),
        STRATEGIES[scenario.gossip.strategy],
        peers,
        _links(scenario, graph),
        series,
        sample_every,
        scenario.seed,
    )
    if scenario.start == "known":
        driver.introduce_all()
    return World(scenario, metrics, graph, driver, [note] if note else [])


def _graph(scenario: Scenario) -> Any:
    settings = scenario.topology
    parameters = {name: getattr(settings, name) for name in type(settings).model_fields if name not in GRAPH_ROLE}
    if "path" in parameters:
        parameters["path"] = scenario.locate(parameters["path"])
    graph = topology.build(settings.kind, scenario.nodes, scenario.seed, **parameters)
    topology.check_connected(graph, settings.allow_disconnected)
    return graph


def _peers(scenario: Scenario, graph: Any) -> list[list[int]]:
    """Whom each node gossips with: its neighbours in an overlay, everybody over an underlay."""
    if scenario.topology.role == "underlay":
        return [[peer for peer in range(scenario.nodes) if peer != node] for node in range(scenario.nodes)]
    peers = topology.neighbours(graph)
    poorest = min(range(len(peers)), key=lambda node: len(peers[node]))
    if len(peers[poorest]) < scenario.gossip.fanout and not scenario.topology.allow_disconnected:
        raise SettingError(
            f"gossip.fanout: found {scenario.gossip.fanout}, but node {poorest} of the topology has {len(peers[poorest])} neighbours; "
            "expected no more than the fewest neighbours of a node"
        )
    return peers


def _links(scenario: Scenario, graph: Any) -> network.Links:
    conditions = scenario.network
    hops = topology.hops(graph) if scenario.topology.role == "underlay" else None
    model = _link_model(conditions, scenario, scenario.topology.hop_latency or conditions.latency)
    overrides: dict[tuple[int, int], network.LinkModel] = {}
    names = [identity.name for identity in identities(scenario.nodes)] if conditions.links else []
    for link in conditions.links:
        exception = _link_model(link, scenario, link.latency)
        for source in _named(link.source, names):
            overrides |= {(source, target): exception for target in _named(link.target, names) if target != source}
    return network.Links(scenario.nodes, scenario.seed, model, overrides, hops)


def _named(name: str, names: list[str]) -> list[int]:
    if name == "*":
        return list(range(len(names)))
    if name not in names:
        raise SettingError(f"network.links: there is no node {name!r}; expected * or a name from {min(names)!r} to {max(names)!r}")
    return [names.index(name)]


def _link_model(conditions: scenario_network.Conditions, scenario: Scenario, delay: scenario_network.Latency) -> network.LinkModel:
    loss: network.Bernoulli | network.GilbertElliott
    match conditions.loss:
        case scenario_network.Bernoulli(share=share):
            loss = network.Bernoulli(share)
        case burst:
            loss = network.GilbertElliott(burst.to_bad, burst.to_good, burst.good_loss, burst.bad_loss)
    reorder = conditions.reorder
    return network.LinkModel(
        _latency(delay, scenario),
        loss,
        None if conditions.bandwidth is None else round(conditions.bandwidth * 8),
        conditions.queue,
        conditions.duplicate,
        0.0 if reorder is None else reorder.share,
        0 if reorder is None else reorder.extra,
    )


def _latency(delay: scenario_network.Latency, scenario: Scenario) -> latency.Latency:
    match delay:
        case scenario_network.Constant():
            return latency.Constant(delay.value)
        case scenario_network.Uniform():
            return latency.Uniform(delay.low, delay.high)
        case scenario_network.Normal():
            return latency.Normal(delay.mean, delay.deviation, delay.minimum)
        case scenario_network.Lognormal():
            return latency.Lognormal(delay.median, delay.sigma)
        case scenario_network.Empirical():
            return latency.read_empirical(scenario.locate(delay.file))


def _series(scenario: Scenario, metrics: tuple[Metric, ...], sample_every: int, steps: int) -> tuple[list[NDArray[np.float64]], str]:
    """The true values of every node, one row per sample, and the workload's note."""
    settings = scenario.workload
    if isinstance(settings, scenario_workload.Synthetic):
        models = [_model(settings.metrics[metric.name]) for metric in metrics]
        synthetic = workload.Synthetic(models, sample_every / 1e9, scenario.seed)
        return [synthetic.series(node, steps) for node in range(scenario.nodes)], synthetic.note(steps)
    columns = settings.columns
    sources = {metric.name: Source(columns.metrics[metric.name].columns, columns.metrics[metric.name].scale) for metric in metrics}
    trace = read_trace(scenario.locate(settings.path), sources, time=columns.time, node=columns.node, gaps=settings.gaps)
    replay = workload.Replay(trace, scenario.nodes, scenario.seed)
    row_every = settings.every or scenario.gossip.period
    rows = np.arange(steps) * sample_every // row_every
    return [replay.series(node, int(rows[-1]) + 1)[rows] for node in range(scenario.nodes)], replay.note(int(rows[-1]) + 1)


def _model(process: scenario_workload.Process) -> workload.Model:
    match process:
        case scenario_workload.Constant():
            return workload.Constant(process.value)
        case scenario_workload.RandomWalk():
            return workload.RandomWalk((process.low, process.high), process.deviation, process.low, process.high)
        case scenario_workload.OrnsteinUhlenbeck():
            relaxation = process.relaxation / 1e9
            return workload.OrnsteinUhlenbeck(process.mean, process.deviation, relaxation, process.low, process.high)
        case scenario_workload.Diurnal():
            period = process.period / 1e9
            return workload.Diurnal(process.mean, process.amplitude, period, process.noise, process.low, process.high)
        case scenario_workload.Bursts():
            return workload.Bursts(process.base, process.peak, process.on / 1e9, process.off / 1e9, process.spread)
    raise AssertionError(f"a scenario has no other model than these, found {process!r}")
