"""Whom an agent may contact: known origins, seeds, and what it remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from priomon_core.identity import Address
from priomon_node.peers import MOST_REMEMBERED, Peers, PeersError

OWN, A, B, C = (Address(f"10.0.0.{i}", 7946) for i in range(4))
SEED = Address("cluster.test", 7946)


async def both(seed: Address) -> Sequence[Address]:
    assert seed == SEED
    return [OWN, A, B]


async def nobody(seed: Address) -> Sequence[Address]:
    raise OSError("no such host")


def test_a_seed_stands_for_all_its_addresses_but_the_own() -> None:
    peers = Peers([OWN], [SEED])
    assert peers.list == []
    asyncio.run(peers.resolve(both))
    assert (peers.list, peers.unresolved) == ([A, B], [])


def test_a_seed_that_does_not_resolve_is_told_and_keeps_what_it_had() -> None:
    peers = Peers([OWN], [SEED])
    asyncio.run(peers.resolve(nobody))
    assert (peers.list, peers.unresolved) == ([], [SEED])
    asyncio.run(peers.resolve(both))
    asyncio.run(peers.resolve(nobody))
    assert (peers.list, peers.unresolved) == ([A, B], [SEED])


def test_known_origins_come_first_and_seeds_stay() -> None:
    peers = Peers([OWN], [SEED])
    asyncio.run(peers.resolve(both))
    assert peers.alone
    peers.know([C, OWN, A, Address("a-host-name", 1)])
    assert not peers.alone
    assert peers.list == [C, A, B]


def test_peers_are_remembered_and_used_while_alone(tmp_path: Path) -> None:
    file = tmp_path / "peers.json"
    before = Peers([OWN], [], file)
    before.know([A, B])
    before.save()
    after = Peers([OWN], [], file)
    assert after.list == [A, B]
    after.know([C])
    assert after.list == [C]


@pytest.mark.parametrize("spoilt", ["", "{", "[1]", '[["host", "x"]]', "null"])
def test_a_spoilt_memory_is_no_error(tmp_path: Path, spoilt: str) -> None:
    file = tmp_path / "peers.json"
    file.write_text(spoilt)
    assert Peers([OWN], [], file).list == []


def test_nothing_known_never_replaces_what_is_remembered(tmp_path: Path) -> None:
    file = tmp_path / "peers.json"
    peers = Peers([OWN], [], file)
    peers.know([A])
    peers.save()
    Peers([OWN], [], file).save()
    assert Peers([OWN], [], file).list == [A]


def test_memory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    peers = Peers([OWN], [], tmp_path / "missing" / "peers.json")
    peers.know([A])
    with pytest.raises(PeersError, match="check the state directory"):
        peers.save()


def test_what_was_forgotten_is_tried_one_at_a_time() -> None:
    peers = Peers([OWN], [])
    peers.know([A, B, C])
    peers.know([C])
    assert peers.list == [C]  # who was known a moment ago may have moved
    tried = []
    for _ in range(4):
        asyncio.run(peers.resolve(nobody))
        assert peers.list[0] == C
        tried += peers.list[1:]
    assert tried == [B, A, B, A]
    peers.know([])
    assert set(peers.list) == {A, B, C}


def test_what_is_remembered_is_bounded() -> None:
    peers = Peers([OWN], [])
    for number in range(2 * MOST_REMEMBERED):
        peers.know([Address("10.0.0.1", 1 + number)])
    peers.know([])
    assert len(peers.list) == MOST_REMEMBERED
    assert peers.list[0] == Address("10.0.0.1", 2 * MOST_REMEMBERED)
