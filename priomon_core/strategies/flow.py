"""What a node has to tell, cut into pushes: the bookkeeping that strategies which push share.

Beside its row of versions a node keeps three: `told`, the version of each origin that its neighbours were told of; `source`, the link over
which the version that it holds came (0: none); and `stamps`, the last push in which the origin was told. Each push has a number. A push
that says "everything between numbers m and n" lets its receiver see a gap by itself, and be sent what came after the number that it
has: what `stamps` says, complete, so that it applies whatever was lost. No push is kept for that.
"""

from __future__ import annotations

from collections.abc import Iterator

from priomon_core.config import GossipSettings
from priomon_core.messages import Delta, Row
from priomon_core.metrics import Priority
from priomon_core.octets import varint_size
from priomon_core.pushes import PUSH_HEADER, Push
from priomon_core.replica import Replica

NUMBERS = 3 * 5  # bytes of a push's numbers, with room for the largest
PULSE_ROOM = 10
LARGEST_COUNT = 2  # bytes of the number of entries


class Outgoing:
    """A list of origins to tell of: `count` slots in rising order with their ranks; `fresh` says that others must be introduced."""

    __slots__ = ("complete", "count", "fresh", "ranks", "slots")

    def __init__(self, slots: Row, ranks: Row, count: int, fresh: bool, complete: bool) -> None:
        self.slots = slots
        self.ranks = ranks
        self.count = count
        self.fresh = fresh
        self.complete = complete


class Flow:
    """See the top of this file. `number` is that of the last push."""

    __slots__ = ("_budget", "_kernels", "number", "replica", "settings", "source", "stamps", "told")

    def __init__(self, replica: Replica, settings: GossipSettings) -> None:
        self.replica = replica
        self.settings = settings
        self.told = replica.companion()
        self.source = replica.companion()
        self.stamps = replica.companion()
        self.number = 0
        self._kernels = replica.kind.pushes
        self._budget = settings.datagram_limit - PUSH_HEADER - NUMBERS - PULSE_ROOM - LARGEST_COUNT

    def pending(self, worst: Priority, now: int) -> Outgoing:
        """What was not told yet, of class `worst` or better, as much as a burst of datagrams holds."""
        replica, values = self.replica, self.replica.values
        count = len(replica.versions)
        slots, ranks, sizes, classes = (replica.kind.zeros(count) for _ in range(4))
        values.refresh()
        n, size, fresh = self._kernels.pending(
            replica.versions,
            self.told,
            count,
            int(worst),
            now,
            self.settings.ageing,
            values.priority,
            values.published,
            values.changed,
            values.width,
            values.depth,
            values.step,
            values.metrics,
            slots,
            ranks,
            sizes,
            classes,
        )
        if size > (room := self.settings.burst * self._budget):
            n = self._kernels.fit(slots, ranks, sizes, classes, n, room)
        return Outgoing(slots, ranks, n, fresh > 0, False)

    def later(self, number: int) -> Outgoing:
        """What was told after push `number`."""
        versions = self.replica.versions
        slots, ranks = (self.replica.kind.zeros(len(versions)) for _ in range(2))
        n = self._kernels.later(versions, self.stamps, len(versions), number, slots, ranks)
        return Outgoing(slots, ranks, n, False, True)

    def pushes(self, outgoing: Outgoing, link: int, since: int, first: int, positional: bool) -> Iterator[Push]:
        """The pushes, numbered from `first` on, that tell a link of all that did not come from it; none if that is nothing."""
        replica, values = self.replica, self.replica.values
        begin = 0
        while begin < outgoing.count:
            slots, versions, bases = (replica.kind.zeros(outgoing.count - begin) for _ in range(3))
            begin, n, size = self._kernels.pack(
                outgoing.slots,
                outgoing.ranks,
                begin,
                outgoing.count,
                replica.versions,
                self.told,
                self.source,
                link,
                int(outgoing.complete),
                int(not positional),
                self._budget,
                values.changed,
                values.width,
                values.depth,
                values.step,
                values.metrics,
                slots,
                versions,
                bases,
            )
            if n:
                yield self.push(first, since, positional, slots, versions, bases, n, size)
                first, since = first + 1, first

    def push(self, number: int, since: int, positional: bool, slots: Row, versions: Row, bases: Row, count: int, size: int) -> Push:
        """A push of some entries of `size` bytes."""
        size += PUSH_HEADER + varint_size(number) + varint_size(number - since) + varint_size(count)
        return Push(self.replica.key, number, since, 0, self.replica.roster[1], positional, count, slots, versions, bases, size)

    def settle(self, outgoing: Outgoing, number: int) -> None:
        """Note that these were told of, at the latest by push `number`."""
        self._kernels.settle(outgoing.slots, outgoing.count, self.replica.versions, self.told, self.stamps, number)
        self.number = number

    def repeated(self, outgoing: Outgoing, number: int) -> None:
        """Note that one link was told of these again, at the latest by push `number`."""
        self._kernels.restamp(outgoing.slots, outgoing.count, self.stamps, number)
        self.number = number

    def introductions(self, recipient: int, link: int) -> Delta | None:
        """News of the origins that nobody was told of yet, for a link's node that does not know them."""
        replica = self.replica
        count = len(replica.versions)
        row, since = replica.kind.blank(count), replica.kind.blank(count)
        n, size = self._kernels.introduce(replica.versions, self.told, self.source, link, count, row, since)
        return Delta(replica.key, recipient, 0, count, row, since, n, 0, 0, size) if n else None

    def introduced(self) -> None:
        """Note that all origins were introduced."""
        self._kernels.introduced(self.replica.versions, self.told, self.stamps, len(self.told), self.number)

    def everything(self) -> None:
        """Note that all that is known was told."""
        self._kernels.everything(self.replica.versions, self.told, len(self.told))

    def learnt(self, delta: Delta, link: int) -> None:
        """Note where the news of a delta came from."""
        self._kernels.learnt(delta.row, delta.count, delta.start, self.replica.kind.ask, self.source, link)
