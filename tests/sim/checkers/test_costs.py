"""Checkers of costs notice bytes that are not counted, datagrams that do not fit, and memory that grows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from priomon_sim.checkers.costs import BytesCounted, DatagramsFit, MemoryBounded
from priomon_sim.checkers.history import Cluster, Kept, Moment, Sending

Make = Callable[..., Moment]


def test_bytes_are_those_of_the_encoding_and_the_headers(cluster: Cluster, moment: Make) -> None:
    checker = BytesCounted(cluster)
    assert list(checker.sent(Sending(0, 0, 40, 40))) == list(checker.sent(Sending(0, 0, 50, 50))) == []
    assert list(checker.see(moment(1, bytes_sent=[146, 0, 0]))) == []
    (found,) = checker.see(moment(1, bytes_sent=[118, 0, 0]))
    assert "has sent 146 B and counted 118 B" in found
    (found,) = checker.see(moment(1, bytes_sent=[146, 10, 0]))
    assert cluster.lives.names[1] in found and "has sent 0 B and counted 10 B" in found


def test_streams_are_not_weighed(cluster: Cluster, moment: Make) -> None:
    checker = BytesCounted(cluster)
    assert list(checker.sent(Sending(0, 0, 3000, None))) == []
    assert list(checker.see(moment(1, bytes_sent=[3000, 0, 0]))) == []
    assert list(DatagramsFit(cluster).sent(Sending(0, 0, 3000, None))) == []


@pytest.mark.parametrize(("size", "encoded", "expected"), [(1200, 1200, 0), (40, 41, 1), (1201, 1201, 1), (1200, 1201, 2)])
def test_datagrams_are_as_long_as_they_claim_and_fit(cluster: Cluster, size: int, encoded: int, expected: int) -> None:
    assert len(list(DatagramsFit(cluster).sent(Sending(0, 2, size, encoded)))) == expected


@pytest.mark.parametrize(
    ("kept", "found"),
    [
        (Kept(0, 16, 3, 3), []),
        (Kept(1, 0, 0, 0), ["1 beliefs about strangers"]),
        (Kept(0, 17, 0, 0), ["17 rumours"]),
        (Kept(0, 0, 4, 0), ["4 tombstones"]),
        (Kept(0, 0, 0, 4), ["4 refusals"]),
        (Kept(9, 99, 10, 4), ["9 beliefs about strangers", "99 rumours", "10 tombstones", "4 refusals"]),
    ],
)
def test_memory_goes_with_the_lives_that_are_known(cluster: Cluster, moment: Make, kept: Kept, found: list[str]) -> None:
    slot = cluster.lives.slots[0][0]
    quiet = moment()
    told = [kept if i == slot else each for i, each in enumerate(quiet.kept)]
    objections = list(MemoryBounded(cluster).see(replace(quiet, kept=told)))
    assert len(objections) == len(found)
    assert all(what in objection for what, objection in zip(found, objections, strict=True))


def test_memory_that_nobody_tells_of_is_not_judged(cluster: Cluster, moment: Make) -> None:
    assert list(MemoryBounded(cluster).see(moment(kept=[None] * len(cluster.lives.origins)))) == []
