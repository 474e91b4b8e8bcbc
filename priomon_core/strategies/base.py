"""The interface of a strategy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from priomon_core.messages import Message

Peer = Any  # where a driver sends to: the index of a simulated node, or a network address
Outbox = list[tuple[Peer, Message]]


class Strategy(Protocol):
    """Decides what to say to whom. It puts (peer, message) in `outbox` and changes the replica it was made for, nothing else."""

    outbox: Outbox

    def round(self, peers: Sequence[Peer], now: int) -> None:
        """Begin a round with the peers chosen for it, at `now` (ns)."""
        ...

    def receive(self, message: Any, source: Peer, now: int) -> None:
        """Handle a message that arrived from `source`."""
        ...
