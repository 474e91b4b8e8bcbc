"""A random scenario from a seed: any topology, network, settings and faults that the protocol claims to stand, a chaos phase and then calm.

Settings are drawn from ranges that go together: a probe must have time to be answered, and detectors that ask nobody else get a network
that loses little. What a network does to the measure of chaos is not limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from pydantic import ValidationError

from priomon_core.errors import PriomonError
from priomon_sim.checkers.verdicts import convergence_time
from priomon_sim.examiner import usual_loss
from priomon_sim.scenario.document import Scenario
from priomon_sim.world import draft

Data = dict[str, Any]
QUIET = 5.0  # seconds before the first fault
MARGIN = 10.0  # seconds of calm beyond the time in which a cluster must converge
KINDS = ("crash", "leave", "pause", "starve", "partition", "one-way", "degrade", "churn", "skew", "restart", "flap")


def scenario_of(data: Mapping[str, Any]) -> Scenario:
    """A scenario from plain values, in which only the built-in traces and no other files are named. Raises `ValidationError`."""
    return Scenario.model_validate(dict(data), context={"folder": Path()})


def sound(data: Mapping[str, Any]) -> Scenario | None:
    """The scenario of plain values, None if it cannot be run."""
    try:
        scenario = scenario_of(data)
        draft(scenario)
    except (PriomonError, ValidationError):
        return None
    return scenario


def random_scenario(seed: int) -> Data:
    """The scenario of a seed, as plain values that can be written as YAML."""
    random = Random(f"{seed} fuzz")
    nodes = random.choice([*range(3, 13), *range(8, 25), 32])
    period = random.choice([0.2, 0.5, 1.0, 1.0, 2.0])
    detector = random.choices(["swim", "phi", "count", "none"], [80, 8, 7, 5])[0]
    topology = _topology(random, nodes)
    overlay = topology.get("role") != "underlay" and topology["kind"] != "complete"
    hops = 8 if topology.get("role") == "underlay" else 1  # or thereabouts; delay and loss are those of one
    slowest = random.choice([0.002, 0.02, 0.1]) * period / hops
    most_loss = (0.2 if detector in ("swim", "none") else 0.01) / hops
    chaos = random.choice([20.0, 40.0, 80.0])
    faults = [_fault(random, chaos) for _ in range(random.randint(0, 7))]
    faults.sort(key=lambda fault: fault["at"])
    data = {
        "name": f"seed-{seed}",
        "seed": seed,
        "nodes": nodes,
        "duration": _s(QUIET + chaos + 1),
        "filter": random.choice(["bounded", "bounded", "none", "schedule"]),
        "start": random.choice(["cold", "cold", "known"]),
        "sample_every": _s(max(1.0, period)),
        "workload": {"kind": "synthetic"},
        "topology": topology,
        "gossip": _gossip(random, period, 1 if overlay else min(random.choice([1, 1, 2, 3]), nodes - 1)),
        "network": _network(random, slowest, most_loss),
        "detection": _detection(random, detector, period, slowest * hops),
        "measure": {"every": _s(min(1.0, period))},
        "faults": [{**fault, "at": _s(fault["at"])} for fault in faults],
    }
    if overlay or random.random() < 0.5:  # else a graph may stay in pieces
        data["faults"].append({"kind": "restart", "at": _s(QUIET + chaos), "nodes": "down"})
    data = _without_impossible(data)
    return {**data, "duration": _s(QUIET + chaos + calm(scenario_of(data)))}


def calm(scenario: Scenario) -> float:
    """Seconds without faults after which its cluster must have converged."""
    loss = usual_loss(draft(scenario))
    limit = convergence_time(scenario.nodes, scenario.gossip.settings(), scenario.detection.settings(), loss)
    return limit / 1e9 + MARGIN


def _without_impossible(data: Data) -> Data:
    """The same without faults that cannot happen, such as a crash of three when two run, and without a graph that falls into pieces."""
    if sound({**data, "faults": []}) is None:
        data = {**data, "topology": {"kind": "complete"}}
    if sound(data) is None:
        possible: list[Data] = []
        for fault in data["faults"]:
            if sound({**data, "faults": [*possible, fault]}) is not None:
                possible.append(fault)
        data = {**data, "faults": possible}
    return data


def _topology(random: Random, nodes: int) -> Data:
    kind = random.choice(["complete"] * 6 + ["underlay"] * 2 + ["random-regular", "watts-strogatz", "barabasi-albert", "star", "ring"])
    degree = min(4, (nodes - 1) // 2 * 2)
    match kind:
        case "underlay":
            return {"kind": random.choice(["ring", "star", "grid"]), "role": "underlay"}
        case "random-regular" | "watts-strogatz":
            return {"kind": kind, "degree": degree}
        case "barabasi-albert":
            return {"kind": kind, "attach": random.choice([1, 2])}
    return {"kind": kind}


def _gossip(random: Random, period: float, fanout: int) -> Data:
    return {
        "strategy": random.choices(["scuttlebutt", "rumor", "tree", "demon"], [55, 20, 20, 5])[0],
        "period": _s(period),
        "fanout": fanout,
        "sealed": random.random() < 0.3,
        "datagram_limit": random.choice(["300 B", "400 B", "600 B", "1200 B", "1200 B", "none"]),
        "burst": random.choice([1, 2, 8]),
        "settling": random.choice([0, 1, 2, 4]),
        "ageing": _s(random.choice([0.5, 5.0, 60.0])),
        "flushes": random.choice([1, 2, 2, 5]),
        "repair": random.choice([1, 10, 10, 30]),
        "hot": random.choice([1, 2, 4]),
        "degree": random.choice([2, 3, 8]),
    }


def _detection(random: Random, detector: str, period: float, slowest: float) -> Data:
    return {
        "detector": detector,
        "probe_timeout": _s(max(period * random.choice([0.25, 0.5]), 4 * slowest)),
        "indirect_probes": random.choice([0, 1, 3, 3]),
        "suspicion": random.choice([2, 3, 5]),
        "longest_suspicion": random.choice([1, 3, 6]),
        "retransmissions": random.choice([2, 4, 4, 6]),
        "reconnect": _s(random.choice([1.0, 2.0, 4.0])),
        "tombstone": random.choice(["20 s", "60 s", "24 h", "24 h"]),
        "heartbeat": _s(5 * period),
    }


def _network(random: Random, slowest: float, most_loss: float) -> Data:
    latency: Any = random.choice(
        [
            _s(slowest),
            {"kind": "uniform", "low": "0 s", "high": _s(slowest)},
            {"kind": "lognormal", "median": _s(slowest / 4), "sigma": 0.5},
        ]
    )
    loss: Any = _share(random.choice([0, 0, 0.25, 0.5, 1]) * most_loss)
    if random.random() < 0.15:
        loss = {"kind": "gilbert-elliott", "to_bad": "2 %", "to_good": "30 %", "bad_loss": _share(4 * most_loss)}
    network = {"latency": latency, "loss": loss, "duplicate": _share(random.choice([0, 0, 0.05, 0.3]))}
    if random.random() < 0.3:
        network["reorder"] = {"share": "10 %", "extra": _s(max(0.001, 2 * slowest))}
    if random.random() < 0.1:
        network |= {"bandwidth": "512 kbit/s", "queue": "16 kB"}
    return network


def _fault(random: Random, chaos: float) -> Data:
    """A fault that is over by the end of the chaos; `at` in seconds."""
    kind = random.choice(KINDS)
    at = QUIET + random.random() * chaos * 0.9
    left = QUIET + chaos - at
    lasts = _s(random.choice([0.02, 0.2, 0.5, 1.0]) * left)
    fault: Data = {"kind": kind, "at": at, "nodes": random.choice(["1", "2", "20 %", "50 %"])}
    match kind:
        case "crash" | "leave":
            return fault | ({"back_after": _s(random.random() * left)} if random.random() < 0.7 else {})
        case "flap":
            return fault | {"kind": "starve", "lasts": lasts, "blocked": "12 s", "running": "6 s"}
        case "starve":
            return fault | {"lasts": lasts, "blocked": _s(random.choice([0.3, 2.0, 8.0])), "running": _s(random.choice([0.3, 2.0]))}
        case "pause":
            return fault | {"lasts": lasts}
        case "partition":
            return fault | {"lasts": lasts}
        case "one-way":
            return fault | {"kind": "partition", "lasts": lasts, "direction": random.choice(["in", "out"])}
        case "degrade":
            conditions = {"latency": random.choice(["5 ms", "800 ms"]), "loss": random.choice(["30 %", "60 %", "100 %"])}
            return fault | {"lasts": lasts, "conditions": conditions}
        case "churn":
            churn = {"nodes": "all", "per_minute": random.choice([6, 30, 120]), "leave": random.choice(["0 %", "50 %"])}
            return fault | churn | {"lasts": lasts, "down": _s(random.choice([1.0, 5.0, 15.0]))}
        case "skew":
            return fault | {"rate": random.choice([0.8, 0.99, 1.01, 1.2])}
    return fault | {"nodes": "down"}


def _s(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))} ms"


def _share(share: float) -> str:
    return f"{share * 100:g} %"
