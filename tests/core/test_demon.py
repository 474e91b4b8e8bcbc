"""The prototype's exchange: both sides agree after it, and every leg weighs what its records, counters and names do."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from priomon_core.config import GossipSettings
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN
from priomon_core.replica import Replica
from priomon_core.strategies.demon import COUNTER, NAME, RECORD, REQUEST, Demon
from priomon_sim.ledger import Ledger

IDENTITIES = sorted((Identity(f"node{i}", 1, Address("10.0.0.1", 1)) for i in range(12)), key=lambda identity: identity.key)
A, B = 0, 1  # who posts, who answers


@st.composite
def knowledge(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """What A and B know of every origin; nobody knows a node better than it knows itself."""
    version = st.integers(0, 4)
    count = draw(st.integers(2, len(IDENTITIES)))
    a, b = (draw(st.lists(version, min_size=count, max_size=count)) for _ in range(2))
    a[A], b[B] = max(1, a[A], b[A]), max(1, a[B], b[B])
    return a, b


def node(own: int, versions: list[int]) -> Demon:
    ledger = Ledger(IDENTITIES[: len(versions)], BUILT_IN)
    return Demon(Replica(ledger, array("q", versions), own), GossipSettings())


def exchange(a: Demon, b: Demon) -> list[int]:
    """Run an exchange that A begins; returns the sizes of its messages."""
    sizes = []
    a.round([B], 0)
    for source, target in ((a, b), (b, a), (a, b), (b, a)):
        ((peer, message),) = source.outbox
        assert message.stream and peer == target.replica.own
        sizes.append(message.size)
        source.outbox.clear()
        target.receive(message, source.replica.own, 0)
    assert not a.outbox and not b.outbox
    return sizes


@given(knowledge())
def test_an_exchange_makes_both_sides_equal(known: tuple[list[int], list[int]]) -> None:
    a, b = node(A, known[0]), node(B, known[1])
    exchange(a, b)
    best = [max(pair) for pair in zip(*known, strict=True)]
    assert list(a.replica.versions) == list(b.replica.versions) == best
    assert a.replica.roster == b.replica.roster == a.replica.roster_of(0, len(best))


@given(knowledge())
def test_each_leg_weighs_what_it_carries(known: tuple[list[int], list[int]]) -> None:
    a, b = known
    others = [pair for origin, pair in enumerate(zip(a, b, strict=True)) if origin != A]
    requested = sum(mine > theirs for mine, theirs in others)
    returned = sum(theirs >= mine and theirs > 0 for mine, theirs in others)
    assert exchange(node(A, a), node(B, b)) == [
        REQUEST + RECORD + COUNTER * (sum(version > 0 for version in a) - 1),
        REQUEST + RECORD * returned + NAME * requested,
        REQUEST + RECORD * requested,
        REQUEST,
    ]


@given(knowledge())
def test_every_record_travels_once_in_one_direction(known: tuple[list[int], list[int]]) -> None:
    a, b = node(A, known[0]), node(B, known[1])
    _, answer, records, _ = exchange(a, b)
    assert answer // RECORD + records // RECORD >= sum(max(pair) > 0 for pair in zip(*known, strict=True)) - 1


@given(knowledge(), st.integers(0, 11))
def test_the_departed_are_in_nobodys_records_who_does_not_know_them(known: tuple[list[int], list[int]], gone: int) -> None:
    gone = gone % len(known[0])
    if gone in (A, B):
        return
    a, b = node(A, known[0]), node(B, known[1])
    plain = exchange(node(A, known[0]), node(B, known[1]))
    for one in (a, b):
        one.replica.withhold(IDENTITIES[gone].key, True)
    sizes = exchange(a, b)
    mine, theirs = known[0][gone], known[1][gone]
    best = max(mine, theirs)
    assert [a.replica.versions[gone], b.replica.versions[gone]] == ([mine, theirs] if 0 in (mine, theirs) else [best, best])
    leg = 1 if theirs > mine == 0 else 2 if mine > theirs == 0 else None
    assert sizes == [size - RECORD * (i == leg) for i, size in enumerate(plain)]


def test_records_for_an_older_generation_are_dropped() -> None:
    a, b = node(A, [1, 0, 0]), node(B, [0, 1, 1])
    a.round([B], 0)
    b.receive(a.outbox[0][1], A, 0)
    ((_, answer),) = b.outbox
    answer.recipient ^= 1
    a.outbox.clear()
    a.receive(answer, B, 0)
    assert list(a.replica.versions) == [1, 0, 0] and a.outbox == []
