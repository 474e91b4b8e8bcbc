"""One node of the protocol, as a state machine without clock, socket or generator of its own.

Inputs are a sample of the node's metrics, a message that arrived, and the passing of a deadline, each with the time. Outputs are
messages in `outbox`, which the driver sends and clears, and the next `deadline`. The simulator and the agent are two such drivers.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from priomon_core.config import NEVER, GossipSettings
from priomon_core.priority import Publisher
from priomon_core.quorum import Reads
from priomon_core.quorum_level import Level
from priomon_core.replica import Replica
from priomon_core.rumours import State
from priomon_core.strategies.base import Peer, Strategy
from priomon_core.watch import Watch


class GossipNode:
    """A node that gossips what it knows with `peers`, which its driver may change at any time.

    All times are integer nanoseconds of the driver's clock, which must not run backwards. `deadline` is when `wake` has something to do:
    at first the first round, which a driver draws from the first period, so that nodes that start together do not speak together;
    `round_due` is when the next round begins. `receive(message, source, now)` handles a message that arrived from a peer; it never brings
    the deadline forward. With a `watch` the node also finds out who is alive: partners take turns instead of being drawn, and `events`
    tells what it noticed; without one it judges nobody, and then no node of the cluster may. Its `reads`, if it has any, are a machine of
    their own: their driver wakes them at their deadline; where there is a watch, they stand between it and the strategy.
    """

    __slots__ = (
        "_period",
        "_random",
        "deadline",
        "fanout",
        "outbox",
        "peers",
        "publisher",
        "reads",
        "receive",
        "replica",
        "round_due",
        "strategy",
        "watch",
    )

    def __init__(
        self,
        replica: Replica,
        strategy: Strategy,
        publisher: Publisher,
        peers: Sequence[Peer],
        settings: GossipSettings,
        random: Random,
        deadline: int,
        watch: Watch | None = None,
        reads: Reads | None = None,
    ) -> None:
        self.replica = replica
        self.strategy = strategy
        self.publisher = publisher
        self.peers = peers
        self.fanout = settings.fanout
        self.outbox = strategy.outbox
        self.receive = watch.receive if watch is not None else reads.receive if reads is not None else strategy.receive
        self.watch = watch
        self.reads = reads
        self._period = settings.period
        self._random = random
        self.deadline = self.round_due = deadline
        strategy.choose = self._choose
        if watch is not None:
            strategy.departed = watch.membership.departed

    def sample(self, values: Sequence[float], now: int) -> None:
        """Take a sample of the node's metrics, in their declared order and units; NaN where there is none.

        Raises `SampleError`: the sample is dropped and nothing has changed. Raises `VersionOverflowError`: this generation of the node
        cannot publish any more, and the node has to restart as the next one.
        """
        changes = self.publisher.select(values, now)
        if changes:
            self.replica.publish(changes, now)
            self.strategy.published(now)

    def wake(self, now: int) -> None:
        """Do what is due: judge others, begin a round, flush. A node that overslept rounds begins one, the next a whole period after."""
        if now < self.deadline:
            return
        watch = self.watch
        if watch is not None:
            late = now - self.deadline
            if 2 * late > self._period:
                watch.stalled(now, late)
            if now >= self.round_due or now >= watch.deadline:  # else what the wake was meant for has been answered meanwhile
                watch.wake(now)
        if now >= self.round_due:
            self._round(now)
            self.round_due += self._period
            if self.round_due <= now:
                self.round_due = now + self._period
        strategy = self.strategy
        if now >= strategy.deadline:
            strategy.flush(now)
        self.deadline = min(self.round_due, strategy.deadline) if watch is None else min(self.round_due, strategy.deadline, watch.deadline)

    def _round(self, now: int) -> None:
        before, partners = len(self.outbox), self._choose()
        if partners:
            self.strategy.round(partners, now)
        if self.watch is not None:
            self.watch.begun(partners, before, now)

    def _choose(self) -> Sequence[Peer]:
        """The peers of a contact: drawn at random, or whose turn it is where there is a watch."""
        peers = self.peers
        if self.watch is not None:
            return self.watch.partners(peers, self.fanout)
        if self.fanout == 1 and peers:
            return (peers[int(self._random.random() * len(peers))],)
        return self._random.sample(peers, min(self.fanout, len(peers)))

    def query(self, target: int, level: Level, within: int, now: int) -> int:
        """Read what is known of the origin `target` (a key), within so many ns; `reads` collects the outcome, under the number returned.

        Raises `QueryError` if the target is unknown or the level needs more nodes than are known; nothing was sent.
        """
        return self._reads().begin(target, level, within, now, _alive if self.watch is None else self.watch.membership.state)

    @property
    def read_due(self) -> int:
        """When `read` has something to do (ns), `NEVER` while no read is under way."""
        return self._reads().deadline

    def read(self, now: int) -> None:
        """Go on with reads whose answers are late, and end those whose time is over."""
        self._reads().wake(now)

    def _reads(self) -> Reads:
        assert self.reads is not None, "a node without reads is asked for none"
        return self.reads

    def leave(self) -> None:
        """Say goodbye: what is then in the outbox is the last that the node says. Without a watch it says nothing."""
        if self.watch is not None:
            self.watch.leave(self.peers)
        self.deadline = self.round_due = NEVER


def _alive(key: int) -> State:
    """For what a node is held that nobody judges."""
    return State.ALIVE
