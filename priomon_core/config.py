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


def setting(default: Any, unit: str, reason: str) -> Any:
    """A dataclass field that carries its own documentation."""
    return field(default=default, metadata={"unit": unit, "reason": reason})


_PUSHES = (("flushes", 1), ("repair", 1), ("hot", 1), ("degree", 2))  # the smallest values of settings for strategies that push


@dataclass(frozen=True, slots=True)
class GossipSettings:
    """How a node gossips. Raises `SettingError` when a value is out of range."""

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
        2, "per round", "rumor and tree: how often waiting updates leave. Each hop waits half of such an interval; each flush costs headers."
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
        for name, smallest in (("period", 1), ("fanout", 1), ("datagram_limit", 256), ("burst", 1), ("settling", 0), ("ageing", 1), *_PUSHES):
            if getattr(self, name) < smallest:
                unit = next(f.metadata["unit"] for f in fields(self) if f.name == name)
                raise SettingError(f"{name}: expected at least {smallest} {unit}, found {getattr(self, name)}")
