"""Moves GossipNodes in virtual time: a SimPy clock, links between the nodes, and a workload that the nodes sample.

A datagram in flight is one SimPy event with one callback, and a node's timer is one event that is used again every period; SimPy's
processes are for what is rare. The driver decides nothing that the protocol should: it hands over samples, messages and deadlines,
and carries away what nodes have in their outbox.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from hashlib import blake2b
from random import Random
from typing import Any

import numpy as np
import simpy
from numpy.typing import NDArray

from priomon_core.config import UDP_IPV4_HEADERS, GossipSettings
from priomon_core.identity import Address, Identity
from priomon_core.links import Links
from priomon_core.metrics import Metric
from priomon_core.node import GossipNode
from priomon_core.priority import Publisher
from priomon_core.replica import Replica
from priomon_core.strategies.base import Strategy
from priomon_sim.clock import Clock
from priomon_sim.compiled import COMPILED
from priomon_sim.ledger import Ledger

PORT = 7946
GENERATION = 1

StrategyFactory = Callable[[Replica, GossipSettings], Strategy]


def identities(count: int) -> list[Identity]:
    """The identities of `count` simulated nodes, in the order of their keys: a node's index in a run is its slot in every row."""
    digits = len(str(count - 1))
    hosts = (f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}" for i in range(1, count + 1))
    return sorted(
        (Identity(f"node{i:0{digits}}", GENERATION, Address(host, PORT)) for i, host in enumerate(hosts)), key=lambda identity: identity.key
    )


def stream(seed: int, name: str) -> str:
    """What the random stream of a node's gossip is made from, in a simulation and in its live twin."""
    return f"{seed} {name} gossip"


class Delivery(simpy.Event):
    """A message in flight, of `size` bytes on the wire. It is triggered from the start: SimPy only has to keep it until its time."""

    _ok = True
    _value = None

    def __init__(self, clock: Clock, callback: Callable[[Any], None], source: int, target: int, message: Any, size: int) -> None:
        self.env = clock
        self.callbacks = [callback]
        self.source = source
        self.target = target
        self.message = message
        self.size = size


