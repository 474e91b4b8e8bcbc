"""The exchange of the prototype, as the baseline that its users know: all counters plus the own record, all newer records back.

A round with a peer is two HTTP requests. A posts the counter of every node it knows, and its own record. B returns the records that
are not older at B, equal ones included, and the names of those that are. A sends the named records. So every exchange carries every
record once, in one direction or the other, and its cost grows with the number of nodes whether or not anything changed.

It runs over TCP, so messages are streams: never lost, but late where segments are. Only the simulator speaks it; nothing here goes on a
real wire. What is counted is calibrated on the prototype, measured at the network interfaces of 3, 5, 10 and 20 containers
(results/reference/seed_traffic.csv): an exchange took 2,780 B plus 648 B per node, within 1 % in all four. Its loss of values is not
imitated: here every record carries all values, which flatters it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from priomon_core.config import GossipSettings
from priomon_core.messages import Delta, Digest
from priomon_core.replica import Replica
from priomon_core.strategies.base import Outbox, Peer, Strategy

REQUEST = 695  # bytes of one HTTP request or response with its TCP connection, without the body: four of them make an exchange
COUNTER = 27  # bytes of one counter in JSON, with the node's address as its key
RECORD = 615  # bytes of one node's record in JSON, with its share of the segments' headers
NAME = 22  # bytes of one requested address
LAST_LEG = 4


class Counters(Digest):
    """The counters that begin an exchange."""

    __slots__ = ()
    stream = True


@dataclass(slots=True, eq=False)
class Records(Delta):
    """Records on their way: in the answer to the counters (leg 2), as the second request (3), or none, as its answer (4)."""

    leg: int = 0
    stream = True


class Demon(Strategy):
    """See the top of this file."""

    __slots__ = ("outbox", "replica")

    def __init__(self, replica: Replica, settings: GossipSettings) -> None:
        self.replica = replica
        self.outbox: Outbox = []

    def round(self, peers: Sequence[Peer], now: int) -> None:
        """Post all counters and the own record to each peer."""
        replica = self.replica
        count = len(replica.versions)
        row = replica.kind.blank(count)
        known, _ = replica.kind.kernels.snapshot(replica.versions, count, row)
        post = Counters(replica.key, 0, count, row, replica.roster, REQUEST + RECORD + COUNTER * (known - 1))
        self.outbox += [(peer, post) for peer in peers]

    def receive(self, message: Counters | Records, source: Peer, now: int) -> None:
        """Answer the counters, or take records and serve the requested ones."""
        if isinstance(message, Counters):
            self._answer(message, source, now)
        elif message.recipient == self.replica.key:
            self._take(message, source, now)

    def _answer(self, post: Counters, source: Peer, now: int) -> None:
        replica, kind = self.replica, self.replica.kind
        assert post.versions is not None and post.roster is not None, "a post always has counters"
        sender = replica.values.find(post.sender)
        assert sender is not None, "every simulated life has a slot"
        own_record = post.versions[sender : sender + 1]
        replica.learn(Delta(post.sender, replica.key, sender, 1, own_record, own_record, 0, 1, 0, 0), now)
        row = kind.blank(post.count)
        news, introductions, requests, _ = kind.kernels.answer(replica.versions, post.versions, post.count, kind.ask, row)
        known = replica.roster[0]
        requests_of_unknown = post.roster[0] - (known - introductions)
        records = known - 1 - (requests - requests_of_unknown)
        counts = (introductions, news - introductions, requests)
        answer = Records(replica.key, post.sender, 0, post.count, row, post.versions, *counts, 0, leg=2)
        replica.introduces(answer)
        records -= introductions - answer.introductions
        answer.size = REQUEST + RECORD * records + NAME * requests
        self.outbox.append((source, answer))

    def _take(self, records: Records, source: Peer, now: int) -> None:
        replica, kind = self.replica, self.replica.kind
        if records.introductions or records.news:
            replica.learn(records, now)
        if records.leg == LAST_LEG:
            return
        row = kind.blank(records.count)
        news, introductions, _ = kind.kernels.fulfil(replica.versions, records.row, records.count, kind.ask, row)
        counts = (introductions, news - introductions, 0)
        leg = Records(replica.key, records.sender, 0, records.count, row, records.row, *counts, 0, leg=records.leg + 1)
        replica.introduces(leg)
        leg.size = REQUEST + RECORD * (leg.introductions + leg.news)
        self.outbox.append((source, leg))
