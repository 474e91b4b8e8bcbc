"""What no single value can tell: settings of a scenario that do not go together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

from priomon_core.errors import QueryError, SettingError
from priomon_core.latency import Constant
from priomon_core.links import LinkModel
from priomon_core.metrics import MAX_METRICS
from priomon_core.quorum_level import parse_level
from priomon_sim.scenario.network import IDLE_QUEUE
from priomon_sim.scenario.problems import unknown
from priomon_sim.scenario.units import DURATION
from priomon_sim.scenario.workload import Synthetic, Trace
from priomon_sim.scenario.yaml_source import YamlPath

if TYPE_CHECKING:
    from priomon_sim.scenario.document import Scenario

Finding = tuple[YamlPath, str]


class Check(NamedTuple):
    """A rule and the settings that it looks at: it is not asked while one of them is wrong in itself."""

    needs: tuple[YamlPath, ...]
    find: Callable[[Scenario], Iterator[Finding]]


CHECKS: list[Check] = []


def check(*needs: str) -> Callable[[Callable[[Scenario], Iterator[Finding]]], Callable[[Scenario], Iterator[Finding]]]:
    """Register a rule that looks at the settings `needs` (dotted paths)."""

    def register(find: Callable[[Scenario], Iterator[Finding]]) -> Callable[[Scenario], Iterator[Finding]]:
        CHECKS.append(Check(tuple(tuple(need.split(".")) for need in needs), find))
        return find

    return register


def findings(scenario: Scenario, wrong: Collection[YamlPath] = ()) -> Iterator[Finding]:
    """All contradictions of `scenario`, save those at or because of the paths `wrong`, whose values are not the user's."""

    def touched(path: YamlPath) -> bool:
        return any(all(a == b for a, b in zip(path, other, strict=False)) for other in wrong)

    for needs, find in CHECKS:
        if not any(touched(need) for need in needs):
            yield from (finding for finding in find(scenario) if not touched(finding[0]))


@check("topology", "nodes")
def _graph_fits(scenario: Scenario) -> Iterator[Finding]:
    if misfit := scenario.topology.misfit(scenario.nodes):
        name, message = misfit
        yield ("topology", name), message


@check("topology", "nodes", "gossip.fanout")
def _fanout_fits(scenario: Scenario) -> Iterator[Finding]:
    graph, fanout = scenario.topology, scenario.gossip.fanout
    most = graph.most_neighbours(scenario.nodes) if graph.role == "overlay" else scenario.nodes - 1
    if fanout > most:
        yield ("gossip", "fanout"), f"found {fanout}, expected at most {most}, the neighbours that a node can have here"


@check("topology")
def _hops_exist(scenario: Scenario) -> Iterator[Finding]:
    if scenario.topology.hop_latency is not None and scenario.topology.role == "overlay":
        yield (
            ("topology", "hop_latency"),
            "found a latency per hop of an overlay, expected role: underlay (or the delay as network.latency)",
        )


@check("network")
def _queue_fed(scenario: Scenario) -> Iterator[Finding]:
    if "queue" in scenario.network.model_fields_set and scenario.network.bandwidth is None:
        yield ("network", "queue"), IDLE_QUEUE


@check("duration", "gossip.period", "measure.every")
def _long_enough(scenario: Scenario) -> Iterator[Finding]:
    for name, span in (("gossip.period", scenario.gossip.period), ("measure.every", scenario.measure.every)):
        if scenario.duration < span:
            found, least = DURATION.format(scenario.duration), DURATION.format(span)
            yield ("duration",), f"found {found}, expected at least {least}, the {name}"


@check("faults", "nodes", "duration", "seed")
def _faults_can_strike(scenario: Scenario) -> Iterator[Finding]:
    if not scenario.faults:
        return
    from priomon_sim.faults.timeline import Timeline, TimelineError
    from priomon_sim.lives import identities  # numpy takes time to import, which scenarios without faults are spared

    names = [identity.name for identity in identities(scenario.nodes)]
    try:
        Timeline(scenario.faults, names, scenario.seed, scenario.duration, lambda conditions: LinkModel(Constant(0)))
    except TimelineError as error:
        yield from ((("faults", number), message) for number, message in error.findings.items())


@check("queries", "nodes")
def _enough_to_ask(scenario: Scenario) -> Iterator[Finding]:
    if scenario.queries is not None:
        try:
            parse_level(scenario.queries.level).others(scenario.nodes)
        except QueryError as error:
            yield ("queries", "level"), str(error)


@check("metrics", "filter")
def _metrics_sound(scenario: Scenario) -> Iterator[Finding]:
    enabled = [name for name, settings in scenario.metrics.items() if settings.enabled]
    if not 0 < len(enabled) <= MAX_METRICS:
        yield ("metrics",), f"found {len(enabled)} metrics that are switched on, expected 1 to {MAX_METRICS}"
    for name in enabled:
        if name in RESERVED:
            yield ("metrics", name), f"found a metric called {name!r}, expected another name: the workload uses this one as a key"
        try:
            scenario.metrics[name].metric(name)
        except SettingError as error:
            yield ("metrics", name), str(error)


RESERVED = ("kind", "node", "time")


@check("metrics")
def _every_metric_has_data(scenario: Scenario) -> Iterator[Finding]:
    workload = scenario.workload
    if workload is None:
        return
    path: YamlPath = ("workload",)
    given: Collection[str]
    if isinstance(workload, Trace):
        path, given, what = ("workload", "columns"), workload.columns.metrics.keys(), "no column"
    else:
        given, what = workload.metrics.keys(), "no model"
    for name in given:
        if name not in scenario.metrics:
            yield (*path, name), unknown("metric", name, sorted(scenario.metrics))
    for name, settings in scenario.metrics.items():
        if settings.enabled and name not in given:
            advice = f"expected one here, or metrics.{name}.enabled: false"
            yield (*path, name), f"found {what} for the metric {name!r}; {advice}"


@check("metrics")
def _signs_agree(scenario: Scenario) -> Iterator[Finding]:
    if not isinstance(scenario.workload, Synthetic):
        return
    for name, process in scenario.workload.metrics.items():
        settings = scenario.metrics.get(name)
        if settings and settings.enabled and not settings.signed and process.lowest < 0:
            message = f"found values down to {process.lowest:g}, expected none below 0, or metrics.{name}.signed: true"
            yield ("workload", name), message
