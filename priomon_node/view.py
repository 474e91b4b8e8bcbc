"""What an agent knows, as plain values for people and programs: pure functions from an agent to what JSON can hold.

A value carries the interval in which the true one lies. It follows from the filter: an observer that lacks no publication is within one
bound of the origin's newest sample. Whether it lacks one, nobody can know here; the age of the value tells how likely that is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from sys import float_info
from typing import Any, Protocol

from priomon_core import __version__
from priomon_core.config import SECOND
from priomon_core.holdings import AgentReplica
from priomon_core.identity import Address, Identity
from priomon_core.metrics import STEPS_PER_BOUND, Metric
from priomon_core.priority import Publisher
from priomon_core.quorum import Outcome
from priomon_core.quorum_level import Level
from priomon_core.watch import Watch
from priomon_core.why import Reasons
from priomon_core.why import why as reasons

Json = dict[str, Any]


class Observed(Protocol):
    """What is read of an agent. Times are ns of one clock that does not run backwards; `counters` count since the start."""

    @property
    def replica(self) -> AgentReplica: ...
    @property
    def metrics(self) -> tuple[Metric, ...]: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def cluster(self) -> str: ...
    @property
    def started_ns(self) -> int: ...
    @property
    def publisher(self) -> Publisher: ...
    @property
    def watch(self) -> Watch | None: ...
    @property
    def counters(self) -> Mapping[str, int]: ...
    @property
    def peers(self) -> Collection[Any]: ...

    def now_ns(self) -> int: ...
    async def read(self, name: str, level: Level, within: int) -> Outcome: ...


def nodes(agent: Observed) -> list[Json]:
    """Every origin that the agent knows, by name: {name, generation, address, version, age_seconds, state, state_seconds, self}.

    `age_seconds` is the time since the newest sample that the agent has of it, None before its own first one. `state` is alive, suspect,
    dead or left, and `state_seconds` for how long, None if never anything else was known; `state` is None where nobody judges. A name
    comes twice while two nodes bear it.
    """
    return [_node(agent, slot) for slot in _slots(agent)]


def state(agent: Observed, name: str | None = None) -> list[Json]:
    """As `nodes`, of one name or all, each with `metrics`: name -> {value, unit, bound, scale, low, high, age_seconds}.

    A metric of which the origin has published nothing is absent. `low` to `high` is where the true value lies, see `interval`.
    """
    values, found = agent.replica.values, []
    for slot in _slots(agent):
        if name is not None and values.identity(slot).name != name:
            continue
        node = _node(agent, slot)
        held = values.changes(slot, 0, node["version"])
        node["metrics"] = {agent.metrics[i].name: _reading(agent.metrics[i], level, node["age_seconds"]) for i, level in held}
        found.append(node)
    return found


def interval(metric: Metric, level: int) -> tuple[float, float] | None:
    """Where the true value of a published level lies if no publication is missed; None under `schedule`, which bounds no error."""
    if metric.filter == "schedule":
        return None
    low = value(metric, level - STEPS_PER_BOUND)
    if metric.scale == "log" and level < STEPS_PER_BOUND:
        low = 0.0  # all values under the floor have one position
    return low if metric.signed else max(low, 0.0), value(metric, level + STEPS_PER_BOUND)


def value(metric: Metric, level: int) -> float:
    """As `Metric.value`, but finite for every level that the wire can carry: JSON knows no infinity."""
    try:
        return max(-float_info.max, min(metric.value(level), float_info.max))
    except OverflowError:
        return float_info.max


def status(agent: Observed) -> Json:
    """The agent itself, at a glance; `unready` is None or what it still waits for."""
    return {
        "name": agent.identity.name,
        "generation": agent.identity.generation,
        "address": endpoint(agent.identity.address),
        "cluster": agent.cluster,
        "version": __version__,
        "uptime_seconds": (agent.now_ns() - agent.started_ns) / SECOND,
        "nodes": sum(1 for _ in _slots(agent)),
        "peers": len(agent.peers),
        "unready": unready(agent),
        "counters": dict(agent.counters),
    }


def unready(agent: Observed) -> str | None:
    """What the agent still waits for, None if it does its work. Peers are not asked for: the first node of a cluster has none."""
    return None if agent.replica.versions[agent.replica.own] else "it has published no sample of its own yet"


def telemetry(agent: Observed) -> Json:
    """What a probe of a whole cluster needs: exact integers, times in ns of the agent's clock."""
    replica, now = agent.replica, agent.now_ns()
    held = []
    for slot in _slots(agent):
        identity, version = replica.values.identity(slot), int(replica.versions[slot])
        levels = replica.values.changes(slot, 0, version)
        age = replica.values.age(slot, version, now) if version else None
        held.append({"name": identity.name, "generation": identity.generation, "version": version, "age_ns": age, "levels": levels})
    return {
        "name": agent.identity.name,
        "generation": agent.identity.generation,
        "now_ns": now,
        "delivered": replica.delivered,
        "useful": replica.useful,
        "held": held,
        "samples": samples(agent),
        "counters": dict(agent.counters),
    }


