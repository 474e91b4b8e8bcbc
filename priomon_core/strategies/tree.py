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
in a lull every round, else every `repair` rounds, and every round while there is no tree.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import replace

from priomon_core.config import GossipSettings
from priomon_core.messages import Delta, Digest, Row
from priomon_core.metrics import Priority
from priomon_core.octets import varint_size
from priomon_core.pushes import Buckets, Pulse, Push, Selection, Summary, summary
from priomon_core.replica import Replica
from priomon_core.strategies.base import Peer, Strategy
from priomon_core.strategies.flow import Flow, Outgoing
from priomon_core.strategies.link import Link
from priomon_core.strategies.repair import Repair

PATIENCE = 3  # periods without a pulse until a node looks for another parent
EXPIRY = 8  # periods without a pulse until a node takes itself for the root, and without a word until a link is given up
KEEP_UP = 2  # periods after which a link over which nothing went is used
FULL = 255  # hops that a node with no room for another link tells to who is not in the tree with it


class Tree(Strategy):
    """See the top of this file."""

    __slots__ = (
        "_answer_time",
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
        "_urgent",
        "deadline",
        "departed",
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
        self.departed: Container[int] = ()
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
        self._urgent = min(replica.values.priority, default=0) == Priority.CRITICAL

    # Inputs

    def round(self, peers: Sequence[Peer], now: int) -> None:
        """Beat if this is the root, compare or say the pulse to each peer, and flush everything that waits."""
        self._beat(now)
        lonely = not self.links or now - self._heard_at > PATIENCE * self.settings.period
        compare = self._repair.due(lonely)
        for peer in peers:
            if compare:
                self._repair.compare(peer, self._repair.firm, self._offer(), asks=True)
            else:
                self.outbox.append((peer, summary(self.replica.key, None, self._offer(), asks=True)))
        for link in list(self.links.values()):
            self._tend(link, now)
        self._flush(Priority.LOW, now)

    def flush(self, now: int) -> None:
        """Tell the neighbours what waits, but for what may wait for the round."""
        self._flush(Priority.MEDIUM, now)

    def published(self, now: int) -> None:
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
                if source in self.links and message.checksum == self._repair.checksum():
                    self.links[source].compared = True
                self._weigh(message, source, now)
            case Delta():
                self._repair.receive(message, source, now)
                if message.recipient == self.replica.key:
                    self._flow.learnt(message, self._index(source))
                    if source in self.links:
                        self.links[source].compared = True
            case _:
                self._repair.receive(message, source, now)

    def _tend(self, link: Link, now: int) -> None:
        """Drop a link over which nothing comes any more, and keep up one over which nothing goes."""
        if not link.compared and link.got is not None:
            self._repair.compare(link.peer, firm=True)
        if link.key in self.departed or now - link.heard_at > EXPIRY * self.settings.period:
            self._drop(link)
        elif link.got is None:  # its beginning or the answer to it was lost
            self._begin(link, now)
        elif now - link.sent_at > KEEP_UP * self.settings.period:
            link.sent_at = now
            self._dispatch(self._flow.empty(link.sent, link.sent), link)

    # The tree

    def _beat(self, now: int) -> None:
        """Beat as the root, which is also who has not heard one for too long, or knows that the root has gone."""
        own, silent = self.replica.key, now - self._heard_at > EXPIRY * self.settings.period
        if self._pulse.root != own and (silent or self._pulse.root in self.departed):
            self._expired[self._pulse.root] = self._pulse.number
            self._parent, self._pulse = None, Pulse(own, self._own_pulse, 0)
        if self._pulse.root == own:
            self._own_pulse += 1
            self._pulse = Pulse(own, self._own_pulse, 0)
            self._heard_at = now

    def _offer(self) -> Pulse:
        """The pulse for who might become a neighbour."""
        return self._pulse if len(self.links) < self.settings.degree else replace(self._pulse, hops=FULL)

    def _weigh(self, message: Summary, peer: Peer, now: int) -> None:
        """Hear a pulse over a lazy link: graft it if it is worth it, and tell who knows less."""
        theirs, own = message.pulse, self._pulse
        if theirs is None:
            return
        if self._better(theirs, now) and peer not in self.links and theirs.hops < FULL:
            self._follow(theirs, self._link(peer, message.sender, now), now)
            self._begin(self.links[peer], now)
        elif message.asks and (own.root < theirs.root or (own.root == theirs.root and own.number > theirs.number)):
            self.outbox.append((peer, summary(self.replica.key, None, self._offer())))

    def _better(self, theirs: Pulse, now: int) -> bool:
        """Whether to follow a pulse heard from another than the parent."""
        own = self._pulse
        if theirs.root in self.departed or theirs.number <= self._expired.get(theirs.root, -1):
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
            if (pulse.root == self._pulse.root and pulse.number > self._pulse.number) or (
                pulse.root < self._pulse.root and self._better(pulse, now)
            ):
                self._follow(pulse, link, now)
        elif self._better(pulse, now):
            self._follow(pulse, link, now)
        elif pulse.root == self._pulse.root:
            self._prune(link)

    def _link(self, peer: Peer, key: int, now: int, got: int | None = None) -> Link:
        link = self.links[peer] = Link(self._next_link, peer, key, self._flow.number, now, now, got)
        self._next_link += 1
        return link

    def _begin(self, link: Link, now: int) -> None:
        """Begin a link: what both sides know is compared, and what is told from here on is numbered."""
        link.sent, link.sent_at = self._flow.number, now
        push = self._flow.empty(link.sent, link.sent)
        push.begin = True
        self._dispatch(push, link)

    def _prune(self, link: Link) -> None:
        self._drop(link)
        self._ask(link, prune=True)

    def _drop(self, link: Link) -> None:
        self.links.pop(link.peer, None)
        if link is self._parent:
            self._parent = None

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
        for link in self.links.values():
            if outgoing.fresh and (draft := flow.introductions(link.key, link.index)) is not None:
                self._repair.send(draft, link.peer, now)
            pushes = flow.pushes(outgoing, link.index, link.sent, self._positional(link))
            if beat and not pushes and link is not self._parent:
                pushes = [flow.empty(flow.last(outgoing), link.sent)]
            for push in pushes:
                link.sent, link.sent_at = push.number, now
                self._dispatch(push, link)
            if link.gap and now - link.asked_at > self._answer_time:
                link.asked_at = now
                self._ask(link, wants=True)
        flow.settle(outgoing)
        if outgoing.fresh:
            flow.introduced()

    def _positional(self, link: Link) -> bool:
        """Whether a link's peer knows the same origins, as far as can be told."""
        return self._repair.settled if link.checksum is None else link.checksum == self.replica.roster[1]

    def _dispatch(self, push: Push, link: Link) -> None:
        push.got = link.answer
        push.size += varint_size(push.got)
        if push.number and push.pulse is None and link is not self._parent:
            push.pulse = self._pulse
            push.size += self._pulse.size
        self.outbox.append((link.peer, push))

    def _ask(self, link: Link, prune: bool = False, wants: bool = False) -> None:
        """Send a push that tells nothing, so it has no number, but asks for something."""
        push = self._flow.empty(0, 0)
        push.prune, push.wants = prune, wants
        self._dispatch(push, link)

    def _take(self, push: Push, peer: Peer, now: int) -> None:
        link = self.links.get(peer)
        if link is not None and link.key != push.sender:  # it has restarted
            self._drop(link)
            link = None
        readable = not push.count or not push.positional or push.checksum == self.replica.roster[1]
        gaps: Row = self._flow.source[:0]
        if readable and push.count:
            gaps = self.replica.take(push, self._flow.source, self._index(peer), now)
        if push.prune:
            if link is not None:
                self._drop(link)
            return
        if link is None or push.graft:
            link = self._admit(push, peer, link, now)
            if link is None:
                return
        link.checksum, link.heard_at = push.checksum, now
        if push.pulse is not None and not push.graft:
            self._hear(push.pulse, link, now)
            if peer not in self.links:
                return
        if push.begin:
            link.begin(push.number)
            if not push.graft:  # from here on both tell each other all that is new, so what was before can be compared
                self._repair.compare(peer, firm=True)
        elif not readable:
            link.unread = True
        elif link.take(push.since, push.number) and len(gaps):
            self._repair.request(gaps, peer, push.sender, now)
            link.compared = False  # until the answer is there
        if push.got and push.got - 1 < link.sent and (push.wants or now - link.sent_at > self._answer_time):
            self._repeat(link, push.got - 1, now)
        if self._urgent:
            self._tell(self._flow.pending(Priority.CRITICAL, now), now)

    def _admit(self, push: Push, peer: Peer, known: Link | None, now: int) -> Link | None:
        """A new link for who grafts itself upon this node, if there is room; anybody else is told that there is none."""
        if not push.graft or (known is None and len(self.links) >= self.settings.degree):
            self._ask(Link(0, peer, push.sender, 0, now, now), prune=True)
            return None
        link = self._link(peer, push.sender, now, push.number)
        self._parent = link if known is not None and known is self._parent else self._parent
        self._begin(link, now)
        return link

    def _repeat(self, link: Link, got: int, now: int) -> None:
        """Tell a link again what it was told after push `got`, as far as a burst of datagrams goes."""
        link.sent_at = now
        for _ in range(self.settings.burst):
            push = self._flow.repetition(link.index, got, link.sent, self._positional(link))
            self._dispatch(push, link)
            got = push.number
            if got == link.sent:
                break
