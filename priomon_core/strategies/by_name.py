"""Strategies by their names, and which of them a message betrays."""

from __future__ import annotations

from typing import Any

from priomon_core.config import GossipSettings
from priomon_core.messages import Digest
from priomon_core.pushes import Buckets, Feedback, Push, Selection, Summary
from priomon_core.replica import Replica
from priomon_core.strategies.base import Strategy
from priomon_core.strategies.demon import Demon
from priomon_core.strategies.rumor import Rumor
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_core.strategies.tree import Tree


def create(replica: Replica, settings: GossipSettings) -> Strategy:
    """The strategy of a node, as its settings name it."""
    match settings.strategy:
        case "scuttlebutt":
            return Scuttlebutt(replica, settings)
        case "rumor":
            return Rumor(replica, settings)
        case "tree":
            return Tree(replica, settings)
    return Demon(replica, settings)  # the settings know no other


def betrayed(message: Any) -> tuple[str, ...]:
    """The strategies whose nodes may say this; empty if it tells nothing.

    Deltas and the messages of comparisons are common, and a digest is only scuttlebutt's where it begins an exchange that wants an answer.
    """
    match message:
        case Push(begin=begin, prune=prune, pulse=pulse, got=got) if begin or prune or pulse is not None or got:
            return ("tree",)
        case Summary(pulse=pulse) if pulse is not None:
            return ("tree",)
        case Feedback() | Summary(checksum=None):
            return ("rumor",)
        case Push() | Summary() | Buckets() | Selection():
            return ("rumor", "tree")
        case Digest(probe=True):
            return ("scuttlebutt",)
    return ()