def samples(agent: Observed) -> dict[str, dict[str, int]]:
    """The node's own samples since the start, by metric: {published, filtered, missing}."""
    of = agent.publisher
    return {
        metric.name: {"published": of.published[i], "filtered": of.filtered[i], "missing": of.missing[i]}
        for i, metric in enumerate(agent.metrics)
    }


def why(agent: Observed, name: str) -> Reasons | None:
    """Why a node is held for what it is (see why.py of the core); None where nobody judges."""
    return None if agent.watch is None else reasons(agent.watch, name, agent.now_ns())


def answer(agent: Observed, name: str, outcome: Outcome) -> Json:
    """How a read of a node ended: {name, level, met, partial, latency_seconds, messages, version, age_seconds, from, metrics, responders}.

    `from` is who holds the values, and `metrics` are as in `state`; `responders` are the others that answered, each {name, version,
    age_seconds}, in the order of their answers.
    """
    replica, result = agent.replica, outcome.result

    def called(key: int) -> str:
        slot = replica.known(key)
        return f"{key:08x}" if slot is None else replica.values.identity(slot).name

    def age(sampled_at: int) -> float:
        return (outcome.ended - sampled_at) / SECOND

    return {
        "name": name,
        "level": str(outcome.level),
        "met": outcome.met,
        "partial": not outcome.met,
        "latency_seconds": (outcome.ended - outcome.began) / SECOND,
        "messages": outcome.messages,
        "version": result.version,
        "age_seconds": age(result.sampled_at),
        "from": called(result.key),
        "metrics": {agent.metrics[i].name: _reading(agent.metrics[i], level, age(result.sampled_at)) for i, level in result.levels},
        "responders": [{"name": called(one.key), "version": one.version, "age_seconds": age(one.sampled_at)} for one in outcome.answers],
    }


def endpoint(address: Address) -> str:
    """host:port, with brackets around an IPv6 address."""
    return f"[{address.host}]:{address.port}" if ":" in address.host else f"{address.host}:{address.port}"


def _slots(agent: Observed) -> Iterator[int]:
    """The slots of all origins that were introduced, by name and generation, and the agent's own."""
    replica = agent.replica
    known = [slot for slot, version in enumerate(replica.versions) if version or slot == replica.own]

    def rank(slot: int) -> tuple[str, int]:
        identity = replica.values.identity(slot)
        return identity.name, identity.generation

    return iter(sorted(known, key=rank))


def _node(agent: Observed, slot: int) -> Json:
    replica = agent.replica
    identity, version = replica.values.identity(slot), int(replica.versions[slot])
    return {
        "name": identity.name,
        "generation": identity.generation,
        "address": endpoint(identity.address),
        "version": version,
        "age_seconds": replica.values.age(slot, version, agent.now_ns()) / SECOND if version else None,
        **_held(agent, identity.key),
        "self": slot == replica.own,
    }


def _held(agent: Observed, key: int) -> Json:
    """For what the agent holds a node."""
    if agent.watch is None:
        return {"state": None, "state_seconds": None}
    belief = agent.watch.membership.belief(key)
    state = agent.watch.membership.state(key).name.lower()
    return {"state": state, "state_seconds": None if belief is None else (agent.now_ns() - belief.since) / SECOND}


def _reading(metric: Metric, level: int, age: float) -> Json:
    low, high = interval(metric, level) or (None, None)
    return {
        "value": value(metric, level),
        "unit": metric.unit,
        "bound": metric.bound,
        "scale": metric.scale,
        "low": low,
        "high": high,
        "age_seconds": age,
    }
