"""Nodes in memory under any strategy, for property tests: virtual time, real bytes, datagrams lost, doubled and overtaken.

Every message is encoded, compared with its size and the limit, and decoded again; every node is checked after every message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random

from priomon_core.config import SECOND, GossipSettings
from priomon_core.frames import from_frame, to_frame
from priomon_core.holdings import AgentReplica
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN, Metric, Priority
from priomon_core.node import GossipNode
from priomon_core.priority import Publisher
from priomon_core.replica import Replica
from priomon_core.strategies.base import Strategy
from priomon_core.wire import Codec

METRICS = (*BUILT_IN, Metric("temperature", "K", 0.5, Priority.CRITICAL, signed=True))
CODEC = Codec("test", METRICS)
CRITICAL = len(BUILT_IN)  # the index of the critical metric

Factory = Callable[[Replica, GossipSettings], Strategy]


@dataclass
class Bird:
    """A node, and the highest version of each origin that it ever held."""

    identity: Identity
    replica: AgentReplica
    node: GossipNode
    highest: dict[int, int] = field(default_factory=dict)
    alive: bool = True


class Flock:
    """`history[key][version - 1]` are the levels of an origin as it published them, by metric. `sent` counts messages and their bytes."""

    def __init__(
        self, names: int, strategy: Factory, gossip: GossipSettings, seed: int = 1, loss: float = 0.0, rough: bool = False
    ) -> None:
        self.strategy = strategy
        self.gossip = gossip
        self.random = Random(seed)
        self.loss = loss
        self.rough = rough
        self.now = 0
        self.birds: dict[Address, Bird] = {}
        self.history: dict[int, list[dict[int, int]]] = {}
        self.sent: list[tuple[str, int]] = []
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._number = count()
        for i in range(names):
            self.start(f"n{i}")

    def start(self, name: str, generation: int = 1) -> Bird:
        """Start a node; all know its address."""
        identity = Identity(name, generation, Address(f"10.0.0.{int(name[1:]) + 1}", 7946))
        replica = AgentReplica(identity, METRICS)
        phase = self.now + int(self.random.random() * self.gossip.period)
        strategy = self.strategy(replica, self.gossip)
        node = GossipNode(replica, strategy, Publisher(METRICS), [], self.gossip, Random(self.random.random()), phase)
        bird = self.birds[identity.address] = Bird(identity, replica, node)
        self.history[identity.key] = []
        for address, other in self.birds.items():
            other.node.peers = [peer for peer in self.birds if peer != address]
        self.publish(bird, range(len(METRICS)))
        self._at(node.deadline, lambda: self._wake(bird))
        return bird

    def publish(self, bird: Bird, metrics: range | list[int]) -> None:
        """Let a node publish new levels of some metrics."""
        changes = [(m, self.random.randrange(-300 if METRICS[m].signed else 0, 300)) for m in metrics]
        bird.replica.publish(changes, self.now)
        versions = self.history[bird.identity.key]
        versions.append({**(versions[-1] if versions else {}), **dict(changes)})
        bird.node.strategy.published(self.now)
        self._flush(bird)

    def publish_some(self) -> None:
        """Let about every third node publish some metrics."""
        for bird in self.living():
            if self.random.random() < 0.3:
                self.publish(bird, sorted(self.random.sample(range(len(METRICS)), self.random.randrange(1, 3))))

    def living(self) -> list[Bird]:
        """The nodes that run."""
        return [bird for bird in self.birds.values() if bird.alive]

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + round(seconds * SECOND)
        while self._due and self._due[0][0] <= end:
            self.now, _, action = heappop(self._due)
            action()
        self.now = end

    def converged(self) -> bool:
        """Whether all nodes that run hold the newest version of each other."""
        newest = {bird.identity.key: len(self.history[bird.identity.key]) for bird in self.living()}
        for bird in self.living():
            held = dict(zip(bird.replica.values.keys, bird.replica.versions, strict=True))
            if any(held.get(key) != version for key, version in newest.items()):
                return False
        return True

    def seconds_to_converge(self, most: int) -> int:
        """Let time pass until all is known to all; returns the seconds it took."""
        for seconds in range(most):
            if self.converged():
                return seconds
            self.run(1)
        raise AssertionError(f"not converged after {most} s")

    def _at(self, time: int, action: Callable[[], None]) -> None:
        heappush(self._due, (time, next(self._number), action))

    def _wake(self, bird: Bird) -> None:
        if bird.alive:
            bird.node.wake(self.now)
            self._flush(bird)
            self._at(bird.node.deadline, lambda: self._wake(bird))

    def _flush(self, bird: Bird) -> None:
        for peer, message in bird.node.outbox:
            payload = CODEC.encode(to_frame(message, bird.replica, self.now))  # type: ignore[arg-type]
            assert len(payload) == message.size <= self.gossip.datagram_limit
            self.sent.append((type(message).__name__, len(payload)))
            for _ in range(self.random.choice((1, 1, 1, 2)) if self.rough else 1):
                if self.random.random() >= self.loss:
                    delay = self.random.randrange(SECOND) if self.rough else SECOND // 50
                    arrive = lambda to=peer, data=payload: self._arrive(to, bird.identity.address, data)  # noqa: E731
                    self._at(self.now + delay, arrive)
        bird.node.outbox.clear()

    def _arrive(self, target: Address, source: Address, payload: bytes) -> None:
        bird = self.birds[target]
        if bird.alive:
            message = from_frame(CODEC.decode(payload), bird.replica, len(payload))
            bird.node.receive(message, source, self.now)
            self._check(bird)
            self._flush(bird)

    def _check(self, bird: Bird) -> None:
        """What must hold at any time: versions never go back, values are those of the version, and a node knows itself best."""
        replica = bird.replica
        assert replica.versions[replica.own] == len(self.history[bird.identity.key])
        for slot, version in enumerate(replica.versions):
            if version:
                key = replica.values.keys[slot]
                assert version >= bird.highest.get(key, 0), "a version went back"
                bird.highest[key] = version
                assert dict(replica.values.changes(slot, 0, version)) == self.history[key][version - 1], "a gap"
