"""The interface of a strategy."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, Protocol

from priomon_core.config import NEVER
from priomon_core.messages import Message

Peer = Any  # where a driver sends to: the index of a simulated node, or a network address
Outbox = list[tuple[Peer, Message]]


def nobody() -> Sequence[Peer]:
    """The peers of a contact where there are none."""
    return ()


class Exchange(Protocol):
    """Takes part in exchanges with peers: a strategy, or what stands before one. It puts (peer, message) in `outbox`."""

    outbox: Outbox

    def round(self, peers: Sequence[Peer], now: int) -> None:
        """Begin a round with the peers chosen for it, at `now` (ns)."""
        ...

    def receive(self, message: Any, source: Peer, now: int) -> None:
        """Handle a message that arrived from `source`."""
        ...


class Strategy(Exchange, Protocol):
    """Decides what to say to whom, and changes the replica it was made for, nothing else.

    A round begins with a message to each of its peers. Who does everything in rounds and answers need not care about the other inputs.
    """

    deadline: int = NEVER
    """When `flush` has something to do (ns)."""
    choose: Callable[[], Sequence[Peer]] = staticmethod(nobody)
    """Draws the peers of one more contact; the node sets it."""
    departed: Container[int] = ()
    """Keys of the nodes that are held dead or gone; a node that judges others sets it."""

    def flush(self, now: int) -> None:
        """Do what is due between rounds: the deadline has passed."""
        return

    def published(self, now: int) -> None:
        """The node itself has published."""
        return

    def settle(self) -> None:
        """Take what the node knows now as known to everybody."""
        return
