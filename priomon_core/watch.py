"""Keeps watch over the other nodes: brings a node's messages, its membership and its detector together.

Detection travels on the gossip that there is anyway. Partners of rounds take turns; the digest that begins an exchange asks for an answer,
and a partner with nothing to say answers with the smallest message there is. Rumours fill what is left of datagrams. So calm costs the
acks, and no byte more.

Some rules keep the innocent alive, make partitions heal and old news harmless. Whoever is spoken to is told what is held against it, so
that it can refute. Nobody turns a suspicion into a verdict without having asked the accused, and repeated it to those who may know better:
rumours reach nearly all, not all. Each departed node is tried now and then by somebody, about once per `reconnect` for all nodes together,
with one small ping. And nobody introduces a departed node to those who do not know it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, Protocol

from priomon_core.awareness import Awareness
from priomon_core.config import DetectionSettings, GossipSettings
from priomon_core.detectors.base import Detector
from priomon_core.detectors.count import Count
from priomon_core.detectors.phi import Phi
from priomon_core.detectors.swim import Swim
from priomon_core.errors import SettingError
from priomon_core.events import Event, Joined, Stalled
from priomon_core.membership import Membership
from priomon_core.replica import Replica
from priomon_core.rotation import Rotation
from priomon_core.rumours import Rumour, State, rumours_size
from priomon_core.strategies.base import Exchange, Peer
from priomon_core.wire import Ask, Call

MOST_CONTACTS = 256  # nodes of which the last contact is remembered, for `why`
MOST_RETRIES = 8  # dead nodes that a node tries in one round
FAREWELLS = 8  # nodes that are told at once of a leave


class Directory(Protocol):
    """Which origin lives where, as far as this node knows. An `AgentReplica` is one."""

    def key_at(self, peer: Peer) -> int | None:
        """The key of the origin at a peer, None if none is known."""
        ...

    def peer_of(self, key: int) -> Peer | None:
        """Where datagrams for an origin go, None if nobody knows."""
        ...


class Watch:
    """What a node does to know who is alive. `strategy` is the node's, with its outbox; `random` a stream of its own.

    `direct` holds when each node was last heard itself (ns), `indirect` by whom and when somebody else was last reported to live; both
    only the latest few. Raises `SettingError` for the detector `none`, which needs no watch.
    """

    def __init__(
        self,
        replica: Replica,
        strategy: Exchange,
        directory: Directory,
        gossip: GossipSettings,
        settings: DetectionSettings,
        random: Random,
    ) -> None:
        self.membership = Membership(replica, settings, gossip.period)
        self.awareness = Awareness()
        self.direct: dict[int, int] = {}
        self.indirect: dict[int, tuple[int, int]] = {}
        self._replica = replica
        self._strategy = strategy
        self._outbox = strategy.outbox
        self._directory = directory
        self._limit = gossip.datagram_limit
        self._retry_share = gossip.period / settings.reconnect
        self._random = random
        self._peers: Sequence[Peer] = ()
        self._rotation = Rotation(random)
        self._ack = Call(replica.key, Ask.ACK)
        self.detector = self._detector(settings, gossip.period)
        self._heard = self.detector.heard

    def _detector(self, settings: DetectionSettings, period: int) -> Detector:
        match settings.detector:
            case "swim":
                return Swim(self, settings, period)
            case "phi":
                return Phi(self, settings, period, self._replica)
            case "count":
                return Count(self, settings, period)
        raise SettingError(f"detector: {settings.detector} needs no watch; expected swim, phi or count")

    @property
    def deadline(self) -> int:
        """When `wake` has something to do at the latest (ns)."""
        return min(self.detector.deadline, self.membership.deadline)

    @property
    def events(self) -> list[Event]:
        """What was noticed, for the driver to drain."""
        return self.membership.events

    # What the node calls

    def partners(self, peers: Sequence[Peer], count: int) -> list[Peer]:
        """Whom to contact in a round: each in turn, but none that is dead or gone."""
        self._peers = peers
        departed, key_at = self.membership.departed, self._directory.key_at
        return self._rotation.next(peers, count, (lambda peer: key_at(peer) in departed) if departed else None)

    def begun(self, partners: Sequence[Peer], before: int, now: int) -> None:
        """A round has begun: what it put into the outbox after the first `before` messages begins with one for each partner."""
        key_at, detector = self._directory.key_at, self.detector
        begun: list[tuple[Peer, Any]] = self._outbox[before : before + len(partners)]
        for peer, message in begun:
            message.probe = detector.probes
            key = key_at(peer)
            if key is not None:
                detector.contacted(key, now)
        if self.membership.calm:
            return
        question = self._doubt(now) if self.membership.doubts else ()
        if begun:
            self._tell(before, partners[0], key_at(partners[0]), question)
        else:
            self._tell(before)

    def receive(self, message: Any, source: Peer, now: int) -> None:
        """Handle a message that arrived from `source`; what is a strategy's goes to the strategy."""
        sender, membership, outbox, direct = message.sender, self.membership, self._outbox, self.direct
        if sender == self._replica.key or membership.gone:
            return
        before = len(outbox)
        direct.pop(sender, None)  # so that the order is that of the times
        direct[sender] = now
        if len(direct) > MOST_CONTACTS:
            del direct[next(iter(direct))]
        self._heard(sender, now)
        if membership.refused:
            membership.spoke(sender)
        if type(message) is Call:
            self._answer(message, source, now)
            if self._replica.known(sender) is None:  # both restarted while they were apart, and nobody else may introduce them
                self._strategy.round((source,), now)
        else:
            self._strategy.receive(message, source, now)
            if message.probe and len(outbox) == before:
                outbox.append((source, self._ack))
        if self._replica.superseded or self._replica.arrived:
            self._note(now)
        owed = self._hear(message.rumours, source, before, now) if message.rumours else ()
        if len(outbox) > before and not membership.calm:
            self._tell(before, source, sender, owed)

    def wake(self, now: int) -> None:
        """Do what is due. Called at the deadline or before, and once a round."""
        before = len(self._outbox)
        self.membership.expire(now)
        self.detector.wake(now)
        if len(self._outbox) > before:
            self._tell(before)

    def stalled(self, now: int, late: int) -> None:
        """This node woke `late` ns after its deadline: it was suspended or starved, and judges nobody by what it did not hear."""
        self.awareness.worsen()
        self.detector.stalled(late)
        self.membership.postpone(late + self.membership.period)
        key = self._replica.key
        self.events.append(Stalled(now, key, self.membership.name(key), late))

    def leave(self, peers: Sequence[Peer]) -> None:
        """Say goodbye to some peers, who tell the rest; nothing is said or heard after that."""
        self._peers = peers
        goodbye = replace(self._ack, rumours=(self.membership.leave(),))
        keys = self.helpers(self._replica.key, FAREWELLS)
        self._outbox += [(peer, goodbye) for key in keys if (peer := self._directory.peer_of(key)) is not None]

    # What the detector may do: see `Means`

    def ping(self, key: int) -> None:
        """See `Means.ping`. The node is told what is held against it."""
        belief = self.membership.belief(key)
        rumours = (belief.rumour(key),) if belief is not None and belief.state != State.ALIVE else ()
        self._call(key, Call(self._replica.key, Ask.PING, rumours=rumours))

    def ask(self, helper: int, target: int) -> None:
        """See `Means.ask`."""
        self._call(helper, Call(self._replica.key, Ask.PING_REQUEST, self._replica.key, target))

    def helpers(self, target: int, count: int) -> list[int]:
        """See `Means.helpers`."""
        draws = self._random.sample(self._peers, min(len(self._peers), 4 * count + 4))  # some are gone or unknown
        keys = dict.fromkeys(self._directory.key_at(peer) for peer in draws)
        return [key for key in keys if key is not None and key != target and self.membership.state(key) == State.ALIVE][:count]

    def accuse(self, key: int, now: int, rule: str) -> None:
        """See `Means.accuse`. The accused is told at once."""
        if self.membership.accuse(key, now, rule):
            self.ping(key)

    def condemn(self, key: int, now: int, rule: str) -> None:
        """See `Means.condemn`."""
        self.membership.condemn(key, now, rule)

    def _call(self, key: int, call: Call) -> None:
        peer = self._directory.peer_of(key)
        if peer is not None:
            self._outbox.append((peer, call))

    def _answer(self, call: Call, source: Peer, now: int) -> None:
        """Answer a ping, or carry a request or its answer one hop on."""
        me = self._replica.key
        if call.kind == Ask.PING:
            self._outbox.append((source, self._ack))
        elif call.kind == Ask.PING_REQUEST and call.target == me:
            self._outbox.append((source, Call(me, Ask.INDIRECT_ACK, call.requester, me)))
            self._call(call.requester, self._ack)
        elif call.kind == Ask.PING_REQUEST and call.requester == call.sender:
            self._outbox.append((source, self._ack))
            self._call(call.target, Call(me, Ask.PING_REQUEST, call.requester, call.target))
        elif call.kind == Ask.INDIRECT_ACK and call.requester == me:
            self.indirect.pop(call.target, None)
            self.indirect[call.target] = call.sender, now
            if len(self.indirect) > MOST_CONTACTS:
                del self.indirect[next(iter(self.indirect))]
            self.detector.heard(call.target, now)
        elif call.kind == Ask.INDIRECT_ACK and call.target == call.sender:
            self._call(call.requester, Call(me, Ask.INDIRECT_ACK, call.requester, call.target))

    def _hear(self, rumours: Sequence[Rumour], source: Peer, before: int, now: int) -> tuple[Rumour, ...]:
        """Take rumours; returns what their teller should be told. Whoever accuses this node itself gets an answer in any case."""
        membership, incarnation = self.membership, self.membership.incarnation
        answers = tuple(dict.fromkeys(better for rumour in rumours if (better := membership.hear(rumour, now)) is not None))
        if membership.incarnation > incarnation:
            self.awareness.worsen()
        if any(answer.key == self._replica.key for answer in answers) and all(peer != source for peer, _ in self._outbox[before:]):
            self._outbox.append((source, self._ack))
        return answers

    def _doubt(self, now: int) -> tuple[Rumour, ...]:
        """Look for mistakes: ask those about to be held dead, and ping some of the dead; returns a question about one of them.

        The pings are so many that all nodes together try each of the departed as often as the settings say; those who left are tried as
        well, because where one lived, its next life may be. The question is for the partner of the round: it finds those few mistakes that
        a refutation has missed.
        """
        membership, random = self.membership, self._random
        for key in membership.last_calls(now):
            self.ping(key)
        departed = list(membership.departed)
        pings = int(len(departed) / membership.live * self._retry_share + random.random())
        tried = random.sample(departed, min(max(1, pings), MOST_RETRIES, len(departed)))
        for key in tried[:pings]:
            self.ping(key)
        dead = [key for key in tried if membership.state(key) == State.DEAD]
        return (membership.question(dead[0]),) if dead else ()

    def _note(self, now: int) -> None:
        """Take note of origins that came, or that a younger generation replaced."""
        for identity in self._replica.arrived:
            self.events.append(Joined(now, identity.key, identity.name))
        for key, younger in self._replica.superseded:
            self.membership.superseded(key, younger, now)
        self._replica.arrived.clear()
        self._replica.superseded.clear()

    def _tell(self, before: int, source: Peer | None = None, sender: int | None = None, answers: tuple[Rumour, ...] = ()) -> None:
        """Let rumours ride on the messages in the outbox after the first `before`: first `answers` on those that go to `source`.

        `sender` is the key of the node there.
        """
        membership = self.membership
        outbox: list[tuple[Peer, Any]] = self._outbox
        for i in range(before, len(outbox)):
            peer, message = outbox[i]
            bare = message.size - rumours_size(message.rumours)
            room = (1 << 16 if message.stream else self._limit) - bare
            back = peer == source
            first = message.rumours or self._owed(sender if back else self._directory.key_at(peer))
            if back and answers:
                first = tuple(dict.fromkeys((*answers, *first)))
            size = rumours_size(first)
            while size > room:
                first = first[:-1]
                size = rumours_size(first)
            taken = membership.rumours.take(room - size, self._replica.roster[0]) if membership.rumours.count else []
            riding = (*first, *(rumour for rumour in taken if rumour not in first))
            if not riding or message.rumours == riding:
                continue
            if isinstance(message, Call):
                outbox[i] = peer, replace(message, rumours=riding)
            else:
                outbox[i] = peer, replace(message, rumours=riding, size=bare + rumours_size(riding))

    def _owed(self, key: int | None) -> tuple[Rumour, ...]:
        """What a message must say whatever else is news: what is held against its recipient."""
        belief = None if key is None else self.membership.belief(key)
        return () if key is None or belief is None or belief.state == State.ALIVE else (belief.rumour(key),)
