"""A node whose clock runs at another rate than the simulation's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from priomon_core.node import GossipNode
from priomon_core.priority import Publisher
from priomon_core.quorum import Reads
from priomon_core.quorum_level import Level
from priomon_core.replica import Replica
from priomon_core.strategies.base import Outbox, Strategy
from priomon_core.watch import Watch


class Skewed:
    """`node`, moved in the simulation's time from `now` (ns) on, while its own runs on from `local`, `rate` times as fast.

    Only its timers notice: the protocol compares no times of different nodes, and ages travel as durations.
    """

    def __init__(self, node: GossipNode, rate: float, now: int, local: int) -> None:
        self.node = node
        self.rate = rate
        self._since = now
        self._local_since = local

    def local(self, now: int) -> int:
        """What the node's clock shows when the simulation's shows `now`."""
        return self._local_since + int((now - self._since) * self.rate)

    def shared(self, local: int) -> int:
        """When the node's clock shows `local` or more, first."""
        now = self._since + int((local - self._local_since) / self.rate)
        return now if self.local(now) >= local else now + 1

    @property
    def deadline(self) -> int:
        """See `GossipNode.deadline`."""
        return self.shared(self.node.deadline)

    @property
    def round_due(self) -> int:
        """See `GossipNode`."""
        return self.shared(self.node.round_due)

    @property
    def outbox(self) -> Outbox:
        """The node's."""
        return self.node.outbox

    @property
    def publisher(self) -> Publisher:
        """The node's."""
        return self.node.publisher

    @property
    def replica(self) -> Replica:
        """The node's."""
        return self.node.replica

    @property
    def strategy(self) -> Strategy:
        """The node's."""
        return self.node.strategy

    @property
    def watch(self) -> Watch | None:
        """The node's."""
        return self.node.watch

    @property
    def reads(self) -> Reads | None:
        """The node's."""
        return self.node.reads

    @property
    def read_due(self) -> int:
        """See `GossipNode`."""
        return self.shared(self.node.read_due)

    def query(self, target: int, level: Level, within: int, now: int) -> int:
        """See `GossipNode.query`."""
        return self.node.query(target, level, within, self.local(now))

    def read(self, now: int) -> None:
        """See `GossipNode.read`."""
        self.node.read(self.local(now))

    def sample(self, values: Sequence[float], now: int) -> None:
        """See `GossipNode.sample`."""
        self.node.sample(values, self.local(now))

    def wake(self, now: int) -> None:
        """See `GossipNode.wake`."""
        self.node.wake(self.local(now))

    def receive(self, message: Any, source: Any, now: int) -> None:
        """See `GossipNode.receive`."""
        self.node.receive(message, source, self.local(now))

    def leave(self) -> None:
        """See `GossipNode.leave`."""
        self.node.leave()
