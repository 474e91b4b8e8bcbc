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

from priomon_core.config import UDP_IPV4_HEADERS, DetectionSettings, GossipSettings
from priomon_core.events import Event
from priomon_core.links import Links
from priomon_core.metrics import Metric
from priomon_core.node import GossipNode
from priomon_core.priority import Publisher
from priomon_core.quorum import Reads
from priomon_core.replica import Replica
from priomon_core.strategies.base import Strategy
from priomon_core.watch import Watch
from priomon_sim.clock import Clock
from priomon_sim.compiled import COMPILED
from priomon_sim.faults.skew import Skewed
from priomon_sim.ledger import Ledger
from priomon_sim.lives import Addresses, Lives

StrategyFactory = Callable[[Replica, GossipSettings], Strategy]
Life = GossipNode | Skewed
Noticed = tuple[int, int, Event]  # when (ns of the simulation), the slot of who noticed it, what
NO_DETECTION = DetectionSettings(detector="none")
BACKLOG = 212_992  # bytes that wait in a socket while its node stands still: Linux' net.core.rmem_default


def stream(seed: int, name: str, purpose: str = "gossip") -> str:
    """What a random stream of a node is made from, in a simulation and in its live twin."""
    return f"{seed} {name} {purpose}"


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


class Frozen:
    """What waits for a node that stands still: messages, no more than its socket holds, and timers."""

    def __init__(self) -> None:
        self.messages: list[tuple[Any, Any]] = []
        self.timers: list[tuple[Any, Callable[[Any], None]]] = []
        self._size = 0

    def keep(self, message: Any, source: Any, now: int) -> None:
        """Take a message that arrives, unless the socket is full."""
        if self._size + message.size <= BACKLOG:
            self._size += message.size
            self.messages.append((message, source))


def _nobody(message: Any, source: Any, now: int) -> None:
    """Receives for a node that is down."""


