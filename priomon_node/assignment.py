"""What an orchestrator has an agent do in an experiment, and the JSON document in which it travels.

All that makes the simulated twin what it is stands in here: the node's name and random stream, its peers in their order, its samples,
and what its links do. So both runs draw the same luck wherever reality leaves it a choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from priomon_core import links
from priomon_core.config import GossipSettings
from priomon_core.errors import SettingError
from priomon_core.identity import Address, Identity
from priomon_core.metrics import Metric, Priority

Json = dict[str, Any]


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
    """The part of one node in a run. Times are nanoseconds since the run's start, `start` is Unix time in ns. After `duration` it rests.

    Datagrams of another `run` are not understood. `samples` are the rows that the node samples, one per `sample_every` and used again
    from the first if the run is longer; None lets it measure its machine. It looks at what it holds every `follow_every`, and every
    `probe_every` also at what it has done.
    """

    run: str
    start: int
    duration: int
    identity: Identity
    stream: str
    metrics: tuple[Metric, ...]
    gossip: GossipSettings
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
            "name": self.identity.name,
            "generation": self.identity.generation,
            "address": list(self.identity.address),
            "stream": self.stream,
            "metrics": [{**_settings_of(metric), "priority": int(metric.priority)} for metric in self.metrics],
            "gossip": asdict(self.gossip),
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
    """The assignment in a document. Raises `SettingError`, which names what is wrong with it."""
    if not isinstance(document, dict):
        raise SettingError(f"an assignment is an object, found {type(document).__name__}")
    try:
        plan = document["links"]
        samples = document["samples"]
        assignment = Assignment(
            run=str(document["run"]),
            start=int(document["start"]),
            duration=int(document["duration"]),
            identity=Identity(document["name"], document["generation"], _address(document["address"])),
            stream=str(document["stream"]),
            metrics=tuple(Metric(**{**metric, "priority": Priority(metric["priority"])}) for metric in document["metrics"]),
            gossip=GossipSettings(**document["gossip"]),
            sealed=bool(document["sealed"]),
            peers=tuple(map(_address, document["peers"])),
            sample_every=int(document["sample_every"]),
            samples=None if samples is None else tuple(tuple(math.nan if v is None else float(v) for v in row) for row in samples),
            follow_every=int(document["follow_every"]),
            probe_every=int(document["probe_every"]),
            links=LinkPlan(
                int(plan["seed"]),
                int(plan["own"]),
                {_address(address): int(index) for *address, index in plan["indexes"]},
                links.from_json(plan["default"]),
                {int(target): links.from_json(model) for target, model in plan["overrides"]},
                None if plan["hops"] is None else {int(target): int(hops) for target, hops in plan["hops"]},
            ),
        )
    except KeyError as error:
        raise SettingError(f"the assignment lacks {error}; orchestrator and agent may be of different versions") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise SettingError(f"the assignment cannot be read ({error}); orchestrator and agent may be of different versions") from None
    if min(assignment.sample_every, assignment.follow_every, assignment.probe_every) <= 0:
        raise SettingError("the assignment's intervals must be above 0 ns")
    if assignment.samples is not None and any(len(row) != len(assignment.metrics) for row in assignment.samples or [()]):
        raise SettingError(f"every sample of the assignment needs {len(assignment.metrics)} values, one per metric")
    return assignment


def _address(found: Any) -> Address:
    host, port = found
    return Address(str(host), int(port))
