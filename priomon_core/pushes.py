"""What nodes say to each other under the strategies that push (rumor, tree), beside the digests and deltas of messages.py.

Like those they hold slots of the replica that handles them, and know their size on the wire (`push_wire.py`) without being encoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from priomon_core.messages import Row
from priomon_core.octets import varint_size
from priomon_core.wire import HEADER, News

KEY = 4  # bytes of a key and of a checksum
TAG = HEADER + 1  # bytes of header, kind and flags
PUSH_HEADER = TAG + KEY
PULSE_FIXED = KEY + 1  # bytes of a pulse beside its number
SUMMARY_SIZE = TAG + KEY
BUCKET = 2  # bytes of the hash of a bucket


@dataclass(frozen=True, slots=True)
class Pulse:
    """What travels over a tree from its root, whose key is `root`: a number that grows, and the hops from the root so far."""

    root: int
    number: int
    hops: int

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return PULSE_FIXED + varint_size(self.number)


@dataclass(slots=True, eq=False)
class Push:
    """What the sender was told lately: everything it told its neighbours between push `since` (exclusive) and `number`.

    Entry i says that origin `slots[i]` has version `versions[i]` and carries what changed after `bases[i]` (0: all values). `checksum`
    is that of the sender's roster, whose order names the entries where `positional`; `slots` is None where the receiver could not
    read them. `got` is the last push of the recipient up to which the sender has all, plus 1 (0: none). `updates` are the values as
    they came from a network, by slot. `begin` says that the sender has made the recipient its neighbour in a tree, and that this is the first
    push. What is asked of the recipient: `prune` to be a neighbour no more, `wants` to repeat what came after `got`.
    """

    sender: int
    number: int
    since: int
    got: int
    checksum: int
    positional: bool
    count: int
    slots: Row
    versions: Row
    bases: Row
    size: int
    pulse: Pulse | None = None
    begin: bool = False
    prune: bool = False
    wants: bool = False
    updates: dict[int, News] | None = None
    stream = False

    @property
    def graft(self) -> bool:
        """Whether it asks to become a neighbour: it begins, and answers no beginning."""
        return self.begin and not self.got

    def base(self, slot: int) -> int:
        """The base of the entry about `slot`."""
        return int(self.bases[list(self.slots[: self.count]).index(slot)])


@dataclass(slots=True, eq=False)
class Feedback:
    """Answers push `number`, of `count` entries: `marks` is 1 for each that was no news."""

    sender: int
    number: int
    marks: Row
    count: int
    stream = False

    @property
    def size(self) -> int:
        """Bytes of UDP payload."""
        return TAG + varint_size(self.number) + varint_size(self.count) + (self.count + 7) // 8


@dataclass(slots=True, eq=False)
class Summary:
    """A hash of all that the sender knows (`checksum`, 32 bits), or None to say only its pulse. It `asks` for the recipient's pulse."""

    sender: int
    checksum: int | None
    pulse: Pulse | None = None
    asks: bool = False
    stream = False

    @property
    def size(self) -> int:
        """Bytes of UDP payload."""
        return TAG + (KEY if self.checksum is not None else 0) + (self.pulse.size if self.pulse else 0)


@dataclass(slots=True, eq=False)
class Buckets:
    """A hash (16 bits) of each of the 2^`bits` intervals of the key space."""

    sender: int
    bits: int
    sums: Row
    stream = False

    @property
    def size(self) -> int:
        """Bytes of UDP payload."""
        return TAG + 1 + BUCKET * (1 << self.bits)


@dataclass(slots=True, eq=False)
class Selection:
    """The versions that the sender knows in the buckets whose `marks` are not 0: a digest of parts of the key space.

    `row` [origins] is 0 elsewhere, and `known` of its entries are not. `roster` is as in a `Digest`, of all origins; `row` is None where
    the receiver could not read it.
    """

    sender: int
    bits: int
    marks: Row
    row: Row | None
    known: int
    roster: tuple[int, int] | None
    size: int
    stream = False