class Driver:
    """A cluster in virtual time.

    `peers[i]` are the indexes of the nodes that node i gossips with, `series[i]` (float64 [samples, metrics]) its true values, one row
    per `sample_every` ns and used again from the start if the run is longer. Rounds begin at a random phase of each node's own, or all
    `together`, as in the synchronous models of theory. A datagram takes `overhead` bytes on the wire beside its message. Counters per
    node: `bytes_sent` and `bytes_received` (on the wire, with headers), `datagrams_sent`. `versions` uint16 [observers, origins] is
    all that the nodes know.
    """

    def __init__(
        self,
        clock: Clock,
        metrics: Sequence[Metric],
        settings: GossipSettings,
        strategy: StrategyFactory,
        peers: Sequence[Sequence[int]],
        links: Links,
        series: Sequence[NDArray[np.float64]],
        sample_every: int,
        seed: int,
        together: bool = False,
        overhead: int = UDP_IPV4_HEADERS,
    ) -> None:
        count = len(peers)
        self.clock = clock
        self.settings = settings
        self.links = links
        self.series = series
        self.sample_every = sample_every
        self.ledger = Ledger(identities(count), metrics)
        self.versions = np.zeros((count, count), np.uint16)
        self.nodes = [self._node(i, metrics, strategy, peers[i], seed, together) for i in range(count)]
        self.samples = [0] * count
        self.bytes_sent = [0] * count
        self.bytes_received = [0] * count
        self.datagrams_sent = [0] * count
        self.streams_sent = 0
        self._trace = array("q")
        self._trace_hash = blake2b(digest_size=16)
        self._send = self._sender(overhead)
        for index, node in enumerate(self.nodes):
            if sample_every != settings.period:
                self.clock.call_at(node.deadline, self._sampler(index))
            self.clock.call_at(node.deadline, self._ticker(index))

    def _node(
        self, index: int, metrics: Sequence[Metric], strategy: StrategyFactory, peers: Sequence[int], seed: int, together: bool
    ) -> GossipNode:
        replica = Replica(self.ledger, self.versions[index], index, COMPILED)
        random = Random(stream(seed, self.ledger.identities[index].name))
        phase = self.settings.period if together else int(random.random() * self.settings.period)
        publisher = Publisher(metrics, random.random())
        return GossipNode(replica, strategy(replica, self.settings), publisher, peers, self.settings, random, self.now + phase)

    @property
    def now(self) -> int:
        """Virtual nanoseconds."""
        return self.clock._now

    def introduce_all(self) -> None:
        """Let every node take and publish its first sample now, and all others know it, as after a long uptime."""
        for index in range(len(self.nodes)):
            self._sample(index, self.now)
        self.versions[:] = self.versions.diagonal()
        for node in self.nodes:
            node.outbox.clear()
            node.replica.survey()
            node.strategy.settle()

    @property
    def messages_sent(self) -> int:
        """Datagrams and stream messages that all nodes have sent."""
        return sum(self.datagrams_sent) + self.streams_sent

    def truth(self) -> NDArray[np.float64]:
        """The newest sample of every node, float64 [nodes, metrics]; NaN before the first."""
        nothing = np.full(self.ledger.metrics, np.nan)
        return np.array([s[(taken - 1) % len(s)] if taken else nothing for s, taken in zip(self.series, self.samples, strict=True)])

    def delivered(self) -> int:
        """How many news have arrived at nodes, newer or not."""
        return sum(node.replica.delivered for node in self.nodes)

    def trace_hash(self) -> str:
        """A hash of every delivery so far: when, from whom, to whom, how many bytes. Equal runs have equal hashes on every machine."""
        self._trace_hash.update(self._trace.tobytes())
        del self._trace[:]
        return self._trace_hash.hexdigest()

    # What follows happens for every event of a run. The functions are closures because finding an attribute of `self` is slower than
    # finding a variable, and they find hundreds of millions.

    def _ticker(self, index: int) -> Callable[[Any], None]:
        """What a node's timer does: the round, and the sample where it is taken once a round."""
        clock, node, send, sample = self.clock, self.nodes[index], self._send, self._sample
        samples_itself = self.sample_every == self.settings.period

        def tick(event: Any) -> None:
            now = clock._now
            if samples_itself and now >= node.round_due:
                sample(index, now)
            node.wake(now)
            send(index, now)
            event.callbacks = callbacks
            clock.put(event, node.deadline)

        callbacks = [tick]
        return tick

    def _sampler(self, index: int) -> Callable[[Any], None]:
        def sample(event: Any) -> None:
            now = self.clock._now
            self._sample(index, now)
            self._send(index, now)
            event.callbacks = callbacks
            self.clock.put(event, now + self.sample_every)

        callbacks = [sample]
        return sample

    def _sample(self, index: int, now: int) -> None:
        taken = self.samples[index]
        series = self.series[index]
        self.samples[index] = taken + 1
        self.nodes[index].sample(series[taken % len(series)].tolist(), now)

    def _sender(self, overhead: int) -> Callable[[int, int], None]:
        """Makes the function that gives what node `index` has in its outbox to the links."""
        clock, put, links, deliver = self.clock, self.clock.put, self.links, self._deliverer()
        outboxes = [node.outbox for node in self.nodes]
        bytes_sent, datagrams_sent = self.bytes_sent, self.datagrams_sent

        def send(index: int, now: int) -> None:
            outbox = outboxes[index]
            for target, message in outbox:
                size = message.size
                if message.stream:
                    arrival, again = links.stream(index, target, size, now)
                    self.streams_sent += 1
                    bytes_sent[index] += size + again
                    arrivals: tuple[int, ...] = (arrival,) if arrival >= 0 else ()
                else:
                    size += overhead
                    bytes_sent[index] += size
                    datagrams_sent[index] += 1
                    arrivals = links.arrivals(index, target, size, now)
                for arrival in arrivals:
                    put(Delivery(clock, deliver, index, target, message, size), arrival)
            outbox.clear()

        return send

    def _deliverer(self) -> Callable[[Any], None]:
        """Makes the function that hands a message over when its time has come."""
        clock, received, record = self.clock, self.bytes_received, self._trace.append
        receivers = [node.receive for node in self.nodes]
        outboxes = [node.outbox for node in self.nodes]

        def deliver(event: Any) -> None:
            now, source, target, size = clock._now, event.source, event.target, event.size
            received[target] += size
            record(now)
            record(source << 48 | target << 32 | size)
            receivers[target](event.message, source, now)
            if outboxes[target]:
                self._send(target, now)

        return deliver
