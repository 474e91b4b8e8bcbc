"""What an orchestrator has an agent do in an experiment, and the JSON document in which it travels.

All that makes the simulated twin what it is stands in here: the node's lives with their random streams, its peers in their order, its
samples, what its links do, and what goes wrong. So both runs draw the same luck wherever reality leaves it a choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass
from ipaddress import ip_address

from priomon_core import links
from priomon_core.config import DATAGRAM_STRATEGIES, DetectionSettings, GossipSettings
from priomon_core.identity import Address, Identity
from priomon_core.metrics import MAX_METRICS, Metric, Priority
from priomon_node.experiment.script import Life, Planned, check_ends, life_from_json, life_to_json, mishap_from_json, mishap_to_json
from priomon_node.json_fields import Json, checked, refuse, types_of

FIELDS: Json = {
    "run": str,
    "start": int,
    "duration": int,
    "patience": int,
    "name": str,
    "address": tuple[str, int],
    "lives": list[Json],
    "mishaps": list[tuple[int, str, Json]],
    "metrics": list[Json],
    "gossip": Json,
    "detection": Json,
    "sealed": bool,
    "peers": list[tuple[str, int]],
    "sample_every": int,
    "samples": list[list[float | None]] | None,
    "follow_every": int,
    "probe_every": int,
    "links": Json,
}
LINK_FIELDS: Json = {
    "seed": int,
    "own": int,
    "indexes": list[tuple[str, int, int]],
    "default": Json,
    "overrides": list[tuple[int, Json]],
    "hops": list[tuple[int, int]] | None,
}


@dataclass(frozen=True, slots=True)
class LinkPlan:
    """What becomes of the datagrams that a node sends: the models of its links, by the index of the node at the other end.

    `hops` is None where every datagram crosses one link.
    """

    seed: int
    own: int
    indexes: Mapping[Address, int]
    default: links.LinkModel
    overrides: Mapping[int, links.LinkModel]
    hops: Mapping[int, int] | None = None

    def links(self) -> links.Links:
        """The links that start at this node."""
        overrides = {(self.own, target): model for target, model in self.overrides.items()}
        hops = self.hops
        return links.Links(len(self.indexes), self.seed, self.default, overrides, None if hops is None else lambda _, target: hops[target])


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The part of one node in a run. Times are nanoseconds since the run's start, `start` is Unix time in ns. After `duration` it rests,
    and after `patience` without a word from the orchestrator it is over.

    The node has `lives` one after another, and suffers the `mishaps` meanwhile. Datagrams of another `run` are not understood. `samples`
    are the rows that the node samples, one per `sample_every` and used again from the first if the run is longer; None lets it measure
    its machine. It looks at what it holds every `follow_every`, and every `probe_every` also at what it has done.
    """

    run: str
    start: int
    duration: int
    patience: int
    name: str
    address: Address
    lives: tuple[Life, ...]
    mishaps: tuple[Planned, ...]
    metrics: tuple[Metric, ...]
    gossip: GossipSettings
    detection: DetectionSettings
    sealed: bool
    peers: tuple[Address, ...]
    sample_every: int
    samples: tuple[tuple[float, ...], ...] | None
    follow_every: int
    probe_every: int
    links: LinkPlan

    def to_json(self) -> Json:
        """The document; NaN, which JSON lacks, becomes null."""
        plan = self.links
        return {
            "run": self.run,
            "start": self.start,
            "duration": self.duration,
            "patience": self.patience,
            "name": self.name,
            "address": list(self.address),
            "lives": [life_to_json(life) for life in self.lives],
            "mishaps": [mishap_to_json(planned) for planned in self.mishaps],
            "metrics": [{**_settings_of(metric), "priority": int(metric.priority)} for metric in self.metrics],
            "gossip": asdict(self.gossip),
            "detection": asdict(self.detection),
            "sealed": self.sealed,
            "peers": [list(peer) for peer in self.peers],
            "sample_every": self.sample_every,
            "samples": None if self.samples is None else [[None if math.isnan(v) else v for v in row] for row in self.samples],
            "follow_every": self.follow_every,
            "probe_every": self.probe_every,
            "links": {
                "seed": plan.seed,
                "own": plan.own,
                "indexes": [[*address, index] for address, index in plan.indexes.items()],
                "default": links.to_json(plan.default),
                "overrides": [[target, links.to_json(model)] for target, model in plan.overrides.items()],
                "hops": None if plan.hops is None else list(plan.hops.items()),
            },
        }


def _settings_of(metric: Metric) -> Json:
    """A metric's settings by name."""
    return {name: value for name, value in asdict(metric).items() if not name.startswith("_")}


