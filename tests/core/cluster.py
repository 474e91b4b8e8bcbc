"""A cluster of agents in memory, for tests of what needs many nodes and time: virtual time, real bytes, seeded chance.

Nodes crash, restart, pause and leave; links lose datagrams, all or some, in one direction or both. Every datagram is encoded, compared with
its size and the limit, and decoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random

from priomon_core.config import SECOND, DetectionSettings, GossipSettings
from priomon_core.events import Event
from priomon_core.frames import from_frame, to_frame
from priomon_core.holdings import AgentReplica
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN
from priomon_core.node import GossipNode
from priomon_core.priority import Publisher
from priomon_core.replica import Replica
from priomon_core.rumours import State
from priomon_core.strategies.base import Strategy
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_core.watch import Watch
from priomon_core.wire import Call, Codec

CODEC = Codec("test", BUILT_IN)
DELAY = SECOND // 50


@dataclass
class Member:
    """One start of a node. `up` is false once it has crashed or left; a paused one takes nothing in until `resumes`."""

    identity: Identity
    replica: AgentReplica
    node: GossipNode
    watch: Watch
    up: bool = True
    resumes: int = 0
    events: list[Event] = field(default_factory=list)
    sent: list[tuple[Address, int, bool]] = field(default_factory=list)  # to, bytes, whether it is a call


class Cluster:
    """`members` holds the newest start of each name. `loss` is the share of datagrams lost, `cut` says which links carry nothing at all.

    Nodes know the first one's address as a seed, and else those whom they hear of, as agents do.
    """

    def __init__(
        self,
        names: int,
        seed: int = 1,
        loss: float = 0.0,
        gossip: GossipSettings | None = None,
        strategy: Callable[[Replica, GossipSettings], Strategy] = Scuttlebutt,
        **detection: object,
    ) -> None:
        self.gossip = gossip or GossipSettings()
        self.strategy = strategy
        self.detection = DetectionSettings(**detection)  # type: ignore[arg-type]
        self.random = Random(seed)
        self.loss = loss
        self.cut: Callable[[str, str], bool] = lambda source, target: False
        self.now = 0
        self.members: dict[str, Member] = {}
        self.everybody: list[Member] = []
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._number = count()
        for i in range(names):
            self.start(f"n{i}")

    # What happens to nodes

    def start(self, name: str, generation: int = 1, host: str | None = None) -> Member:
        """Start a node, again with a higher generation if it has run before."""
        identity = Identity(name, generation, Address(host or f"10.0.0.{int(name[1:]) + 1}", 7946))
        replica = AgentReplica(identity, BUILT_IN)
        strategy = self.strategy(replica, self.gossip)
        watch = Watch(replica, strategy, replica, self.gossip, self.detection, Random(self.random.random()))
        phase = self.now + int(self.random.random() * self.gossip.period)
        publisher = Publisher(BUILT_IN)
        node = GossipNode(replica, strategy, publisher, [], self.gossip, Random(self.random.random()), phase, watch)
        member = self.members[name] = Member(identity, replica, node, watch)
        self.everybody.append(member)
        node.sample([self.random.random() * 100] * len(BUILT_IN), self.now)
        self._meet(member)
        self._at(node.deadline, lambda: self._wake(member))
        return member

    def crash(self, *names: str) -> None:
        """Stop nodes without a word."""
        for name in names:
            self.members[name].up = False

    def leave(self, name: str) -> None:
        """Stop a node with a goodbye."""
        member = self.members[name]
        member.node.leave()
        self._flush(member)
        member.up = False

    def pause(self, name: str, seconds: float) -> None:
        """Let a node rest; what arrives waits until it has woken."""
        self.members[name].resumes = self.now + round(seconds * SECOND)

    def split(self, *sides: Iterable[str]) -> None:
        """Carry datagrams only within each side."""
        side_of = {name: i for i, side in enumerate(sides) for name in side}
        self.cut = lambda source, target: side_of[source] != side_of[target]

    def heal(self) -> None:
        """Carry all datagrams again."""
        self.cut = lambda source, target: False

    # Time

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + round(seconds * SECOND)
        while self._due and self._due[0][0] <= end:
            self.now, _, action = heappop(self._due)
            action()
        self.now = end

    def until(self, condition: Callable[[], bool], seconds: float) -> float:
        """Let time pass until something holds, looking every tenth of a second; returns the seconds it took."""
        for tenths in range(round(seconds * 10) + 1):
            if condition():
                return tenths / 10
            self.run(0.1)
        raise AssertionError(f"it does not hold after {seconds} s")

    def _at(self, time: int, action: Callable[[], None]) -> None:
        heappush(self._due, (time, next(self._number), action))

    # What can be asked

    def live(self) -> list[str]:
        """The names of the nodes that run."""
        return [name for name, member in self.members.items() if member.up]

    def state(self, observer: str, target: str) -> State | None:
        """For what a node holds the newest start of another, None if it does not know it."""
        member, key = self.members[observer], self.members[target].identity.key
        return None if member.replica.known(key) is None else member.watch.membership.state(key)

    def all_hold(self, state: State | None, *targets: str) -> bool:
        """Whether all nodes that run, other than the targets, hold each target for this."""
        observers = [name for name in self.live() if name not in targets]
        return all(self.state(observer, target) == state for observer in observers for target in targets)

    def well(self) -> bool:
        """Whether all nodes that run hold each other alive."""
        live = self.live()
        return all(self.state(a, b) == State.ALIVE for a in live for b in live if a != b)

    def events(self, kind: type[Event], about: str | None = None) -> list[tuple[str, Event]]:
        """What all nodes noticed of one kind: (observer, event)."""
        told = [(member.identity.name, event) for member in self.everybody for event in member.events if isinstance(event, kind)]
        return [(observer, event) for observer, event in told if about in (None, event.name)]

    # How it runs

    def _wake(self, member: Member) -> None:
        if not member.up:
            return
        if member.resumes > self.now:
            self._at(member.resumes, lambda: self._wake(member))
            return
        member.node.wake(self.now)
        self._flush(member)
        self._at(member.node.deadline, lambda: self._wake(member))

    def _arrive(self, member: Member, source: Address, payload: bytes) -> None:
        if not member.up:
            return
        if member.resumes > self.now:
            self._at(member.resumes + 1, lambda: self._arrive(member, source, payload))
            return
        message = from_frame(CODEC.decode(payload), member.replica, len(payload))
        member.node.receive(message, source, self.now)
        self._meet(member)
        self._flush(member)

    def _meet(self, member: Member) -> None:
        seed = next(iter(self.members.values())).identity.address
        known = [identity.address for identity in member.replica.holdings.identities()]
        peers = [address for address in dict.fromkeys([*known, seed]) if address != member.identity.address]
        if peers != member.node.peers:
            member.node.peers = peers

    def _flush(self, member: Member) -> None:
        name = member.identity.name
        for peer, message in member.node.outbox:
            payload = CODEC.encode(to_frame(message, member.replica, self.now))  # type: ignore[arg-type]
            assert len(payload) == message.size <= self.gossip.datagram_limit
            member.sent.append((peer, len(payload), isinstance(message, Call)))
            there = next((other for other in self.members.values() if other.identity.address == peer and other.up), None)
            if there is None or self.random.random() < self.loss or self.cut(name, there.identity.name):
                continue
            self._at(self.now + DELAY, lambda to=there, data=payload: self._arrive(to, member.identity.address, data))  # type: ignore[misc]
        member.node.outbox.clear()
        member.events += member.watch.events
        member.watch.events.clear()
