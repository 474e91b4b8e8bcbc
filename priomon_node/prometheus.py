"""What an agent knows, in the text format of Prometheus (version 0.0.4).

    priomon_node_cpu_percent{node="a"}     a value, one family per metric, one series per node
    priomon_age_seconds{node="a"}          how old the node's values are
    priomon_up{node="a"}                   1, or 0 if it is held dead or has left; its values are then left out
    priomon_state{node="a",state="alive"}  1 for the state that it is in
    priomon_info{node="a",address="...",generation="3"}
    priomon_agent_...                      the agent itself

Written by hand: an agent makes every line anew at each scrape, so a library's registry would hold, in memory that a monitored machine
should not spend, a copy of what the replica holds already.

A counter "bytes_sent" becomes priomon_agent_bytes_sent_total, "dropped_forged" the series cause="forged" of
priomon_agent_dropped_total, "noticed_died" event="died" of priomon_agent_noticed_total, and "queued_events" the gauge
priomon_agent_queued{queue="events"}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from priomon_core.config import SECOND
from priomon_core.errors import SettingError
from priomon_core.metrics import Metric
from priomon_node import view

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
UNITS = {"%": "percent", "B": "bytes", "B/s": "bytes_per_second", "s": "seconds", "ms": "milliseconds", "1/s": "per_second"}
DETAILED = {
    "dropped": "cause",
    "noticed": "event",
    "queued": "queue",
}  # counters with such a beginning are one family, told apart by this label

DEPARTED = ("dead", "left")

Labels = Mapping[str, str]
Series = tuple[Labels, float]


@cache
def families(metrics: tuple[Metric, ...]) -> tuple[str, ...]:
    """The family of each metric. Raises `SettingError` where two metrics would share one."""
    taken: dict[str, str] = {}
    for metric in metrics:
        unit = UNITS.get(metric.unit)
        family = _safe(f"priomon_node_{metric.name}" + (f"_{unit}" if unit else ""))
        if family in taken:
            raise SettingError(f"metrics {taken[family]!r} and {metric.name!r} would both be {family} at /metrics; rename one")
        taken[family] = metric.name
    return tuple(taken)


def exposition(agent: view.Observed, names: Sequence[str], counters: Mapping[str, int]) -> str:
    """The whole page; `names` are the `families` of the agent's metrics."""
    return "".join(_page(agent, names, counters))


def _page(agent: view.Observed, names: Sequence[str], counters: Mapping[str, int]) -> Iterator[str]:
    known = {node["name"]: node for node in view.state(agent)}  # of two nodes with one name the newest: Prometheus takes a series once
    for metric, family in zip(agent.metrics, names, strict=True):
        readings = ((name, node["metrics"].get(metric.name)) for name, node in known.items() if node["state"] not in DEPARTED)
        series = [({"node": name}, reading["value"]) for name, reading in readings if reading]
        yield from _family(family, "gauge", f"{metric.name} in {metric.unit}, {_precision(metric)}.", series)
    ages = [({"node": name}, node["age_seconds"]) for name, node in known.items() if node["age_seconds"] is not None]
    yield from _family("priomon_age_seconds", "gauge", "Time since the newest sample that this agent has of a node.", ages)
    up = [({"node": name}, int(node["state"] not in DEPARTED)) for name, node in known.items() if node["state"]]
    yield from _family("priomon_up", "gauge", "Whether a node is neither held dead nor gone.", up)
    states = [({"node": name, "state": node["state"]}, 1) for name, node in known.items() if node["state"]]
    yield from _family("priomon_state", "gauge", "What a node is held for.", states)
    info = [({"node": n, "address": node["address"], "generation": str(node["generation"])}, 1) for n, node in known.items()]
    yield from _family("priomon_info", "gauge", "The nodes that this agent knows.", info)
    uptime = (agent.now_ns() - agent.started_ns) / SECOND
    yield from _family("priomon_agent_uptime_seconds", "gauge", "Time since this agent started.", [({}, uptime)])
    yield from _family("priomon_agent_peers", "gauge", "Nodes that this agent gossips with.", [({}, len(agent.peers))])
    replica = agent.replica
    news = [({"kind": "useful"}, replica.useful), ({"kind": "redundant"}, replica.delivered - replica.useful)]
    yield from _family("priomon_agent_news_total", "counter", "News received; redundant ones were known already.", news)
    samples = [
        ({"metric": metric, "outcome": outcome}, count)
        for metric, counts in view.samples(agent).items()
        for outcome, count in counts.items()
    ]
    yield from _family("priomon_agent_metric_samples_total", "counter", "Samples of this node, by what became of them.", samples)
    yield from _counters(counters)


def _precision(metric: Metric) -> str:
    if metric.filter == "schedule":
        return "of unbounded error"
    return f"within a factor of {metric.bound:g}" if metric.scale == "log" else f"within {metric.bound:g} {metric.unit}"


def _counters(counters: Mapping[str, int]) -> Iterator[str]:
    grouped: dict[str, list[Series]] = {}
    for key, count in counters.items():
        begin, _, detail = key.partition("_")
        if detail and begin in DETAILED:
            grouped.setdefault(begin, []).append(({DETAILED[begin]: detail}, count))
        else:
            grouped.setdefault(key, []).append(({}, count))
    for name, series in grouped.items():
        if name == "queued":
            yield from _family("priomon_agent_queued", "gauge", "Waiting now.", series)
        else:
            yield from _family(_safe(f"priomon_agent_{name}_total"), "counter", "Counted since this agent started.", series)


def _family(name: str, kind: str, text: str, series: Iterable[Series]) -> Iterator[str]:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    yield f"# HELP {name} {text}\n# TYPE {name} {kind}\n"
    for labels, number in series:
        written = ",".join(f'{label}="{_escaped(content)}"' for label, content in labels.items())
        yield f"{name}{{{written}}} {number}\n" if written else f"{name} {number}\n"


def _escaped(content: str) -> str:
    return content.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _safe(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)
