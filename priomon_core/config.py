"""Every setting of the protocol, with its unit, default and reason. The reference in docs/settings.md is generated from here."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from priomon_core.errors import SettingError

SECOND = 1_000_000_000  # time inside is integer nanoseconds
UDP_IPV4_HEADERS = 28  # bytes that every datagram costs beside its payload
SEAL_OVERHEAD = 33  # bytes that encryption adds to a payload: format, key id, sender, counter and tag
NO_LIMIT = 1 << 40
NEVER = 1 << 62  # a time that does not come
DATAGRAM_STRATEGIES = ("scuttlebutt", "rumor", "tree")
STRATEGIES = (*DATAGRAM_STRATEGIES, "demon")
DETECTORS = ("swim", "phi", "count", "none")


def setting(default: Any, unit: str, reason: str) -> Any:
    """A dataclass field that carries its own documentation."""
    return field(default=default, metadata={"unit": unit, "reason": reason})


@dataclass(frozen=True, slots=True)
class GossipSettings:
    """How a node gossips. Raises `SettingError` when a value is out of range."""

    strategy: str = setting(
        "tree",
        "",
        "How knowledge travels. scuttlebutt: a digest, then what either side lacks; rumor: what is new to random peers until most know it; "
        "tree: what is new over a tree, to each node once; demon, in simulations only: the prototype's (all counters, JSON over HTTP).",
    )
    period: int = setting(SECOND, "ns", "Time between two rounds of a node: halving it halves the lag and doubles the bytes.")
    fanout: int = setting(1, "peers", "Peers contacted per round; two peers cost twice the bytes of one and save a third of the rounds.")
    datagram_limit: int = setting(
        1200,
        "B",
        "Largest UDP payload: passes IPv6's minimum MTU of 1,280 B without fragments; a lost fragment would lose all of them.",
    )
    burst: int = setting(
        8, "datagrams", "Most datagrams that one message may take: a newcomer catches up in a few rounds, and no queue is flooded."
    )
    settling: int = setting(
        2,
        "rounds",
        "A digest names its origins until the set of known origins has been stable this long; then their order names them.",
    )
    ageing: int = setting(
        5 * SECOND,
        "ns",
        "An update that waits this long moves up one priority class, so that a full packet never starves the low ones.",
    )
    flushes: int = setting(
        2,
        "per round",
        "rumor and tree: how often waiting updates leave. A hop waits half of such an interval; each flush costs headers.",
    )
    repair: int = setting(
        10,
        "rounds",
        "rumor and tree: while updates keep coming, nodes compare all they know this seldom. In a lull they compare hashes every round.",
    )
    hot: int = setting(
        2, "pushes", "rumor: in vain pushes of an update until a node stops to push it. More of them leave less to repair and cost more."
    )
    degree: int = setting(8, "links", "tree: most links of a node. Fewer share the load evenly; more make the tree flat, and lag short.")

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise SettingError(f"strategy: expected one of {', '.join(STRATEGIES)}, found {self.strategy!r}")
        _check(
            self,
            {"period": 1, "fanout": 1, "datagram_limit": 256, "burst": 1, "settling": 0, "ageing": 1}
            | {"flushes": 1, "repair": 1, "hot": 1, "degree": 2},
        )


@dataclass(frozen=True, slots=True)
class DetectionSettings:
    """How a node finds out who is alive. Raises `SettingError` when a value is out of range."""

    detector: str = setting(
        "swim",
        "",
        "swim probes with every exchange and asks others before it suspects; phi judges by the silence of an origin; count, as the "
        "prototype meant to, by failed exchanges in a row; none judges nobody, and must then be none on all nodes.",
    )
    probe_timeout: int = setting(
        SECOND // 2, "ns", "How long an answer may take before others are asked to probe too: above nearly every round trip of the network."
    )
    indirect_probes: int = setting(
        3, "nodes", "Nodes asked to probe one that did not answer: with three, 20 % loss makes one probe in a hundred fail."
    )
    suspicion: int = setting(
        3,
        "periods",
        "Shortest suspicion, times log10 of the number of nodes: the accused must hear of it and its refutation must get around.",
    )
    longest_suspicion: int = setting(
        6, "times", "How much longer a suspicion lasts that nobody confirms: one node's opinion must not kill."
    )
    retransmissions: int = setting(
        4, "times", "How often a node passes a rumour on, times log10 of the number of nodes: four reach all but a few in a million."
    )
    phi_threshold: float = setting(
        8.0, "", "phi only: suspects when a silence this long has a chance of 10^-phi, by the silences of that origin so far."
    )
    heartbeat: int = setting(
        5 * SECOND, "ns", "phi only: longest time between two publications of a node, so that its silence says something."
    )
    failures: int = setting(3, "exchanges", "count only: exchanges with one peer that fail in a row until it is held dead.")
    reconnect: int = setting(
        2 * SECOND,
        "ns",
        "How often somebody tries each dead node, all nodes together: a partition heals within a few of these, at 45 B each.",
    )
    tombstone: int = setting(
        24 * 3600 * SECOND, "ns", "How long a departed node is remembered, and its key then refused: longer than old news of it can live."
    )

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise SettingError(f"detector: expected one of {', '.join(DETECTORS)}, found {self.detector!r}")
        _check(
            self,
            {
                "probe_timeout": 1,
                "indirect_probes": 0,
                "suspicion": 1,
                "longest_suspicion": 1,
                "retransmissions": 1,
                "heartbeat": 1,
                "failures": 1,
                "reconnect": 1,
                "tombstone": 1,
            },
        )
        if not 0.5 <= self.phi_threshold <= 300:
            raise SettingError(f"phi_threshold: expected 0.5 to 300, found {self.phi_threshold}")


def _check(settings: Any, smallest: dict[str, int]) -> None:
    """Raise `SettingError` for the first setting below its smallest value."""
    for name, least in smallest.items():
        if not getattr(settings, name) >= least:
            unit = next(f.metadata["unit"] for f in fields(settings) if f.name == name)
            raise SettingError(f"{name}: expected at least {least} {unit}, found {getattr(settings, name)}")