class Driver:
    """A cluster in virtual time.

    `peers[i]` are the nodes that node i gossips with, `series[i]` (float64 [samples, metrics]) its true values, one row per
    `sample_every` ns and used again from the start if the run is longer. Rounds begin at a random phase of each node's own, or all
    `together`, as in the synchronous models of theory. A datagram takes `overhead` bytes on the wire beside its message. `detection`
    lets nodes find out who is alive, `generations[i]` is how many lives node i will have (see lives.py); with `reads`, nodes can be
    asked to read each other.

    Counters per node: `bytes_sent` and `bytes_received` (on the wire, with headers), `datagrams_sent`. `versions` uint16 [observers,
    origins], with a line and a column for each life, is all that the nodes know; `nodes[i]` is node i's present or last life, whose slot
    is `slots[i]`; `running[i]` says whether it lives.
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
        detection: DetectionSettings = NO_DETECTION,
        generations: Sequence[int] | None = None,
        reads: bool = False,
    ) -> None:
        count = len(peers)
        self.clock = clock
        self.settings = settings
        self.detection = detection
        self.links = links
        self.series = series
        self.sample_every = sample_every
        self.lives = Lives.of([1] * count if generations is None else generations)
        self.ledger = Ledger(self.lives.origins, metrics, self.lives.younger if self.lives.several else None, clock)
        origins = len(self.lives.origins)
        self.versions = np.zeros((origins, origins), np.uint16)
        self._metrics = metrics
        self._strategy = strategy
        self._reads = reads
        self._peers = peers
        self._seed = seed
        self.slots = [slots[0] for slots in self.lives.slots]
        self.running = [True] * count
        phase = settings.period if together else None
        self.nodes: list[Life] = [self._node(i, self.slots[i], phase) for i in range(count)]
        self._awake: list[Life | None] = list(self.nodes)  # None for a node that stands still or is down
        self._frozen: dict[int, Frozen] = {}
        self.samples = [0] * count
        self.bytes_sent = [0] * count
        self.bytes_received = [0] * count
        self.datagrams_sent = [0] * count
        self.streams_sent = 0
        self._delivered = 0  # news that arrived in lives that are over
        self._sampled = np.zeros((count, 2, len(metrics)), np.int64)  # samples published and filtered in lives that are over
        self._noticed: list[Noticed] = []
        self._trace = array("q")
        self._trace_hash = blake2b(digest_size=16)
        self._receivers: list[Callable[[Any, Any, int], None]] = [node.receive for node in self.nodes]
        self._outboxes = [node.outbox for node in self.nodes]
        self._send = self._sender(overhead)
        for index in range(count):
            self._set_going(index)

    def _node(self, index: int, slot: int, phase: int | None = None) -> GossipNode:
        """A life of a node, which knows nothing yet. Its first round is after `phase` ns, a random one if that is None."""
        replica = Replica(self.ledger, self.versions[slot], slot, COMPILED)
        if self.ledger.identities[slot].generation > 1:  # it would not know of itself that it is younger until it has published
            replica.forget(int(self.ledger.keys[self.ledger.older[slot]]))
        name, generation = self.ledger.identities[slot].name, self.ledger.identities[slot].generation
        name = name if generation == 1 else f"{name} {generation}"
        random = Random(stream(self._seed, name))
        phase = phase or int(random.random() * self.settings.period)
        publisher = Publisher(self._metrics, random.random())
        strategy, addresses = self._strategy(replica, self.settings), Addresses(self.lives, replica)
        reads = Reads(replica, strategy, addresses, Random(stream(self._seed, name, "reads"))) if self._reads else None
        watch = None
        if self.detection.detector != "none":
            watching = Random(stream(self._seed, name, "watch"))
            watch = Watch(replica, reads or strategy, addresses, self.settings, self.detection, watching)
        begins = self.clock._now + phase
        return GossipNode(replica, strategy, publisher, self._peers[index], self.settings, random, begins, watch, reads)

    def _set_going(self, index: int) -> None:
        """Start the timers of a node's present life."""
        due = max(self.nodes[index].deadline, self.now)  # which a node that stands still may have passed
        if self.sample_every != self.settings.period:
            self.clock.call_at(due, self._sampler(index))
        self.clock.call_at(due, self._ticker(index))

    # Faults

    def stop(self, index: int, announced: bool = False) -> None:
        """End a node's life: without a word, or with a goodbye."""
        node = self.nodes[index]
        if announced:
            node.leave()
            self._send(index, self.now)
        self._delivered += node.replica.delivered
        self._sampled[index] += np.array([node.publisher.published, node.publisher.filtered])
        self._collect(index)
        self.running[index] = False
        self._awake[index] = None
        self._frozen.pop(index, None)
        self._receivers[index] = _nobody
        self._outboxes[index] = []

    def start(self, index: int, generation: int) -> None:
        """Begin the next life of a node that is down; it samples where its series stands by then."""
        self.slots[index] = self.lives.slots[index][generation - 1]
        self.samples[index] = self.now // self.sample_every
        before, node = self.nodes[index], self._node(index, self.slots[index])
        self.nodes[index] = Skewed(node, before.rate, self.now, self.now) if isinstance(before, Skewed) else node
        self.running[index] = True
        self._wake_up(index, self.nodes[index])
        self._set_going(index)

    def freeze(self, index: int) -> None:
        """Let a node stand still, as by SIGSTOP: its timers wait, and so do datagrams, as many as a socket holds."""
        self._awake[index] = None
        frozen = self._frozen[index] = Frozen()
        self._receivers[index] = frozen.keep
        self._outboxes[index] = []

    def thaw(self, index: int) -> None:
        """Let a node go on: it handles what came meanwhile, then its late timers."""
        frozen, node = self._frozen.pop(index), self.nodes[index]
        self._wake_up(index, node)
        for message, source in frozen.messages:
            node.receive(message, source, self.now)
            self._send(index, self.now)
        for event, callback in frozen.timers:
            event.callbacks = [callback]
            self.clock.put(event, self.now)

    def skew(self, index: int, rate: float) -> None:
        """Let the clock of a node run at another rate from now on."""
        self._collect(index)
        node = self.nodes[index]
        self.nodes[index] = Skewed(node.node if isinstance(node, Skewed) else node, rate, self.now, self.clock_of(index))
        if self.running[index]:
            if index not in self._frozen:
                self._wake_up(index, self.nodes[index])
            self._set_going(index)

    def _wake_up(self, index: int, node: Life) -> None:
        self._awake[index] = node
        self._receivers[index] = node.receive
        self._outboxes[index] = node.outbox

    def _late(self, index: int, node: Life, event: Any, callback: Callable[[Any], None]) -> None:
        """A timer of a life that is not awake: it waits for the end of a standstill; a life that is over has no timers."""
        if index in self._frozen and self.nodes[index] is node:
            self._frozen[index].timers.append((event, callback))

    def flush(self, index: int) -> None:
        """Send what a node has to say after somebody else than its timers has moved it."""
        self._send(index, self.now)

    def is_awake(self, index: int) -> bool:
        """Whether a node runs and does not stand still."""
        return self._awake[index] is not None

    @property
    def now(self) -> int:
        """Virtual nanoseconds."""
        return self.clock._now

    def introduce_all(self) -> None:
        """Let every node take and publish its first sample now, and all others know it, as after a long uptime."""
        for index in range(len(self.nodes)):
            self._sample(index, self.now)
        self.versions[self.slots] = self.versions.diagonal()
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
        running = (node for node, runs in zip(self.nodes, self.running, strict=True) if runs)
        return self._delivered + sum(node.replica.delivered for node in running)

    def sampled(self) -> NDArray[np.int64]:
        """What became of the samples that nodes have taken, int64 [nodes, metrics, 2]: published, and filtered."""
        present = np.array([[node.publisher.published, node.publisher.filtered] for node in self.nodes], np.int64)
        present[~np.array(self.running)] = 0
        return np.swapaxes(self._sampled + present, 1, 2)

    def awake(self) -> NDArray[np.bool_]:
        """Which nodes run and do not stand still."""
        return np.array([node is not None for node in self._awake])

    def believed(self) -> NDArray[np.int64] | None:
        """How many nodes each node holds alive, itself among them; None if nodes do not judge each other."""
        live = [node.watch.membership.live for node in self.nodes if node.watch is not None]
        return np.array(live) if live else None

    def noticed(self) -> list[Noticed]:
        """What nodes have noticed of each other since this was asked last, in no order."""
        for index in range(len(self.nodes)):
            self._collect(index)
        noticed, self._noticed = self._noticed, []
        return noticed

    def clock_of(self, index: int) -> int:
        """What the clock of a node shows now (ns)."""
        node = self.nodes[index]
        return node.local(self.now) if isinstance(node, Skewed) else self.now

    def _collect(self, index: int) -> None:
        """Take what a node has noticed."""
        node = self.nodes[index]
        if node.watch is not None and node.watch.events:
            shared = node.shared if isinstance(node, Skewed) else int
            self._noticed += [(shared(event.at), self.slots[index], event) for event in node.watch.events]
            node.watch.events.clear()

    def trace_hash(self) -> str:
        """A hash of every delivery so far: when, from whom, to whom, how many bytes. Equal runs have equal hashes on every machine."""
        self._trace_hash.update(self._trace.tobytes())
        del self._trace[:]
        return self._trace_hash.hexdigest()

    # What follows happens for every event of a run. The functions are closures because finding an attribute of `self` is slower than
    # finding a variable, and they find hundreds of millions.

    def _ticker(self, index: int) -> Callable[[Any], None]:
        """What a node's timer does: the round, and the sample where it is taken once a round."""
        clock, node, send, sample, awake = self.clock, self.nodes[index], self._send, self._sample, self._awake
        samples_itself = self.sample_every == self.settings.period

        def tick(event: Any) -> None:
            if awake[index] is not node:
                self._late(index, node, event, tick)
                return
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
        node = self.nodes[index]

        def sample(event: Any) -> None:
            if self._awake[index] is not node:
                self._late(index, node, event, sample)
                return
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
        outboxes = self._outboxes
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
        receivers, outboxes = self._receivers, self._outboxes

        def deliver(event: Any) -> None:
            now, source, target, size = clock._now, event.source, event.target, event.size
            received[target] += size
            record(now)
            record(source << 48 | target << 32 | size)
            receivers[target](event.message, source, now)
            if outboxes[target]:
                self._send(target, now)

        return deliver
