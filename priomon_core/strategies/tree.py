"""A broadcast tree that repairs itself, after Leitao, Pereira and Rodrigues, Epidemic Broadcast Trees (SRDS 2007).

Plumtree finds a tree in a gossip overlay by pruning: links over which a message comes a second time become lazy, and only announce what
they have; a node that hears an announcement before the message grafts the link on again. Here one tree serves all origins. Its messages
are the *pulses* of one node, the root: the known node with the smallest key. Everybody begins as a root and follows a smaller one as
soon as it hears of it.

*Links.* A node's `links` are its eager ones: to its parent, from which pulses come, and to its children. An update goes over all links
but the one it came from, so over each link of the tree once. All other peers are lazy: one of them a round is told the pulse (a
`Summary`). Who hears of a newer pulse while its own has not come for a while, or of one nearer to the root, grafts that link; who is
grafted upon with no room left prunes it again. A pulse that comes over a link that is not the parent's is a duplicate, and the link is
pruned. No node below another in the tree can have a newer pulse than it, so a graft closes no circle.

*Flush.* Updates wait for the next of `flushes` a round, so that the headers of a datagram serve many; low ones wait for the round, and
critical ones leave at once. The way between two nodes is a few links, each half an interval.

*Loss.* Pushes are numbered (see flow.py). Who sees a gap says so, and is sent what came after; every push says up to where its sender has
all, so that a leaf's last push is repeated too. What all that leaves is repaired by comparing hashes with the round's peer (repair.py):
every round while nothing comes or there is no tree yet, else every `repair` rounds, because what just changed is on its way anyhow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from priomon_core.config import GossipSettings
from priomon_core.messages import Delta, Digest, Row
from priomon_core.metrics import Priority
from priomon_core.octets import varint_size
from priomon_core.pushes import Buckets, Pulse, Push, Selection, Summary
from priomon_core.replica import Replica
from priomon_core.strategies.base import Choose, Peer, Strategy
from priomon_core.strategies.flow import Flow, Outgoing
from priomon_core.strategies.repair import Repair

PATIENCE = 3  # periods without a pulse until a node looks for another parent
EXPIRY = 8  # periods without a pulse until a node takes itself for the root
FULL = 255  # hops that a node with no room for another link tells to who is not in the tree with it


@dataclass(slots=True, eq=False)
class Link:
    """An eager link. `index` is its name in the row of sources; `got` the push up to which all has come over it, None before the first.

    `sent` is the last push over it and `sent_at` its time, `asked_at` when a gap was told last, `checksum` that of the peer's roster.
    """

    index: int
    peer: Peer
    key: int
    sent: int
    sent_at: int
    asked_at: int = 0
    got: int | None = None
    checksum: int | None = None


class Tree(Strategy):
    """See the top of this file."""

    __slots__ = (
        "_answer_time",
        "_compared",
        "_expired",
        "_flow",
        "_heard_at",
        "_interval",
        "_next_link",
        "_own_pulse",
        "_parent",
        "_passed_on",
        "_pulse",
        "_repair",
        "_seen",
        "_urgent",
        "deadline",
        "links",
        "outbox",
        "replica",
        "settings",
    )

    def __init__(self, replica: Replica, settings: GossipSettings) -> None:
        self.replica = replica
        self.settings = settings
        self._repair = Repair(replica, settings)
        self._flow = Flow(replica, settings)
        self.outbox = self._repair.outbox
        self.deadline = 0
        self.links: dict[Peer, Link] = {}
        self._interval = settings.period // settings.flushes
        self._answer_time = settings.period // 2  # an answer that takes longer is taken for lost
        self._next_link = 1
        self._parent: Link | None = None
        self._own_pulse = 0
        self._pulse = Pulse(replica.key, 0, 0)
        self._passed_on = self._pulse
        self._heard_at = 0
        self._expired: dict[int, int] = {}  # roots whose pulses ceased, with their last
        self._compared = 0  # rounds since all was compared
        self._seen = 0  # the row's hash in the last round
        self._urgent = min(replica.values.priority, default=0) == Priority.CRITICAL

    # Inputs

    def round(self, peers: Sequence[Peer], now: int) -> None:
        """Beat if this is the root, compare or say the pulse to each peer, and flush everything that waits."""
        self._repair.watch_roster()
        self._beat(now)
        compare = self._must_compare(now)
        for peer in peers:
            if compare:
                self._repair.compare(peer, self._offer(), asks=True)
            elif peer not in self.links:
                self.outbox.append((peer, Summary(self.replica.key, None, self._offer(), asks=True)))
        self._flush(Priority.LOW, now)

    def flush(self, choose: Choose, now: int) -> None:
        """Tell the neighbours what waits, but for what may wait for the round."""
        self._flush(Priority.MEDIUM, now)

    def published(self, choose: Choose, now: int) -> None:
        """Let a critical update of the node itself leave at once."""
        if self._urgent:
            self._tell(self._flow.pending(Priority.CRITICAL, now), now)

    def settle(self) -> None:
        """Take what the node knows now as known to everybody."""
        self._flow.everything()

    def receive(self, message: Push | Summary | Buckets | Selection | Digest | Delta, source: Peer, now: int) -> None:
        """Handle a message that arrived from `source`."""
        match message:
            case Push():
                self._take(message, source, now)
            case Summary():
                self._repair.receive(message, source, now)
                self._weigh(message, source, now)
            case Delta():
                self._repair.receive(message, source, now)
                if message.recipient == self.replica.key:
                    self._flow.learnt(message, self._index(source))
            case _:
                self._repair.receive(message, source, now)

    # Comparing

    def _must_compare(self, now: int) -> bool:
        """Whether to compare all in this round: in a lull, while there is no tree, and now and then."""
        seen, self._seen = self._seen, self._repair.checksum()
        lonely = not self.links or now - self._heard_at > PATIENCE * self.settings.period
        self._compared += 1
        if self._seen == seen or lonely or self._compared >= self.settings.repair:
            self._compared = 0
            return True
        return False

    # The tree

    def _beat(self, now: int) -> None:
        """Beat as the root, which is also who has not heard one for too long."""
        own = self.replica.key
        if self._pulse.root != own and now - self._heard_at > EXPIRY * self.settings.period:
            self._expired[self._pulse.root] = self._pulse.number
            self._parent, self._pulse = None, Pulse(own, self._own_pulse, 0)
        if self._pulse.root == own:
            self._own_pulse += 1
            self._pulse = Pulse(own, self._own_pulse, 0)
            self._heard_at = now

    def _offer(self) -> Pulse:
        """The pulse for who might become a neighbour."""
        return self._pulse if len(self.links) < self.settings.degree else replace(self._pulse, hops=FULL)

    def _weigh(self, summary: Summary, peer: Peer, now: int) -> None:
        """Hear a pulse over a lazy link: graft it if it is worth it, and tell who knows less."""
        theirs, own = summary.pulse, self._pulse
        if theirs is None:
            return
        if self._better(theirs, now) and peer not in self.links and theirs.hops < FULL:
            self._follow(theirs, self._link(peer, summary.sender, now), now)
            self.outbox.append((peer, self._control(self.links[peer], graft=True)))
        elif summary.asks and (own.root < theirs.root or (own.root == theirs.root and own.number > theirs.number)):
            self.outbox.append((peer, Summary(self.replica.key, None, self._offer())))

    def _better(self, theirs: Pulse, now: int) -> bool:
        """Whether to follow a pulse heard from another than the parent."""
        own = self._pulse
        if theirs.number <= self._expired.get(theirs.root, -1):
            return False
        if theirs.root != own.root:
            return theirs.root < own.root
        if theirs.number <= own.number:
            return theirs.number == own.number and theirs.hops + 1 < own.hops
        return theirs.hops + 1 < own.hops or self._parent is None or now - self._heard_at > PATIENCE * self.settings.period

    def _follow(self, pulse: Pulse, link: Link, now: int) -> None:
        """Take a link's peer for the parent. The former one is no neighbour any more, unless it has to hear of this root."""
        former = self._parent
        if former is not None and former is not link and pulse.root == self._pulse.root:
            self._prune(former)
        self._parent = link
        self._pulse = Pulse(pulse.root, pulse.number, min(pulse.hops + 1, FULL - 1))
        self._heard_at = now

    def _hear(self, pulse: Pulse, link: Link, now: int) -> None:
        """Hear a pulse over a link of the tree."""
        if link is self._parent:
            if pulse.root == self._pulse.root and pulse.number > self._pulse.number:
                self._follow(pulse, link, now)
            elif pulse.root < self._pulse.root and self._better(pulse, now):
                self._follow(pulse, link, now)
        elif self._better(pulse, now):
            self._follow(pulse, link, now)
        elif pulse.root == self._pulse.root:
            self._prune(link)

    def _link(self, peer: Peer, key: int, now: int) -> Link:
        link = self.links[peer] = Link(self._next_link, peer, key, self._flow.number, now)
        self._next_link += 1
        return link

    def _prune(self, link: Link) -> None:
        self.links.pop(link.peer, None)
        if link is self._parent:
            self._parent = None
        self.outbox.append((link.peer, self._control(link, prune=True)))

    def _index(self, peer: Peer) -> int:
        link = self.links.get(peer)
        return link.index if link else 0

    # Pushes

    def _flush(self, worst: Priority, now: int) -> None:
        self._tell(self._flow.pending(worst, now), now)
        self._passed_on = self._pulse
        self.deadline = now + self._interval

    def _tell(self, outgoing: Outgoing, now: int) -> None:
        """Tell all links of some updates, and of the pulse if it is new."""
        flow, beat = self._flow, self._pulse != self._passed_on
        last = flow.number
        for link in self.links.values():
            if outgoing.fresh and (draft := flow.introductions(link.key, link.index)) is not None:
                self._repair.send(draft, link.peer, now)
            last = max(last, self._push(link, outgoing, link.sent, flow.number + 1, beat and link is not self._parent, now))
        flow.settle(outgoing, last)
        if outgoing.fresh:
            flow.introduced()

    def _push(self, link: Link, outgoing: Outgoing, since: int, number: int, beat: bool, now: int) -> int:
        """Send a link what it should hear; returns the number of the last push."""
        pushes = list(self._flow.pushes(outgoing, link.index, since, number, link.checksum == self.replica.roster[1]))
        if beat and not pushes:
            pushes = [self._empty(number, since)]
        for push in pushes:
            link.sent, link.sent_at = push.number, now
            self._dispatch(push, link)
        return link.sent

    def _dispatch(self, push: Push, link: Link) -> None:
        push.got = 0 if link.got is None else link.got + 1
        push.size += varint_size(push.got)
        if link is not self._parent:
            push.pulse = self._pulse
            push.size += self._pulse.size
        self.outbox.append((link.peer, push))

    def _empty(self, number: int, since: int) -> Push:
        nothing: Row = self.replica.kind.zeros(0)
        return self._flow.push(number, since, True, nothing, nothing, nothing, 0, 0)

    def _control(self, link: Link, graft: bool = False, prune: bool = False, wants: bool = False) -> Push:
        """A push that tells nothing, so it has no number, but asks for something."""
        push = self._empty(0, 0)
        push.graft, push.prune, push.wants = graft, prune, wants
        push.got = 0 if link.got is None else link.got + 1
        push.size += varint_size(push.got)
        return push

    def _take(self, push: Push, peer: Peer, now: int) -> None:
        link = self.links.get(peer)
        if link is not None and link.key != push.sender:  # it has restarted
            del self.links[peer]
            self._parent = None if link is self._parent else self._parent
            link = None
        readable = not push.count or not push.positional or push.checksum == self.replica.roster[1]
        gaps: Row = self._flow.source[:0]
        if readable and push.count:
            gaps = self.replica.take(push, self._flow.source, self._index(peer), now)
        if push.prune:
            if link is not None:
                del self.links[peer]
                self._parent = None if link is self._parent else self._parent
            return
        if link is None:
            link = self._admit(push, peer, now)
        if link is None:
            return
        link.checksum = push.checksum
        if push.pulse is not None:
            self._hear(push.pulse, link, now)
        if not readable or (link.got is not None and push.since > link.got):
            if now - link.asked_at > self._answer_time:
                link.asked_at = now
                self.outbox.append((peer, self._control(link, wants=True)))
        elif push.number:
            link.got = push.number if link.got is None else max(link.got, push.number)
        if len(gaps) and link.got == push.number:
            self._request(gaps, peer, push.sender, now)
        if push.got and push.got - 1 < link.sent and (push.wants or now - link.sent_at > self._answer_time):
            self._repeat(link, push.got - 1, now)
        if self._urgent:
            self._tell(self._flow.pending(Priority.CRITICAL, now), now)

    def _admit(self, push: Push, peer: Peer, now: int) -> Link | None:
        """A new link for who grafts itself upon this node, if there is room; anybody else is told that there is none."""
        link = Link(0, peer, push.sender, 0, now)
        if not push.graft or len(self.links) >= self.settings.degree:
            self.outbox.append((peer, self._control(link, prune=True)))
            return None
        link = self._link(peer, push.sender, now)
        self._repair.compare(peer)
        return link

    def _repeat(self, link: Link, got: int, now: int) -> None:
        """Send a link again what it was told after push `got`."""
        outgoing = self._flow.later(got)
        self._flow.repeated(outgoing, self._push(link, outgoing, got, self._flow.number + 1, True, now))

    def _request(self, gaps: Row, peer: Peer, key: int, now: int) -> None:
        """Ask for what is needed to close the gaps."""
        replica, kind = self.replica, self.replica.kind
        row = kind.zeros(len(replica.versions))
        for slot in gaps:
            row[slot] = replica.versions[slot] | kind.ask
        size = sum(varint_size(int(replica.versions[slot])) for slot in gaps)
        self._repair.send(Delta(replica.key, key, 0, len(row), row, row, 0, 0, len(gaps), size), peer, now)
