"""Anti-entropy between agents in memory: datagrams as bytes, in virtual time, lost, doubled and overtaken by a seeded generator."""

from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from priomon_core.config import NO_LIMIT, SECOND, GossipSettings
from priomon_core.frames import from_frame, to_frame
from priomon_core.holdings import AgentReplica
from priomon_core.identity import Address, Identity
from priomon_core.messages import Delta, Digest
from priomon_core.metrics import BUILT_IN, Metric, Priority
from priomon_core.priority import Change
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_core.wire import KEY_END, Codec, DeltaFrame, DigestFrame, News

METRICS = (*BUILT_IN, Metric("temperature", "K", 0.5, Priority.CRITICAL, signed=True))
CODEC = Codec("test", METRICS)
STEP = SECOND // 10  # how often datagrams are delivered
SETTINGS = st.builds(
    GossipSettings,
    fanout=st.integers(1, 2),
    datagram_limit=st.sampled_from([256, 300, 1200, NO_LIMIT]),
    burst=st.sampled_from([1, 2, 8]),
    settling=st.integers(0, 3),
)
TIGHT = GossipSettings(datagram_limit=256, burst=1)


@dataclass
class Member:
    """A node, and the highest version of each origin that it ever held."""

    identity: Identity
    replica: AgentReplica
    strategy: Scuttlebutt
    highest: dict[int, int] = field(default_factory=dict)


