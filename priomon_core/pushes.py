"""What nodes say to each other under the strategies that push (rumor, tree), beside the digests and deltas of messages.py.

Like those they hold slots of the replica that handles them, and know their size on the wire (push_wire.py) without being encoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from priomon_core.identity import KEY_BYTES
from priomon_core.messages import Row
from priomon_core.octets import varint_size
from priomon_core.push_wire import BUCKET_BYTES
from priomon_core.wire import HEADER, News

if TYPE_CHECKING:
    from priomon_core.rumours import Rumour

PUSH_HEADER = HEADER + 1 + KEY_BYTES  # with flags and roster, without numbers
LARGEST_PULSE = KEY_BYTES + 5 + 1  # bytes, with a number below 2^35


@dataclass(frozen=True, slots=True)
class Pulse:
    """What travels over a tree from its root, whose key is `root`: a number that grows, and the hops from the root so far."""

    root: int
    number: int
    hops: int

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return KEY_BYTES + varint_size(self.number) + 1


@dataclass(slots=True, eq=False)
class Push:
    """What the sender was told lately: everything it told its neighbours between push `since` (exclusive) and `number`.

    Entry i says that origin `slots[i]` has version `versions[i]` and carries what changed after `bases[i]` (0: all values). `checksum`
    is that of the sender's roster, whose order names the entries where `positional`. `got` is the last push of the recipient up to
    which the sender has all, plus 1 (0: none). `begin` says that the sender has made the recipient its neighbour in a tree, and that
    this is the first push. What is asked of the recipient: `prune` to be a neighbour no more, `wants` to repeat what came after `got`.
    `updates` are the values as they came from a network, by slot.
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
    rumours: tuple[Rumour, ...] = ()
    stream = False
    probe = False

    @property
    def graft(self) -> bool:
        """Whether it asks to become a neighbour: it begins, and answers no beginning."""
        return self.begin and not self.got


@dataclass(slots=True, eq=False)
class Feedback:
    """Answers push `number`, of `count` entries: `marks` is 1 for each that was no news."""

    sender: int
    number: int
    marks: Row
    count: int
    size: int
    rumours: tuple[Rumour, ...] = ()
    stream = False
    probe = False


def feedback(sender: int, number: int, marks: Row, count: int) -> Feedback:
    """The answer to a push."""
    return Feedback(sender, number, marks, count, HEADER + varint_size(number) + varint_size(count) + (count + 7) // 8)


@dataclass(slots=True, eq=False)
class Summary:
    """A hash of all that the sender knows (`checksum`, 32 bits), or None to say only its pulse. It `asks` for the recipient's pulse.

    Who differs answers if it is in a lull itself, and in any case if this is `firm`. A `probe` wants an answer in any case.
    """

    sender: int
    checksum: int | None
    size: int
    pulse: Pulse | None = None
    asks: bool = False
    firm: bool = False
    probe: bool = False
    rumours: tuple[Rumour, ...] = ()
    stream = False


def summary(sender: int, checksum: int | None, pulse: Pulse | None = None, asks: bool = False, firm: bool = False) -> Summary:
    """A summary with its size."""
    size = HEADER + 1 + (KEY_BYTES if checksum is not None else 0) + (pulse.size if pulse else 0)
    return Summary(sender, checksum, size, pulse, asks, firm)


@dataclass(slots=True, eq=False)
class Buckets:
    """A hash (16 bits) of each of the 2^`bits` intervals of the key space."""

    sender: int
    bits: int
    sums: Row
    size: int
    rumours: tuple[Rumour, ...] = ()
    stream = False
    probe = False


def buckets_size(bits: int) -> int:
    """Bytes of a message with the hashes of 2^`bits` buckets."""
    return HEADER + 1 + (BUCKET_BYTES << bits)


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
    rumours: tuple[Rumour, ...] = ()
    stream = False
    probe = False


def selection_size(bits: int, known: int, versions: int, positional: bool) -> int:
    """Bytes of a selection whose versions take `versions` bytes."""
    return HEADER + 1 + ((1 << bits) + 7) // 8 + (KEY_BYTES if positional else KEY_BYTES * known) + varint_size(known) + versions


PushMessage = Push | Feedback | Summary | Buckets | Selection
