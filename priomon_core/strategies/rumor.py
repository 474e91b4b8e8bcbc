"""Rumour mongering, after Demers et al., Epidemic Algorithms for Replicated Database Maintenance (PODC 1987), with repair.

An update that a node has just learnt is *hot*: the node pushes it to a random peer, `flushes` times a round, until it has done so in vain
`hot` times since it was last of use. The peer answers which entries of a push were no news to it: that is the *feedback*, and the
counter is that of the paper's "feedback, counter" rule. What the rumours do not reach (the *residue*, 4 % of the nodes with a counter of 2)
is repaired by comparing hashes with the round's peer (repair.py): every round while nothing comes, else every `repair` rounds.

A hot origin has a *base*: the version that the node held when it became hot. A push carries what changed after it; a peer that holds less
asks for the rest. Low updates are pushed in rounds only, and a critical one leaves at once, to the node's own peer and to everyone's
who hears of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from priomon_core.config import GossipSettings
from priomon_core.messages import Delta, Digest, Row
from priomon_core.metrics import Priority
from priomon_core.pushes import Buckets, Feedback, Push, Selection, Summary, feedback, summary
from priomon_core.replica import Replica
from priomon_core.strategies.base import Peer, Strategy
from priomon_core.strategies.flow import Flow
from priomon_core.strategies.repair import Repair

MOST_UNANSWERED = 16  # pushes whose feedback is awaited
NO_LINK = -1


class Rumor(Strategy):
    """See the top of this file."""

    __slots__ = (
        "_awaiting",
        "_counters",
        "_flow",
        "_interval",
        "_kernels",
        "_layout",
        "_repair",
        "_urgent",
        "choose",
        "deadline",
        "outbox",
        "replica",
        "settings",
    )

    def __init__(self, replica: Replica, settings: GossipSettings) -> None:
        self.replica = replica
        self.settings = settings
        self._repair = Repair(replica, settings)
        self._flow = Flow(replica, settings)
        self._kernels = replica.kind.pushes
        self._counters = replica.companion()  # how often each hot update was pushed in vain, in a row
        self._layout = replica.values.layout
        self._awaiting: OrderedDict[int, tuple[Push, Row]] = OrderedDict()  # pushes by number, with the counters before them
        self._interval = settings.period // settings.flushes
        self._urgent = min(replica.values.priority, default=0) == Priority.CRITICAL
        self.outbox = self._repair.outbox
        self.deadline = 0

    def round(self, peers: Sequence[Peer], now: int) -> None:
        """Compare with each peer if that is due, and push what is hot."""
        compare = self._repair.due(False)
        for peer in peers:  # a round begins with a word to each peer, that it may answer
            if compare:
                self._repair.compare(peer, self._repair.firm)
            else:
                self.outbox.append((peer, summary(self.replica.key, None)))
        self._spread(Priority.LOW, peers, now)

    def flush(self, now: int) -> None:
        """Push what is hot, but for what may wait for the round."""
        self._spread(Priority.MEDIUM, self.choose(), now)

    def published(self, now: int) -> None:
        """Let a critical update of the node itself leave at once."""
        if self._urgent:
            self._push(Priority.CRITICAL, self.choose(), now)

    def settle(self) -> None:
        """Take what the node knows now as known to everybody."""
        self._flow.everything()

    def receive(self, message: Push | Feedback | Summary | Buckets | Selection | Digest | Delta, source: Peer, now: int) -> None:
        """Handle a message that arrived from `source`."""
        match message:
            case Push():
                self._take(message, source, now)
            case Feedback():
                self._judge(message)
            case _:
                self._repair.receive(message, source, now)

    def _spread(self, worst: Priority, peers: Sequence[Peer], now: int) -> None:
        self._push(worst, peers, now)
        self.deadline = now + self._interval

    def _push(self, worst: Priority, peers: Sequence[Peer], now: int) -> None:
        """Push what is hot, of class `worst` or better, to each peer."""
        flow = self._flow
        outgoing = flow.pending(worst, now)
        if outgoing.fresh:
            flow.introduced()  # origins that come are left to comparisons, which every round has while they do
        for push in flow.pushes(outgoing, NO_LINK, flow.number, self._repair.settled):
            flow.number = push.number
            push.size += 1  # of `got`, which a rumour has no use for
            before = self.replica.kind.zeros(push.count)
            self._kernels.pushed(push.slots, push.count, self._counters, before)
            self._awaiting[push.number] = push, before
            if len(self._awaiting) > MOST_UNANSWERED:
                self._awaiting.popitem(last=False)
            self.outbox += [(peer, push) for peer in peers]

    def _take(self, push: Push, peer: Peer, now: int) -> None:
        """Take what is news, ask for what does not fit, and tell the sender what it said in vain."""
        replica = self.replica
        if push.positional and push.checksum != replica.roster[1]:
            self._repair.send_digest((peer,))
            return
        marks = replica.kind.zeros(push.count)
        in_vain = self._kernels.vain(self._state(), push.slots, push.versions, push.count, marks)
        gaps = replica.take(push, self._flow.source, 0, now)
        if in_vain:
            self.outbox.append((peer, feedback(replica.key, push.number, marks, push.count)))
        if len(gaps):
            self._repair.request(gaps, peer, push.sender, now)
        if self._urgent and in_vain < push.count:
            self._push(Priority.CRITICAL, self.choose(), now)

    def _state(self) -> Row:
        """The versions on which a push is judged."""
        return self.replica.versions

    def _judge(self, feedback: Feedback) -> None:
        """Count what was pushed in vain."""
        if self._layout != self.replica.values.layout:  # slots have moved
            self._layout = self.replica.values.layout
            self._awaiting.clear()
        push, before = self._awaiting.pop(feedback.number, (None, None))
        if push is None or before is None or feedback.count != push.count:
            return
        self._kernels.judge(
            self.replica.versions,
            self._flow.told,
            push.slots,
            push.versions,
            before,
            feedback.marks,
            push.count,
            self.settings.hot,
            self._counters,
        )