class Cluster:
    """Agents that know each other's names. Every message is checked on its way, every node after each message.

    `history[key][version - 1]` are the levels of an origin as it published them, by metric.
    """

    def __init__(self, count: int, gossip: GossipSettings, seed: int, loss: float = 0.0) -> None:
        self.gossip = gossip
        self.random = Random(seed)
        self.loss = loss
        self.now = 0
        self.history: dict[int, list[dict[int, int]]] = {}
        self.members: dict[str, Member] = {}
        self.flying: list[tuple[int, str, str, bytes]] = []  # due, source, target, payload
        for i in range(count):
            self.start(f"node{i}", 1)

    def start(self, name: str, generation: int) -> None:
        identity = Identity(name, generation, Address(f"10.0.{generation}.1", 7946))
        replica = AgentReplica(identity, METRICS)
        self.members[name] = Member(identity, replica, Scuttlebutt(replica, self.gossip))
        self.history[identity.key] = []
        self.publish(name, [(metric, self.level(metric)) for metric in range(len(METRICS))])

    def level(self, metric: int) -> int:
        return self.random.randrange(-300 if METRICS[metric].signed else 0, 300)

    def publish(self, name: str, changes: list[Change]) -> None:
        member = self.members[name]
        member.replica.publish(changes, self.now)
        versions = self.history[member.identity.key]
        versions.append({**(versions[-1] if versions else {}), **dict(changes)})

    def publish_some(self) -> None:
        for name in self.members:
            if chosen := [m for m in range(len(METRICS)) if self.random.random() < 0.3]:
                self.publish(name, [(metric, self.level(metric)) for metric in chosen])

    def round(self) -> None:
        """One period: every node begins a round, and datagrams arrive."""
        for name, member in self.members.items():
            others = [other for other in self.members if other != name]
            member.strategy.round(self.random.sample(others, min(self.gossip.fanout, len(others))), self.now)
            self.flush(name)
        for _ in range(SECOND // STEP):
            self.now += STEP
            self.deliver()

    def flush(self, name: str) -> None:
        member = self.members[name]
        for peer, message in member.strategy.outbox:
            payload = CODEC.encode(to_frame(message, member.replica, self.now))
            assert len(payload) == message.size <= self.gossip.datagram_limit
            for _ in range(self.random.choice((1, 1, 1, 2)) if self.loss else 1):
                if self.random.random() >= self.loss:
                    delay = self.random.randrange(1, 15) if self.loss else 1
                    self.flying.append((self.now + delay * STEP, name, peer, payload))
        member.strategy.outbox.clear()

    def deliver(self) -> None:
        due = [datagram for datagram in self.flying if datagram[0] <= self.now]
        self.flying = [datagram for datagram in self.flying if datagram[0] > self.now]
        self.random.shuffle(due)
        for _, source, target, payload in due:
            member = self.members[target]
            message = from_frame(CODEC.decode(payload), member.replica, len(payload))
            member.strategy.receive(message, source, self.now)
            self.check(member)
            self.flush(target)

    def check(self, member: Member) -> None:
        """What must hold at any time: versions never go back, no gaps, one generation per name, and a node knows itself best."""
        replica = member.replica
        assert replica.values.keys == sorted(replica.values.keys)
        assert replica.values.keys[replica.own] == member.identity.key
        assert replica.versions[replica.own] == len(self.history[member.identity.key])
        names = set()
        for slot, version in enumerate(replica.versions):
            if version:
                key, name = replica.values.keys[slot], replica.values.identity(slot).name
                assert version >= member.highest.get(key, 0), "a version went back, or a dropped origin came back"
                member.highest[key] = version
                assert dict(replica.values.changes(slot, 0, version)) == self.history[key][version - 1]
                assert name not in names, "two generations of one node"
                names.add(name)
        known = {replica.values.identity(slot).name: key for slot, key in enumerate(replica.values.keys) if replica.versions[slot]}
        for key in member.highest.keys() - known.values():
            member.highest[key] = 1 << 60  # dropped: no version of it may be held again

    def converged(self) -> bool:
        newest = {member.identity.key: len(self.history[member.identity.key]) for member in self.members.values()}
        return all(
            {key: v for key, v in zip(member.replica.values.keys, member.replica.versions, strict=True) if v} == newest
            for member in self.members.values()
        )

    def rounds_to_converge(self, most: int) -> int:
        for rounds in range(most):
            if self.converged():
                return rounds
            self.round()
        pytest.fail(f"not converged after {most} rounds")


@settings(max_examples=40)
@given(st.integers(2, 7), SETTINGS, st.integers(0, 2**32), st.sampled_from([0.0, 0.2, 0.5]))
@example(7, TIGHT, 1, 0.5)
def test_a_cluster_converges(count: int, gossip: GossipSettings, seed: int, loss: float) -> None:
    cluster = Cluster(count, gossip, seed, loss)
    for _ in range(5):
        cluster.publish_some()
        cluster.round()
    cluster.rounds_to_converge(80)


@settings(max_examples=30)
@given(st.integers(3, 6), SETTINGS, st.integers(0, 2**32), st.sampled_from([0.0, 0.3]), st.integers(0, 8))
def test_a_restarted_node_is_a_new_origin(count: int, gossip: GossipSettings, seed: int, loss: float, before: int) -> None:
    cluster = Cluster(count, gossip, seed, loss)
    for _ in range(before):
        cluster.publish_some()
        cluster.round()
    cluster.start("node0", 2)
    for _ in range(3):
        cluster.publish_some()
        cluster.round()
    cluster.rounds_to_converge(80)
    for _ in range(5):  # what is still on its way changes nothing
        cluster.round()
        assert cluster.converged()
    address = cluster.members["node0"].identity.address
    for member in cluster.members.values():
        known = member.replica.holdings.current("node0")
        assert known is not None and (known.generation, known.address) == (2, address)


@pytest.mark.parametrize("gossip", [TIGHT, replace(TIGHT, burst=3), GossipSettings()])
def test_a_larger_cluster_converges_through_small_datagrams(gossip: GossipSettings) -> None:
    cluster = Cluster(60, gossip, seed=3)
    for _ in range(3):
        cluster.publish_some()
        cluster.round()
    cluster.rounds_to_converge(120)


def test_a_settled_cluster_sends_digests_without_keys() -> None:
    cluster = Cluster(6, GossipSettings(settling=2), seed=5)
    cluster.rounds_to_converge(30)
    for _ in range(3):
        cluster.round()
    member = cluster.members["node0"]
    member.strategy.round(["node1"], cluster.now)
    ((_, digest),) = member.strategy.outbox
    assert digest.roster is not None
    assert digest.size == 8 + 4 + 1 + 6  # header, roster, count, and a byte per version


def test_a_delta_for_an_older_generation_is_dropped() -> None:
    cluster = Cluster(2, GossipSettings(), seed=1)
    asking, telling = cluster.members["node0"], cluster.members["node1"]
    asking.strategy.round(["node1"], 0)
    digest = from_frame(CODEC.decode(CODEC.encode(to_frame(asking.strategy.outbox[0][1], asking.replica, 0))), telling.replica, 0)
    telling.strategy.receive(digest, "node0", 0)
    ((_, delta),) = telling.strategy.outbox
    frame = to_frame(delta, telling.replica, 0)
    cluster.start("node0", 2)
    restarted = cluster.members["node0"]
    restarted.strategy.receive(from_frame(frame, restarted.replica, delta.size), "node1", 0)
    assert list(restarted.replica.versions).count(0) == len(restarted.replica.versions) - 1
    assert restarted.strategy.outbox == []
    asking.strategy.receive(from_frame(frame, asking.replica, delta.size), "node1", 0)
    assert 0 not in asking.replica.versions


def stocked(count: int, gossip: GossipSettings, published: int) -> tuple[Scuttlebutt, list[int]]:
    """A node that has news of `count` origins, all heard at `published`, metric i % 5 of the i-th; and their keys."""
    replica = AgentReplica(Identity("me", 1, Address("10.0.0.1", 7946)), METRICS)
    others = sorted((Identity(f"node{i:02}", 1, Address("10.0.0.2", 7946)) for i in range(count)), key=lambda other: other.key)
    for i, other in enumerate(others):
        slot = replica.introduce(other)
        assert slot is not None
        replica.values.store(slot, News(other.key, 1, 0, ((i % len(METRICS), 5),)), published)
        replica.versions[slot] = 1
    replica.survey()
    return Scuttlebutt(replica, gossip), [other.key for other in others]


def told(strategy: Scuttlebutt, now: int) -> set[int]:
    """The keys of what the node tells one who knows nothing, within its burst."""
    assert isinstance(strategy.replica, AgentReplica)
    empty = from_frame(DigestFrame(1, 0, KEY_END - 1, None, (), ()), strategy.replica, 0)
    strategy.receive(empty, "peer", now)
    keys: set[int] = set()
    assert 0 < len(strategy.outbox) <= strategy.settings.burst
    for _, delta in strategy.outbox:
        frame = to_frame(delta, strategy.replica, now)
        assert isinstance(frame, DeltaFrame) and len(CODEC.encode(frame)) == delta.size <= strategy.settings.datagram_limit
        keys |= {entry.key for entry in frame.introductions}
    strategy.outbox.clear()
    return keys


@pytest.mark.parametrize("burst", [1, 2, 3])
def test_where_not_all_fits_the_urgent_goes_first(burst: int) -> None:
    strategy, keys = stocked(40, replace(TIGHT, burst=burst), published=0)
    urgency = {key: METRICS[i % len(METRICS)].priority for i, key in enumerate(keys)}
    for _ in range(6):
        sent = sorted(urgency[key] for key in told(strategy, 0))
        assert len(sent) < 40
        assert sent == sorted(urgency.values())[: len(sent)]


@pytest.mark.parametrize("burst", [1, 2, 3])
def test_where_all_is_equally_urgent_each_has_its_turn(burst: int) -> None:
    """Also when whoever asks never gets the answer."""
    strategy, keys = stocked(40, replace(TIGHT, burst=burst), published=0)
    long_after = 100 * SECOND
    heard = [told(strategy, long_after) for _ in range(80)]
    assert all(len(once) < 40 for once in heard)
    assert set().union(*heard) == set(keys)


def test_an_exchange_is_three_messages() -> None:
    cluster = Cluster(2, GossipSettings(), seed=1)
    a, b = cluster.members.values()
    sent = []
    a.strategy.round(["node1"], 0)
    for source, target in ((a, b), (b, a), (a, b)):
        ((_, message),) = source.strategy.outbox
        sent.append(type(message))
        frame = to_frame(message, source.replica, 0)
        target.strategy.receive(from_frame(frame, target.replica, message.size), source.identity.name, 0)
        source.strategy.outbox.clear()
    assert sent == [Digest, Delta, Delta]
    assert cluster.converged() and not b.strategy.outbox
