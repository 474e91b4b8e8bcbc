"""Anti-entropy that costs next to nothing while little differs: hashes first, then the versions of the parts that differ.

After the trees of hashes of Demers et al., Epidemic Algorithms for Replicated Database Maintenance (PODC 1987), two levels deep. A sends
the hash of its row, 4 bytes. If B's is another, B answers with the hashes of 2^b intervals of the key space, *buckets*, of some eight
origins each. A answers with the versions that it knows in the buckets that differ. B takes these for a digest, in which everything
else is equal, and from there on it is scuttlebutt: a delta, and perhaps another. Each message may be lost.

What just changed is on its way, and comparing it would find differences that need no repair. So nodes compare in a *lull*: when nothing
has changed for two rounds, on both sides. While updates keep coming, and a lull does not, each compares firmly now and then.

Where few origins are known the hashes of buckets would take more room than a digest, and a digest is sent at once. Where most buckets
differ, and the answer exceeds a datagram, scuttlebutt's digest in parts takes its place.
"""

from __future__ import annotations

from priomon_core.config import GossipSettings
from priomon_core.identity import KEY_BYTES
from priomon_core.messages import Delta, Digest, Row
from priomon_core.octets import varint_size
from priomon_core.pushes import Buckets, Pulse, Selection, Summary, buckets_size, selection_size, summary
from priomon_core.replica import Replica
from priomon_core.strategies.base import Peer
from priomon_core.strategies.scuttlebutt import Scuttlebutt

ORIGINS_PER_BUCKET = 8
LULL = 2  # rounds without a change, about what an update needs to get around
KEY_BITS = 8 * KEY_BYTES


class Repair(Scuttlebutt):
    """See the top of this file. `due` says in which rounds to `compare`."""

    __slots__ = ("_pushes", "_quiet", "_rounds", "_seen", "firm")

    def __init__(self, replica: Replica, settings: GossipSettings) -> None:
        super().__init__(replica, settings)
        self._pushes = replica.kind.pushes
        self.firm = True  # whether what was due last was more than a lull
        self._quiet = 0  # rounds in a row in which nothing changed
        self._rounds = 0  # since all was compared
        self._seen = 0  # the row's hash in the last round

    def due(self, alone: bool) -> bool:
        """Whether to compare in this round: now and then, in a lull, while origins come and go, or where nothing else helps."""
        self.watch_roster()
        seen, self._seen = self._seen, self.checksum()
        self._quiet = self._quiet + 1 if self._seen == seen else 0
        self._rounds += 1
        self.firm = alone or not self.settled or self._rounds >= self.settings.repair
        if self.firm:
            self._rounds = 0
        return self.firm or self._quiet >= LULL

    def compare(self, peer: Peer, firm: bool, pulse: Pulse | None = None, asks: bool = False) -> None:
        """Send the hash of what is known."""
        self.outbox.append((peer, summary(self.replica.key, self.checksum(), pulse, asks, firm)))

    def checksum(self) -> int:
        """The hash of what is known."""
        versions = self.replica.versions
        return int(self._pushes.checksum(versions, self.replica.values.keys, len(versions)))

    def receive(self, message: Digest | Delta | Summary | Buckets | Selection, source: Peer, now: int) -> None:
        """Go on with a comparison."""
        match message:
            case Summary():
                own = self.checksum() if message.checksum is not None else None
                if own != message.checksum and (message.firm or (own == self._seen and self._quiet >= LULL)):
                    self._send_buckets(source)
                elif own is not None and message.firm:
                    self.compare(source, firm=False)
            case Buckets():
                self._select(message, source)
            case Selection():
                self._match(message, source, now)
            case _:
                super().receive(message, source, now)

    def _send_buckets(self, peer: Peer) -> None:
        known = self.replica.roster[0]
        bits = max((known // ORIGINS_PER_BUCKET).bit_length(), 1)
        while (size := buckets_size(bits)) > self._limit:
            bits -= 1
        if size > known:
            self.send_digest((peer,))
        else:
            self.outbox.append((peer, Buckets(self.replica.key, bits, self._sums(bits), size)))

    def _sums(self, bits: int) -> Row:
        replica = self.replica
        sums = replica.kind.zeros(1 << bits)
        self._pushes.buckets(replica.versions, replica.values.keys, len(replica.versions), KEY_BITS - bits, sums)
        return sums

    def _select(self, theirs: Buckets, peer: Peer) -> None:
        """Say what is known in the buckets that differ."""
        replica, bits = self.replica, theirs.bits
        marks = replica.kind.zeros(1 << bits)
        for index, (a, b) in enumerate(zip(self._sums(bits), theirs.sums, strict=True)):
            marks[index] = int(a != b)
        count = len(replica.versions)
        row = self._blank(count)
        known, size = self._pushes.covered(replica.versions, replica.values.keys, count, KEY_BITS - bits, marks, row)
        positional = self.settled
        size = selection_size(bits, known, size, positional)
        if size > self._limit or not any(marks):
            self.send_digest((peer,))
        else:
            roster = replica.roster if positional else None
            self.outbox.append((peer, Selection(replica.key, bits, marks, row, known, roster, size)))

    def _match(self, selection: Selection, peer: Peer, now: int) -> None:
        """Answer a selection as a digest that says of everything else what is known here."""
        replica, row = self.replica, selection.row
        count = len(replica.versions)
        if row is None or (selection.roster is not None and selection.roster != replica.roster):
            self._answer(Digest(selection.sender, 0, count, None, selection.roster, selection.size), peer, now)
            return
        theirs = self._blank(count)
        theirs[:] = row
        self._pushes.complete(replica.versions, theirs, replica.values.keys, count, KEY_BITS - selection.bits, selection.marks)
        self._answer(Digest(selection.sender, 0, count, theirs, None, selection.size), peer, now)

    def request(self, gaps: Row, peer: Peer, key: int, now: int) -> None:
        """Ask for what is needed to close the gaps of these slots."""
        replica, kind = self.replica, self.replica.kind
        row = kind.zeros(len(replica.versions))
        for slot in gaps:
            row[slot] = replica.versions[slot] | kind.ask
        size = sum(varint_size(int(replica.versions[slot])) for slot in gaps)
        self.send(Delta(replica.key, key, 0, len(row), row, row, 0, 0, len(gaps), size), peer, now)
