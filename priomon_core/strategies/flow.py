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
from priomon_core.pushes import LARGEST_PULSE, PUSH_HEADER, Push
from priomon_core.replica import Replica

NUMBERS = 3 * 5  # bytes of a push's numbers, with room for the largest
LARGEST_COUNT = 2  # bytes of the number of entries
LARGEST_SLACK = 100  # bytes that a cut may leave empty at the end of a datagram

Part = tuple[Row, Row, Row, int, int]  # slots, versions and bases of entries, how many, their bytes


class Outgoing:
    """A list of origins to tell of: `count` slots in rising order with their ranks, in at most `parts` datagrams.

    `fresh` says that others must be introduced. All values are told where `complete`, else what changed since the neighbours were told.
    """

    __slots__ = ("complete", "count", "fresh", "parts", "ranks", "slots")

    def __init__(self, slots: Row, ranks: Row, count: int, parts: int, fresh: bool, complete: bool) -> None:
        self.slots = slots
        self.ranks = ranks
        self.count = count
        self.parts = parts
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
        self.number = 1
        self._kernels = replica.kind.pushes
        self._budget = settings.datagram_limit - PUSH_HEADER - NUMBERS - LARGEST_PULSE - LARGEST_COUNT

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
            n, size = self._kernels.fit(slots, ranks, sizes, classes, n, room), room
        return Outgoing(slots, ranks, n, 1 + size // (self._budget - LARGEST_SLACK), fresh > 0, False)

    def later(self, after: int, upto: int) -> Outgoing:
        """What was told in the pushes after `after` up to `upto`."""
        versions = self.replica.versions
        self.replica.values.refresh()
        slots, ranks = (self.replica.kind.zeros(len(versions)) for _ in range(2))
        n = self._kernels.later(versions, self.stamps, len(versions), after, upto, slots, ranks)
        return Outgoing(slots, ranks, n, 1, False, True)

    def pushes(self, outgoing: Outgoing, link: int, since: int, positional: bool) -> list[Push]:
        """The pushes that tell a link of all that did not come from it, the last with the number of `last`; none if that is nothing."""
        parts = list(self._parts(outgoing, link, positional))
        numbers = [*range(self.number + 1, self.number + len(parts)), self.last(outgoing)]
        sinces = [since, *numbers]
        return [self._push(numbers[i], sinces[i], positional, part) for i, part in enumerate(parts)]

    def last(self, outgoing: Outgoing) -> int:
        """The number of the last push that may be needed to tell of all this."""
        return self.number + outgoing.parts

    def repetition(self, link: int, since: int, upto: int, positional: bool) -> Push:
        """One push that tells a link again what came after push `since`, up to `upto` or as far as it fits."""
        while True:
            outgoing = self.later(since, upto)
            parts = list(self._parts(outgoing, link, positional))
            if len(parts) <= 1 or upto == since + 1:
                return self._push(upto, since, positional, parts[0] if parts else None)
            upto = (since + upto) // 2

    def empty(self, number: int, since: int) -> Push:
        """A push that tells nothing."""
        return self._push(number, since, True, None)

    def _parts(self, outgoing: Outgoing, link: int, positional: bool) -> Iterator[Part]:
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
                yield slots, versions, bases, n, size

    def _push(self, number: int, since: int, positional: bool, part: Part | None) -> Push:
        nothing = self.replica.kind.zeros(0)
        slots, versions, bases, count, size = part or (nothing, nothing, nothing, 0, 0)
        size += PUSH_HEADER + varint_size(number) + varint_size(number - since) + varint_size(count)
        return Push(self.replica.key, number, since, 0, self.replica.roster[1], positional, count, slots, versions, bases, size)

    def settle(self, outgoing: Outgoing) -> None:
        """Note that these were told of."""
        self.number = self.last(outgoing)
        self._kernels.settle(outgoing.slots, outgoing.count, self.replica.versions, self.told, self.stamps, self.number)

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
        self._kernels.learnt(self.replica.versions, delta.row, delta.count, delta.start, self.source, link)
        self.source[self.replica.own] = 0  # whoever introduces this node to itself, its next version comes from itself
