"""Moves one GossipNode in real time: a UDP socket, the machine's monotonic clock, and a sampler.

The driver decides nothing that the protocol should. It opens and decodes datagrams and hands them over, wakes the node when its
deadline has come, samples when a sample is due, sends what is in the outbox, and reports what the node noticed. One timer serves both
deadlines. Whatever a socket or a peer does wrong is counted by cause and survived.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, cast

from priomon_core.config import SECOND, DetectionSettings, GossipSettings
from priomon_core.errors import PriomonError, QueryError, WireError
from priomon_core.events import Event
from priomon_core.frames import from_frame, to_frame
from priomon_core.holdings import AgentReplica
from priomon_core.identity import Address, Identity
from priomon_core.messages import Delta, Digest
from priomon_core.metrics import Metric
from priomon_core.node import GossipNode
from priomon_core.priority import Publisher
from priomon_core.pushes import PushMessage
from priomon_core.quorum import Outcome, Reads
from priomon_core.quorum_level import Level
from priomon_core.strategies.by_name import betrayed, create
from priomon_core.watch import Watch
from priomon_core.wire import Codec, Plain
from priomon_node.experiment.noticed import fields_of, kind_of
from priomon_node.peers import Peers
from priomon_node.view import endpoint

if TYPE_CHECKING:
    from priomon_node.seal import Seal

MOST_STRANGERS = 1024  # peers of other strategies that are remembered, so that whoever lies about addresses takes no memory
Report = Callable[..., None]  # (kind, **fields): what happened, for the log and for those who watch


class Agent(asyncio.DatagramProtocol):
    """One node on a real network; a protocol for `loop.create_datagram_endpoint`.

    `sample` reads the metrics in their declared order (NaN where there is none). `counters` counts what was sent, received and dropped:
    keys that begin with `dropped_` name the cause. All times are ns of `clock`, which must never run backwards; `started` is when the
    node's life begins, now if it is not given. `random` is for gossip, `watching` for finding out who is alive.
    """

    def __init__(
        self,
        identity: Identity,
        metrics: Sequence[Metric],
        settings: GossipSettings,
        detection: DetectionSettings,
        cluster: str,
        book: Peers,
        sample: Callable[[int], Sequence[float]],
        sample_every: int,
        seal: Seal | None,
        report: Report,
        random: Random,
        watching: Random,
        clock: Callable[[], int] = time.monotonic_ns,
        started: int | None = None,
    ) -> None:
        self.identity = identity
        self.metrics = tuple(metrics)
        self.cluster = cluster
        self.book = book
        self.counters: Counter[str] = Counter()
        self.replica = AgentReplica(identity, metrics)
        self.now_ns = clock
        self.started_ns = clock() if started is None else started
        self._codec = Codec(cluster, metrics)
        self._seal = seal
        self._sample = sample
        self._sample_every = sample_every
        self._sample_at = self.started_ns
        self._report = report
        self._transport: asyncio.DatagramTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        phase = int(random.random() * settings.period)
        publisher = Publisher(metrics, random.random())
        strategy = create(self.replica, settings)
        self._reads = Reads(self.replica, strategy, self.replica, Random())  # nobody repeats them, so their randomness is the machine's
        self._strategy = settings.strategy
        self._strangers: set[Address] = set()  # peers of other strategies, each of which is reported once
        self._readers: dict[int, asyncio.Future[Outcome]] = {}
        judges = detection.detector != "none"
        self.watch = Watch(self.replica, self._reads, self.replica, settings, detection, watching) if judges else None
        begins = self.started_ns + phase
        self.node = GossipNode(self.replica, strategy, publisher, book.list, settings, random, begins, self.watch, self._reads)

    @property
    def peers(self) -> list[Address]:
        """The addresses that rounds choose from."""
        return self.book.list

    @property
    def alone(self) -> bool:
        """Whether no other node is known that lives."""
        return self.book.alone if self.watch is None else self.watch.membership.live < 2

    @property
    def publisher(self) -> Publisher:
        """The node's filter, with its counts."""
        return self.node.publisher

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to sample and to gossip."""
        self._transport = cast(asyncio.DatagramTransport, transport)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Rest; nothing is sent or heard any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None
        for reader in self._readers.values():
            if not reader.done():
                reader.set_exception(QueryError("this agent has ended"))

    def leave(self) -> None:
        """Say goodbye, and rest."""
        if self._transport is not None:
            self.node.leave()
            self._flush(self.now_ns())
            self.connection_lost(None)

    async def read(self, name: str, level: Level, within: int) -> Outcome:
        """Read the state of a node through others, within so many ns. Raises `QueryError`: nothing was sent, or the agent has ended."""
        target = self.replica.holdings.current(name)
        if target is None or self._transport is None:
            raise QueryError(f"no node {name!r} is known here" if target is None else "this agent does not take part")
        now = self.now_ns()
        number = self.node.query(target.key, level, within, now)
        reader: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._readers[number] = reader
        try:
            self._flush(now)
            if self._timer is not None:
                self._timer.cancel()
            self._plan()
            return await reader
        finally:
            del self._readers[number]

    def error_received(self, exc: Exception) -> None:
        """A peer's machine answered that nobody listens there; it may do so later."""
        self.counters["socket_errors"] += 1

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Take a datagram: open, decode, hand over, and send what the node has to say to it."""
        if self._transport is None:
            return
        self.counters["datagrams_received"] += 1
        self.counters["bytes_received"] += len(data)
        try:
            payload = data if self._seal is None else self._seal.open(data)
            frame = self._codec.decode(payload)
        except WireError as error:
            self.counters[f"dropped_{error.cause.replace(' ', '_')}"] += 1
            self._report("datagram dropped", cause=error.cause, source=endpoint(Address(*addr[:2])), reason=str(error))
            return
        now, source = self.now_ns(), Address(*addr[:2])
        known, message = self.replica.roster, from_frame(frame, self.replica, len(payload))
        self.node.receive(message, source, now)
        self._wonder(message, source)
        self._meet(known)
        self._flush(now)

    def _wonder(self, message: Any, source: Address) -> None:
        """Report a peer whose strategy is another one: they understand each other, but each update then costs more or takes longer."""
        theirs = betrayed(message)
        if theirs and self._strategy not in theirs and source not in self._strangers and len(self._strangers) < MOST_STRANGERS:
            self._strangers.add(source)
            self.counters["peers_of_other_strategies"] += 1
            self._report("peer has another strategy", source=endpoint(source), theirs=" or ".join(theirs), ours=self._strategy)

    def _meet(self, before: tuple[int, int]) -> None:
        """Take note of origins that came or went since the roster was the one `before`."""
        if self.replica.roster == before:
            return
        others = [identity for identity in self.replica.holdings.identities() if identity.key != self.identity.key]
        for identity in others:
            if identity.name == self.identity.name:
                self._report("another node has this node's name", name=identity.name, address=endpoint(identity.address))
        self.book.know(identity.address for identity in others)
        self.node.peers = self.book.list
        self._report("members changed", known=len(others) + 1)

    def refresh_peers(self) -> None:
        """Use the peers' new list, after their seeds were looked up."""
        self.node.peers = self.book.list

    def _wake(self) -> None:
        now = self.now_ns()
        try:
            if now >= self._sample_at:
                self._take_sample(now)
            known = self.replica.roster
            self.node.wake(now)
            self._meet(known)
            self.node.read(now)
            self._flush(now)
        finally:  # whatever goes wrong in one round, there is a next
            self._plan()

    def _plan(self) -> None:
        """Wait until something is due."""
        due = min(self.node.deadline, self.node.read_due, self._sample_at)
        self._timer = asyncio.get_running_loop().call_later(self._seconds_to(due), self._wake)

    def _seconds_to(self, due: int) -> float:
        """How long to wait until the clock shows `due`."""
        return max(0, due - self.now_ns()) / SECOND

    def _take_sample(self, now: int) -> None:
        self._sample_at += self._sample_every
        if self._sample_at <= now:  # the machine slept, or was suspended: no use to catch up with the past
            self._sample_at = now + self._sample_every
        try:
            self.node.sample(self._sample(now), now)
            self.counters["samples"] += 1
        except (OSError, PriomonError) as error:
            self.counters["samples_failed"] += 1
            self._report("sample failed", reason=str(error))

    def _flush(self, now: int) -> None:
        """Report what the node noticed and read, and send what it has in its outbox."""
        if self.watch is not None and self.watch.events:
            noticed = list(self.watch.events)
            self.watch.events.clear()
            for event in noticed:
                self._notice(event)
        for outcome in self._reads.outcomes:
            reader = self._readers.get(outcome.number)
            if reader is not None and not reader.done():
                reader.set_result(outcome)
        self._reads.outcomes.clear()
        outbox = self.node.outbox
        for peer, message in outbox:
            said = cast(Digest | Delta | Plain | PushMessage, message)  # strategies that travel in datagrams say nothing else
            payload = self._codec.encode(to_frame(said, self.replica, now))
            data = payload if self._seal is None else self._seal.close(payload)
            if self._send(data, peer):
                self.counters["datagrams_sent"] += 1
                self.counters["bytes_sent"] += len(data)
        outbox.clear()

    def _notice(self, event: Event) -> None:
        self.counters[f"noticed_{kind_of(event)}"] += 1
        self._report(f"node {kind_of(event)}", **fields_of(event))

    def _send(self, data: bytes, peer: Address) -> bool:
        """Put a datagram on the network; False if the socket refuses it."""
        try:
            if self._transport is not None:
                self._transport.sendto(data, tuple(peer))
        except OSError as error:
            self.counters["socket_errors"] += 1
            self._report("send failed", peer=endpoint(peer), reason=str(error))
            return False
        return True
