"""From a scenario to a cluster in virtual time: its graph, links, workload and nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priomon_core import latency, links
from priomon_core.config import SEAL_OVERHEAD, UDP_IPV4_HEADERS, GossipSettings
from priomon_core.errors import SettingError
from priomon_core.metrics import Metric
from priomon_core.strategies.by_name import create
from priomon_sim import topology, workload
from priomon_sim.chronicle import Chronicle, longest_suspicion
from priomon_sim.clock import Clock
from priomon_sim.compiled_draws import COMPILED_DRAWS
from priomon_sim.driver import Driver
from priomon_sim.faults.inject import inject
from priomon_sim.faults.timeline import Timeline
from priomon_sim.lives import identities
from priomon_sim.queries import QueryLoad
from priomon_sim.scenario import network as scenario_network
from priomon_sim.scenario import workload as scenario_workload
from priomon_sim.scenario.document import Scenario
from priomon_sim.scenario.topology import Graph
from priomon_sim.trace import Source, read_empirical, read_trace

Series = Sequence[NDArray[np.float64]]
GRAPH_ROLE = set(Graph.model_fields) | {"kind"}  # settings that say what a graph is used for, not what it looks like


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """What a scenario's cluster is built from, in virtual time or of real agents.

    `peers[i]` are the indexes of the nodes that node i gossips with; `series` the true values of every node, float64 [samples, metrics]
    (None: what the machines themselves measure); `link` what every link does but those in `links`, by (source, target); `hops` as in
    `Links`. `timeline` is what goes wrong, and `overhead` what every datagram weighs beside its payload (B). `notes` tell a reader of
    the results what the numbers alone would not.
    """

    metrics: tuple[Metric, ...]
    gossip: GossipSettings
    overhead: int
    graph: Any
    peers: list[list[int]]
    sample_every: int
    series: Series | None
    link: links.LinkModel
    links: dict[tuple[int, int], links.LinkModel]
    hops: Callable[[int, int], int] | None
    timeline: Timeline
    notes: list[str]


@dataclass(frozen=True, slots=True)
class World:
    """All that a run moves, and the `plan` that it was built from."""

    scenario: Scenario
    plan: Blueprint
    metrics: tuple[Metric, ...]
    graph: Any
    driver: Driver
    chronicle: Chronicle
    queries: QueryLoad | None
    notes: list[str]


def draft(scenario: Scenario, series: Series | None = None) -> Blueprint:
    """The blueprint of a scenario. Raises `PriomonError` for a graph, link, trace or fan-out that cannot carry it.

    Nodes replay `series` instead of the workload, if it is given: what live nodes measured, float64 [samples, metrics] for each.
    """
    graph = _graph(scenario)
    metrics = scenario.enabled_metrics()
    sample_every = scenario.sample_every or scenario.gossip.period
    note = "there is no workload, so only real agents can run it, on what their machines measure"
    if series is not None:
        note = _fitting(series, scenario.nodes, len(metrics))
    elif scenario.workload is not None:
        series, note = _series(scenario, scenario.workload, metrics, sample_every)
    gossip = scenario.gossip.settings()
    seal = SEAL_OVERHEAD if scenario.gossip.sealed else 0
    conditions = scenario.network
    return Blueprint(
        metrics=metrics,
        gossip=replace(gossip, datagram_limit=gossip.datagram_limit - seal),
        overhead=UDP_IPV4_HEADERS + seal,
        graph=graph,
        peers=_peers(scenario, graph),
        sample_every=sample_every,
        series=series,
        link=_link_model(conditions, scenario, scenario.topology.hop_latency or conditions.latency),
        links=_overrides(scenario),
        hops=topology.hops(graph).item if scenario.topology.role == "underlay" else None,
        timeline=Timeline(
            scenario.faults,
            [identity.name for identity in identities(scenario.nodes)],
            scenario.seed,
            scenario.duration,
            lambda changed: _link_model(changed, scenario, changed.latency),
        ),
        notes=[note] if note else [],
    )


def build(scenario: Scenario, series: Series | None = None, make: type[Driver] = Driver) -> World:
    """The world of a scenario, which a driver of the class `make` moves; `series` and errors are those of `draft`."""
    plan = draft(scenario, series)
    if plan.series is None:
        raise SettingError(
            f"{scenario.name}: this scenario names no workload, so only real agents can run it "
            "(python -m priomon_node cluster FILE); give workload: to simulate it"
        )
    driver = make(
        Clock(),
        plan.metrics,
        plan.gossip,
        create,
        plan.peers,
        links.Links(scenario.nodes, scenario.seed, plan.link, plan.links, plan.hops, COMPILED_DRAWS),
        plan.series,
        plan.sample_every,
        scenario.seed,
        overhead=plan.overhead,
        detection=scenario.detection.settings(),
        generations=plan.timeline.generations,
        reads=scenario.queries is not None,
    )
    inject(driver, plan.timeline)
    if scenario.start == "known":
        driver.introduce_all()
    lately = longest_suspicion(driver.detection, scenario.nodes, plan.gossip.period)
    chronicle = Chronicle(plan.timeline.actions, driver.lives, lately)
    queries = None if scenario.queries is None else QueryLoad(driver, scenario.queries, scenario.seed, scenario.duration)
    return World(scenario, plan, plan.metrics, plan.graph, driver, chronicle, queries, plan.notes)


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


def _overrides(scenario: Scenario) -> dict[tuple[int, int], links.LinkModel]:
    """Links that are not like the others, by (source, target)."""
    overrides: dict[tuple[int, int], links.LinkModel] = {}
    exceptions = scenario.network.links
    names = [identity.name for identity in identities(scenario.nodes)] if exceptions else []
    for link in exceptions:
        exception = _link_model(link, scenario, link.latency)
        for source in _named(link.source, names):
            overrides |= {(source, target): exception for target in _named(link.target, names) if target != source}
    return overrides


def _named(name: str, names: list[str]) -> list[int]:
    if name == "*":
        return list(range(len(names)))
    if name not in names:
        raise SettingError(f"network.links: there is no node {name!r}; expected * or a name from {min(names)!r} to {max(names)!r}")
    return [names.index(name)]


def _link_model(conditions: scenario_network.Conditions, scenario: Scenario, delay: scenario_network.Latency) -> links.LinkModel:
    loss: links.Bernoulli | links.GilbertElliott
    match conditions.loss:
        case scenario_network.Bernoulli(share=share):
            loss = links.Bernoulli(share)
        case burst:
            loss = links.GilbertElliott(burst.to_bad, burst.to_good, burst.good_loss, burst.bad_loss)
    reorder = conditions.reorder
    return links.LinkModel(
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
            return read_empirical(scenario.locate(delay.file))


def _fitting(series: Series, nodes: int, metrics: int) -> str:
    """A note about series that were measured elsewhere. Raises `SettingError` unless they fit."""
    misfits = [found.shape for found in series if found.ndim != 2 or len(found) == 0 or found.shape[1] != metrics]
    if len(series) != nodes or misfits:
        raise SettingError(
            f"series: found {len(series)}{f', one of shape {misfits[0]}' if misfits else ''}; "
            f"expected one for each of {nodes} nodes, with at least one sample of {metrics} metrics"
        )
    shortest = min(map(len, series))
    return f"Nodes replay what live nodes measured, at least {shortest:,} samples each, instead of a workload."


def _series(
    scenario: Scenario, settings: scenario_workload.Workload, metrics: tuple[Metric, ...], sample_every: int
) -> tuple[list[NDArray[np.float64]], str]:
    """The true values of every node, one row per sample, and the workload's note."""
    steps = scenario.duration // sample_every + 2
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
