"""One node of the protocol, as a state machine without clock, socket or generator of its own.

Inputs are a sample of the node's metrics, a message that arrived, and the passing of a deadline, each with the time. Outputs are
messages in `outbox`, which the driver sends and clears, and the next `deadline`. The simulator and the agent are two such drivers.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from priomon_core.config import GossipSettings
from priomon_core.priority import Publisher
from priomon_core.replica import Replica
from priomon_core.strategies.base import Peer, Strategy


class GossipNode:
    """A node that gossips what it knows with `peers`, which its driver may change at any time.

    All times are integer nanoseconds of the driver's clock, which must not run backwards. `deadline` is when `wake` has something to do:
    at first the first round, which a driver draws from the first period, so that nodes that start together do not speak together;
    `round_due` is when the next round begins. `receive(message, source, now)`
    handles a message that arrived from a peer: it is the strategy's own.
    """

    __slots__ = ("_period", "_random", "deadline", "fanout", "outbox", "peers", "publisher", "receive", "replica", "round_due", "strategy")

    def __init__(
        self,
        replica: Replica,
        strategy: Strategy,
        publisher: Publisher,
        peers: Sequence[Peer],
        settings: GossipSettings,
        random: Random,
        deadline: int,
    ) -> None:
        self.replica = replica
        self.strategy = strategy
        self.publisher = publisher
        self.peers = peers
        self.fanout = settings.fanout
        self.outbox = strategy.outbox
        self.receive = strategy.receive
        self._period = settings.period
        self._random = random
        self.deadline = self.round_due = deadline
        strategy.choose = self._choose

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
        """Do what is due: flush, begin a round. A node that overslept rounds begins one, and the next a whole period after."""
        if now < self.deadline:
            return
        if now >= self.round_due:
            if self.peers:
                self.strategy.round(self._choose(), now)
            self.round_due += self._period
            if self.round_due <= now:
                self.round_due = now + self._period
        if now >= self.strategy.deadline:
            self.strategy.flush(now)
        self.deadline = min(self.round_due, self.strategy.deadline)

    def _choose(self) -> Sequence[Peer]:
        """The peers of a contact, drawn at random."""
        peers = self.peers
        if self.fanout == 1 and peers:
            return (peers[int(self._random.random() * len(peers))],)
        return self._random.sample(peers, min(self.fanout, len(peers)))
