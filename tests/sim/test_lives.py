"""Lives: generations of nodes in the order of their keys, and who is believed to be where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.metrics import CPU
from priomon_core.replica import Replica
from priomon_sim.ledger import Ledger
from priomon_sim.lives import Addresses, Lives, identities

GENERATIONS = st.lists(st.integers(1, 4), min_size=2, max_size=30)


@given(GENERATIONS)
def test_every_generation_of_every_node_has_a_slot_in_the_order_of_keys(generations: Sequence[int]) -> None:
    lives = Lives.of(generations)
    keys = [origin.key for origin in lives.origins]
    assert keys == sorted(set(keys))
    assert lives.names == [identity.name for identity in identities(len(generations))]
    for node, slots in enumerate(lives.slots):
        assert [lives.origins[slot].generation for slot in slots] == [*range(1, generations[node] + 1)]
        assert {lives.origins[slot].name for slot in slots} == {lives.names[node]}
        assert {lives.origins[slot].address for slot in slots} == {identities(len(generations))[node].address}
        assert [lives.node[slot] for slot in slots] == [node] * len(slots)
        assert [lives.younger[slot] for slot in slots] == [*slots[1:], -1]
    assert sorted(slot for slots in lives.slots for slot in slots) == [*range(sum(generations))]
    assert lives.several == (max(generations) > 1)


def test_nodes_of_one_life_are_their_own_slots() -> None:
    lives = Lives.of([1] * 7)
    assert lives.slots == [[node] for node in range(7)]
    assert lives.origins == identities(7)


@given(GENERATIONS, st.data())
def test_a_node_is_where_its_youngest_known_life_is(generations: Sequence[int], data: st.DataObject) -> None:
    lives = Lives.of(generations)
    known = data.draw(st.lists(st.booleans(), min_size=len(lives.origins), max_size=len(lives.origins)))
    ledger = Ledger(lives.origins, (CPU,), lives.younger)
    addresses = Addresses(lives, Replica(ledger, np.array(known, np.uint16), 0))
    for node, slots in enumerate(lives.slots):
        there = [slot for slot in slots if known[slot]]
        assert addresses.key_at(node) == (lives.origins[there[-1]].key if there else None)
        for slot in slots:
            assert addresses.peer_of(lives.origins[slot].key) == (node if known[slot] else None)
