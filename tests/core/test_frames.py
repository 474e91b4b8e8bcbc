"""Rows to frames and back: what a node takes from a frame, and what it leaves out."""

from collections.abc import Sequence

import pytest

from priomon_core.config import SECOND, GossipSettings
from priomon_core.frames import from_frame, to_frame
from priomon_core.holdings import AgentReplica
from priomon_core.identity import Address, Identity
from priomon_core.messages import Delta, Digest
from priomon_core.metrics import BUILT_IN
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_core.wire import KEY_END, Codec, DeltaFrame, DigestFrame, Introduction, News, age_code

CODEC = Codec("test", BUILT_IN)
IDENTITIES = sorted((Identity(f"node{i}", 1, Address("10.0.0.1", 7946)) for i in range(400)), key=lambda identity: identity.key)
KEYS = [identity.key for identity in IDENTITIES]
ALL = ((0, 10), (1, 20), (2, 30), (3, 40))


def replica(own: int, known: Sequence[int] = (), version: int = 1, now: int = 0) -> AgentReplica:
    """A replica of node `own` that has published once and has heard of the nodes `known`."""
    made = AgentReplica(IDENTITIES[own], BUILT_IN)
    made.publish(ALL, now)
    introductions = tuple(Introduction(IDENTITIES[i], version, 0, ALL) for i in known)
    made.learn(delta(DeltaFrame(KEYS[0], KEYS[own], introductions, (), ()), made), now)
    return made


def delta(frame: DeltaFrame, at: AgentReplica) -> Delta:
    message = from_frame(frame, at, 0)
    assert isinstance(message, Delta)
    return message


def digest(frame: DigestFrame, at: AgentReplica) -> Digest:
    message = from_frame(frame, at, 0)
    assert isinstance(message, Digest)
    return message


def versions(at: AgentReplica) -> dict[int, int]:
    """What is held, by index in IDENTITIES."""
    return {KEYS.index(key): v for key, v in zip(at.values.keys, at.versions, strict=True)}


def positional(keys: Sequence[int], low: int = 0, last: int = KEY_END - 1) -> DigestFrame:
    return DigestFrame(KEYS[0], low, last, sum(keys) % KEY_END, None, (5,) * len(keys))


def test_an_explicit_digest_makes_room_for_what_it_names() -> None:
    at = replica(2, [4])
    message = digest(DigestFrame(KEYS[0], 0, KEY_END - 1, None, (KEYS[0], KEYS[4]), (7, 3)), at)
    assert versions(at) == {0: 0, 2: 1, 4: 1}
    assert message.versions is not None and list(message.versions) == [7, 0, 3]
    assert (message.start, message.count, message.roster) == (0, 3, None)


def test_a_digest_of_an_interval_is_aligned_to_it() -> None:
    at = replica(2, [4, 6, 8])
    message = digest(DigestFrame(KEYS[0], KEYS[3], KEYS[7], None, (KEYS[6],), (9,)), at)
    assert (message.start, message.count) == (1, 2)
    assert message.versions is not None and list(message.versions) == [0, 9]


def test_a_positional_digest_is_read_by_a_node_that_knows_the_same() -> None:
    at = replica(2, [4, 6, 8])
    at.slot(KEYS[5])  # named once, never introduced: not one of the known
    message = digest(positional([KEYS[4], KEYS[6]], KEYS[3], KEYS[7]), at)
    assert (message.start, message.count) == (1, 3)
    assert message.versions is not None and list(message.versions) == [5, 0, 5]


@pytest.mark.parametrize("other", [[2, 4], [2, 4, 7], [2, 4, 6, 8]])
def test_a_positional_digest_of_other_origins_is_not_read(other: list[int]) -> None:
    message = digest(positional([KEYS[i] for i in other]), replica(2, [4, 6]))
    assert message.versions is None and message.roster is not None


@pytest.mark.parametrize(
    ("low", "last"), [(0, KEYS[0]), (0, KEYS[3]), (KEYS[3], KEYS[3]), (KEYS[3], KEYS[5]), (KEYS[4], KEYS[7]), (KEYS[9], KEY_END - 1)]
)
@pytest.mark.parametrize("known", [[], [4], [4, 6], [0, 8]])
def test_the_answer_to_an_unreadable_digest_covers_its_interval(low: int, last: int, known: list[int]) -> None:
    """Also where the node knows no origin of the interval at all, so that it hears of them."""
    at = replica(2, known)
    strategy = Scuttlebutt(at, GossipSettings())
    strategy.receive(digest(positional([1, 2, 3], low, last), at), "peer", 0)
    ((_, answer),) = strategy.outbox
    frame = to_frame(answer, at, 0)
    assert isinstance(frame, DigestFrame)
    assert frame.low <= low and last <= frame.last
    assert len(CODEC.encode(frame)) == answer.size
    assert CODEC.decode(CODEC.encode(frame)) == frame


