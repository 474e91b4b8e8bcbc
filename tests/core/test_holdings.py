"""What an agent holds: slots in the order of keys, generations, room, and the limits of a row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core import holdings
from priomon_core.errors import VersionOverflowError
from priomon_core.holdings import AgentReplica
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN, CPU, Metric
from priomon_core.octets import LARGEST_VERSION
from priomon_core.wire import Introduction, introduction_excess, level_size

HOME = Address("10.0.0.1", 7946)
ME = Identity("me", 5, HOME)


def hear(replica: AgentReplica, identity: Identity, version: int) -> int | None:
    """Take an introduction, as frames.py does, without a message around it; returns the slot."""
    slot = replica.introduce(identity)
    if slot is not None:
        replica.values.store(slot, Introduction(identity, version, 0, ((0, version),)), 0)
        replica.versions[slot] = version
        replica.survey()
    return slot


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=30))
def test_the_highest_generation_of_a_name_stays(heard: list[tuple[int, int]]) -> None:
    replica = AgentReplica(ME, BUILT_IN)
    replica.publish(((0, 1),), 0)
    for name, generation in heard:
        hear(replica, Identity(f"n{name}", generation, Address(f"10.0.0.{generation}", 1)), generation)
    best: dict[str, int] = {"me": 1}
    for name, generation in heard:
        best[f"n{name}"] = max(generation, best.get(f"n{name}", 0))
    values = replica.values
    found = {values.identity(slot).name: version for slot, version in enumerate(replica.versions)}
    assert found == best
    assert values.keys == sorted(values.keys) and len(values.keys) == len(replica.versions) == len(best)
    assert values.keys[replica.own] == ME.key
    assert replica.roster == (len(best), sum(values.keys) % (1 << 32))
    for slot, version in enumerate(replica.versions):
        assert values.changes(slot, 0, version) == ((0, version),)
        assert values.introduction[slot] == introduction_excess(values.identity(slot))


def test_a_dropped_generation_leaves_no_trace_when_it_is_named_again() -> None:
    replica = AgentReplica(ME, BUILT_IN)
    old, new = Identity("other", 1, HOME), Identity("other", 2, Address("10.9.9.9", 1))
    hear(replica, new, 1)
    assert replica.slot(old.key) is not None  # a digest of somebody who has not heard yet
    assert hear(replica, old, 9) is None
    assert replica.holdings.find(old.key) is None
    assert replica.holdings.current("other") == new


def test_an_origin_may_be_found_at_a_new_address() -> None:
    replica = AgentReplica(ME, BUILT_IN)
    hear(replica, Identity("other", 1, HOME), 1)
    moved = Identity("other", 1, Address("host.example", 99))
    slot = hear(replica, moved, 2)
    assert slot is not None and replica.values.identity(slot) == moved
    assert replica.values.introduction[slot] == introduction_excess(moved)


@pytest.mark.parametrize("generation", [4, 5, 6])
def test_nobody_tells_a_node_who_it_is(generation: int) -> None:
    replica = AgentReplica(ME, BUILT_IN)
    replica.publish(((0, 1),), 0)
    hear(replica, Identity("me", generation, Address("6.6.6.6", 6)), 9)
    assert replica.values.keys[replica.own] == ME.key == replica.key
    assert replica.values.identity(replica.own) == ME and replica.versions[replica.own] == 1


def test_room_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "MOST_ORIGINS", 3)
    replica = AgentReplica(ME, BUILT_IN)
    a, b, c = (Identity(name, 1, HOME) for name in "abc")
    assert hear(replica, a, 1) is not None and hear(replica, b, 1) is not None
    assert replica.slot(c.key) is None and hear(replica, c, 1) is None
    assert replica.slot(a.key) == replica.holdings.find(a.key)
    assert hear(replica, Identity("a", 2, HOME), 1) is not None  # takes the room of the generation before


def test_what_is_only_named_is_not_known() -> None:
    replica = AgentReplica(ME, BUILT_IN)
    assert replica.roster == (0, 0)
    replica.publish(((0, 1),), 0)
    assert replica.roster == (1, ME.key)
    slot = replica.slot(ME.key ^ 1)
    replica.survey()
    assert replica.roster == (1, ME.key) and slot is not None
    with pytest.raises(LookupError, match=f"origin {ME.key ^ 1:08x} has not been introduced"):
        replica.values.identity(slot)


def test_publications_are_numbered_and_remembered() -> None:
    metrics = (CPU, Metric("t", "K", 1.0, signed=True))
    replica = AgentReplica(ME, metrics)
    assert [replica.publish(changes, now) for now, changes in enumerate([((0, 7), (1, -70)), ((1, 3),)])] == [1, 2]
    values = replica.values
    assert values.changes(0, 0, 2) == ((0, 7), (1, 3)) and values.changes(0, 1, 2) == ((1, 3),)
    assert list(values.changed) == [1, 2]
    assert list(values.width) == [level_size(metrics[0], 7), level_size(metrics[1], 3)]
    assert values.age(0, 2, now=5) == 4


def test_versions_end() -> None:
    replica = AgentReplica(ME, BUILT_IN)
    replica.versions[0] = LARGEST_VERSION - 1
    assert replica.publish(((0, 1),), 0) == LARGEST_VERSION
    with pytest.raises(VersionOverflowError, match="origin 'me' has used all 4398046511103 versions of its generation; restart it"):
        replica.publish(((0, 2),), 0)
    assert replica.versions[0] == LARGEST_VERSION and replica.values.changes(0, 0, LARGEST_VERSION) == ((0, 1),)


def test_what_was_forgotten_is_refused_until_it_is_admitted() -> None:
    replica = AgentReplica(ME, BUILT_IN)
    replica.publish(((0, 1),), 0)
    other = Identity("other", 1, Address("10.0.0.2", 1))
    hear(replica, other, 3)
    assert replica.key_at(other.address) == other.key and replica.peer_of(other.key) == other.address
    replica.forget(other.key)
    assert replica.roster[0] == 1 and replica.key_at(other.address) is replica.peer_of(other.key) is None
    assert hear(replica, other, 4) is None and replica.slot(other.key) is None
    replica.admit(other.key)
    assert hear(replica, other, 4) is not None and replica.known(other.key) is not None
    assert list(replica.arrived) == [other, other]


def test_an_address_belongs_to_who_was_introduced_last() -> None:
    replica = AgentReplica(ME, BUILT_IN)
    address = Address("10.0.0.2", 1)
    first, second = Identity("first", 1, address), Identity("second", 1, address)
    hear(replica, first, 1)
    hear(replica, second, 1)
    assert replica.key_at(address) == second.key
    replica.forget(first.key)
    assert replica.key_at(address) == second.key


def test_slots_that_nobody_introduced_are_given_back() -> None:
    replica = AgentReplica(ME, BUILT_IN)
    replica.publish(((0, 1),), 0)
    hear(replica, Identity("other", 1, HOME), 1)
    for key in (7, 4_000_000_000):
        assert replica.slot(key) is not None
    replica.tidy()
    assert {replica.values.identity(slot).name for slot in range(len(replica.versions))} == {"me", "other"}
    assert replica.values.keys[replica.own] == ME.key


def test_a_restart_is_noted_once() -> None:
    replica = AgentReplica(ME, BUILT_IN)
    old, new = Identity("other", 1, HOME), Identity("other", 2, Address("10.9.9.9", 1))
    for identity in (old, new, old, new):
        hear(replica, identity, 1)
    assert list(replica.superseded) == [(old.key, new.key)] and list(replica.arrived) == [old]