def read_assignment(document: object) -> Assignment:
    """The assignment in a document. Raises `SettingError`, which names the field that is missing or wrong."""
    found = checked("assignment", document, FIELDS)
    samples = found["samples"]
    assignment = Assignment(
        run=found["run"],
        start=found["start"],
        duration=found["duration"],
        patience=found["patience"],
        name=found["name"],
        address=_address("address", *found["address"]),
        lives=tuple(life_from_json(f"lives[{i}]", life) for i, life in enumerate(found["lives"])),
        mishaps=tuple(mishap_from_json(f"mishaps[{i}]", mishap) for i, mishap in enumerate(found["mishaps"])),
        metrics=tuple(_metric(f"metrics[{i}]", metric) for i, metric in enumerate(found["metrics"])),
        gossip=GossipSettings(**checked("gossip", found["gossip"], types_of(GossipSettings))),
        detection=DetectionSettings(**checked("detection", found["detection"], types_of(DetectionSettings))),
        sealed=found["sealed"],
        peers=tuple(_address("peers", *peer) for peer in found["peers"]),
        sample_every=found["sample_every"],
        samples=None if samples is None else tuple(tuple(math.nan if v is None else float(v) for v in row) for row in samples),
        follow_every=found["follow_every"],
        probe_every=found["probe_every"],
        links=_plan(checked("links", found["links"], LINK_FIELDS)),
    )
    _check(assignment)
    return assignment


def _metric(name: str, document: object) -> Metric:
    found = checked(name, document, types_of(Metric))
    return Metric(**{**found, "priority": Priority(found["priority"])})


def _plan(found: Json) -> LinkPlan:
    return LinkPlan(
        found["seed"],
        found["own"],
        {_address("links.indexes", host, port): index for host, port, index in found["indexes"]},
        links.from_json(found["default"]),
        {target: links.from_json(model) for target, model in found["overrides"]},
        None if found["hops"] is None else dict(found["hops"]),
    )


def _address(name: str, host: str, port: int) -> Address:
    """An address that datagrams can be sent to without looking up a name."""
    try:
        ip_address(host)
    except ValueError:
        refuse(name, host, "an IP address")
    if not 0 < port < 65536:
        refuse(name, port, "a port from 1 to 65535")
    return Address(host, port)


def _check(assignment: Assignment) -> None:
    """See that the parts of an assignment fit each other."""
    for name in ("duration", "patience", "sample_every", "follow_every", "probe_every"):
        if getattr(assignment, name) <= 0:
            refuse(name, getattr(assignment, name), "more than 0 ns")
    for life in assignment.lives:
        Identity(assignment.name, life.generation, assignment.address)  # which refuses what cannot be one
    ends = [0, *(assignment.duration if life.ends is None else life.ends for life in assignment.lives)]
    if len(ends) < 2 or any(life.begins < end for life, end in zip(assignment.lives, ends, strict=False)):
        refuse("lives", assignment.lives, "at least one, each after the end of the one before")
    check_ends(assignment.mishaps)
    if assignment.gossip.strategy not in DATAGRAM_STRATEGIES:
        refuse("gossip.strategy", assignment.gossip.strategy, f"one of {', '.join(DATAGRAM_STRATEGIES)}")
    metrics, samples, plan = assignment.metrics, assignment.samples, assignment.links
    names = [metric.name for metric in metrics]
    if not 0 < len(set(names)) == len(names) <= MAX_METRICS:
        refuse("metrics", names, f"1 to {MAX_METRICS} with different names")
    if samples is not None and {len(row) for row in samples} != {len(metrics)}:
        refuse("samples", samples, f"at least one, each of {len(metrics)} values, one per metric")
    nodes = set(range(len(plan.indexes)))
    others = nodes - {plan.own}
    if {*plan.indexes.values()} != nodes or plan.indexes.get(assignment.address) != plan.own:
        refuse("links.indexes", plan.indexes, f"every number below {len(nodes)} once, and that of this node's address in links.own")
    _check_others("links.overrides", plan.overrides.keys(), others)
    _check_others("peers", {plan.indexes.get(peer, -1) for peer in assignment.peers}, others)
    if plan.hops is not None and (plan.hops.keys() != others or not all(0 < hops <= links.UNREACHABLE for hops in plan.hops.values())):
        refuse("links.hops", plan.hops, f"1 to {links.UNREACHABLE} to every other node")


def _check_others(name: str, found: Set[int], others: Set[int]) -> None:
    if not found <= others:
        refuse(name, sorted(found), "other nodes of links.indexes only")
