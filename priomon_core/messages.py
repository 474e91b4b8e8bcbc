"""What nodes say to each other, as rows: the form in which strategies and kernels handle messages.

Rows are aligned to an interval of the replica that handles the message: `count` origins from slot `start` on. `size` is the number of
bytes of UDP payload that the message takes, exact without building them (`frames.py` and `wire.py` do that where a network needs it).
Messages without rows are in `wire.py` (`Call`).
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from priomon_core.rumours import Rumour
    from priomon_core.wire import Introduction, News

Row = MutableSequence[int]


class Message(Protocol):
    """Anything that a driver can send: it knows its bytes, and whether it needs a connection (TCP) rather than a datagram."""

    @property
    def size(self) -> int:
        """Bytes of UDP payload, or of everything on the wire where `stream` is true."""
        ...

    @property
    def stream(self) -> bool: ...
    @property
    def sender(self) -> int:
        """The key of the node that says it."""
        ...

    @property
    def rumours(self) -> tuple[Rumour, ...]:
        """News of membership that ride on it; `size` includes them."""
        ...


@dataclass(slots=True, eq=False)
class Digest:
    """What the sender knows of an interval of origins: a version each (0: nothing).

    `roster` is (number, checksum) of the known origins when their order names them (a positional digest), None when each entry names
    its origin. `versions` is None in a positional digest from the network that the receiver could not read, its roster being another.
    A `probe` wants an answer in any case.
    """

    sender: int
    start: int
    count: int
    versions: Row | None
    roster: tuple[int, int] | None
    size: int
    probe: bool = False
    rumours: tuple[Rumour, ...] = ()
    stream = False


@dataclass(slots=True, eq=False)
class Delta:
    """News and requests about an interval of origins (see kernels.py for the row).

    `since` holds the version that the recipient has of each origin: news carry what changed after it. Knowledge of one generation of
    a node only grows, so a delta made for it never leaves a gap; `recipient` names that generation, and any other drops the message.
    `updates` are the values as they came from a network (None where values live in a shared ledger), by slot.
    """

    sender: int
    recipient: int
    start: int
    count: int
    row: Row
    since: Sequence[int]
    introductions: int
    news: int
    requests: int
    size: int
    updates: dict[int, News | Introduction] | None = None
    rumours: tuple[Rumour, ...] = ()
    stream = False
    probe = False