def test_positional_digests_in_parts_heal_a_hole() -> None:
    """Two nodes with 300 common origins and one that lacks a whole part of them agree again, through datagrams of 256 B."""
    gossip = GossipSettings(datagram_limit=256, settling=0)
    full, holed = replica(0, range(1, 400)), replica(399, [i for i in range(399) if not 100 <= i < 200])
    a, b = Scuttlebutt(full, gossip), Scuttlebutt(holed, gossip)
    for turn in range(60):
        a.round(["b"], turn * SECOND)
        while a.outbox or b.outbox:
            for source, target in ((a, b), (b, a)):
                sent, source.outbox[:] = list(source.outbox), []
                for _, message in sent:
                    data = CODEC.encode(to_frame(message, source.replica, turn))
                    assert len(data) == message.size <= 256
                    assert isinstance(target.replica, AgentReplica)
                    target.receive(from_frame(CODEC.decode(data), target.replica, len(data)), "other", turn)
    assert versions(full) == versions(holed) == dict.fromkeys(range(400), 1)


def test_rounds_go_on_where_the_last_digest_ended() -> None:
    at = replica(0, range(1, 400))
    strategy = Scuttlebutt(at, GossipSettings(datagram_limit=256, burst=2))
    seen: list[int] = []
    while len(seen) < 400:
        strategy.round(["peer"], 0)
        for _, message in strategy.outbox:
            frame = to_frame(message, at, 0)
            assert isinstance(frame, DigestFrame)
            keys = frame.keys or tuple(KEYS[len(seen) : len(seen) + message.count])
            assert message.size <= 256 and (frame.low <= keys[0] and keys[-1] <= frame.last)
            seen += keys
        strategy.outbox.clear()
    assert seen[:400] == KEYS


def test_news_of_what_is_known_are_taken() -> None:
    at = replica(2, [4], now=SECOND)
    frame = DeltaFrame(KEYS[0], KEYS[2], (), (News(KEYS[4], 3, age_code(SECOND // 4), ((1, 21),)),), ())
    message = delta(frame, at)
    assert (message.introductions, message.news, message.requests) == (0, 1, 0)
    at.learn(message, SECOND)
    slot = at.holdings.find(KEYS[4])
    assert slot is not None and at.versions[slot] == 3
    assert at.values.changes(slot, 0, 3) == ((0, 10), (1, 21), (2, 30), (3, 40))
    assert at.values.changes(slot, 1, 3) == ((1, 21),)
    assert at.values.age(slot, 3, SECOND) == pytest.approx(SECOND / 4, rel=0.05)
    assert (at.delivered, at.useful) == (2, 2)  # with the introduction
    at.learn(delta(frame, at), 2 * SECOND)
    assert (at.delivered, at.useful) == (3, 2)
    assert at.values.age(slot, 3, SECOND) == pytest.approx(SECOND / 4, rel=0.05)


def test_older_news_leave_the_values_alone() -> None:
    at = replica(2, [4], version=5)
    at.learn(delta(DeltaFrame(KEYS[0], KEYS[2], (), (News(KEYS[4], 4, 0, ((1, 99),)),), ()), at), 0)
    slot = at.holdings.find(KEYS[4])
    assert slot is not None and at.versions[slot] == 5 and at.values.changes(slot, 0, 5) == ALL


def test_news_of_strangers_and_of_the_node_itself_are_left_out() -> None:
    at = replica(2)
    at.slot(KEYS[4])
    frame = DeltaFrame(
        KEYS[0],
        KEYS[2],
        (Introduction(Identity(IDENTITIES[2].name, 1, Address("6.6.6.6", 6)), 9, 0, ALL),),
        (News(KEYS[3], 5, 0, ALL), News(KEYS[4], 5, 0, ALL)),
        (),
    )
    message = delta(frame, at)
    assert (message.introductions, message.news) == (0, 0)
    at.learn(message, 0)
    assert versions(at) == {2: 1, 4: 0}
    assert at.values.identity(at.own) == IDENTITIES[2]


def test_requests_of_strangers_make_no_room() -> None:
    at = replica(2, [4])
    message = delta(DeltaFrame(KEYS[0], KEYS[2], (), (), ((KEYS[3], 0), (KEYS[4], 0))), at)
    assert message.requests == 1
    assert versions(at) == {2: 1, 4: 1}


def test_an_introduction_carries_everything_and_news_what_changed() -> None:
    at = replica(2, [4], now=SECOND)
    at.publish(((1, 25),), 3 * SECOND)
    strategy = Scuttlebutt(at, GossipSettings())
    strategy.receive(digest(DigestFrame(KEYS[7], 0, KEY_END - 1, None, (KEYS[2], KEYS[7]), (1, 6)), at), "peer", 4 * SECOND)
    ((peer, message),) = strategy.outbox
    assert peer == "peer"
    assert to_frame(message, at, 4 * SECOND) == DeltaFrame(
        KEYS[2],
        KEYS[7],
        (Introduction(IDENTITIES[4], 1, age_code(3 * SECOND + 1_000_000), ALL),),  # an age code of 0 stands for 1 ms
        (News(KEYS[2], 2, age_code(SECOND), ((1, 25),)),),
        ((KEYS[7], 0),),
    )
