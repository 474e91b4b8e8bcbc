"""What checkers look at: the history of a cluster as moments and messages, which a simulation and a live run can both tell.

Rows and columns are *lives* (see lives.py), generations of nodes, in the order of their keys. A checker is shown all moments and all
messages in their order, and yields what is wrong, in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from priomon_core.config import DetectionSettings, GossipSettings
from priomon_core.rumours import State
from priomon_sim.lives import Lives

UNKNOWN = -1  # in `Moment.held`, beside the values of `State`


@dataclass(frozen=True, slots=True)
class Cluster:
    """What stays as it is in a run. `peers[i]` are the nodes that node i gossips with, `loss` the usual share of datagrams lost.

    A datagram weighs `overhead` bytes beside its message.
    """

    lives: Lives
    peers: Sequence[Sequence[int]]
    gossip: GossipSettings
    detection: DetectionSettings
    loss: float
    overhead: int

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self.lives.slots)

    @property
    def judged(self) -> bool:
        """Whether nodes find out who is alive."""
        return self.detection.detector != "none"

    def name(self, slot: int) -> str:
        """How a life is called in a message."""
        identity = self.lives.origins[slot]
        return identity.name if identity.generation == 1 else f"{identity.name} (generation {identity.generation})"


@dataclass(frozen=True, slots=True)
class Kept:
    """How many entries a node keeps for detection; `strays` are beliefs about lives of which it knows nothing."""

    strays: int
    rumours: int
    tombstones: int
    refusals: int


@dataclass(frozen=True, slots=True)
class Moment:
    """A cluster at `now` (ns).

    Per life: `present` bool (it runs, perhaps without moving), `begun` bool (it has run by now), `newest` (its publications so far) and
    `kept` (None where nothing is told).

    Per pair (observer, origin): `versions`, and `held`, int8: for what the observer holds the origin, `UNKNOWN` if it does not know it.
    Lines of lives that are not present mean nothing.

    `undisturbed` int64 [nodes, nodes]: since when (ns) both nodes run and datagrams pass as usual between them. `calm_since` (ns): since
    when nothing is wrong but that nodes may be down; None: something is wrong now. `bytes_sent` is what each node counts.
    """

    now: int
    present: NDArray[np.bool_]
    begun: NDArray[np.bool_]
    newest: NDArray[np.int64]
    versions: NDArray[np.integer]
    held: NDArray[np.int8]
    undisturbed: NDArray[np.int64]
    calm_since: int | None
    bytes_sent: Sequence[int]
    kept: Sequence[Kept | None]


@dataclass(frozen=True, slots=True)
class Sending:
    """A message that node `source` sends at `at` (ns). `size` is what it claims to weigh, `encoded` what its bytes do.

    Streams have no encoding: None.
    """

    at: int
    source: int
    size: int
    encoded: int | None


def held_as(known: NDArray[np.bool_], beliefs: Iterable[tuple[int | None, int]]) -> tuple[NDArray[np.int8], int]:
    """An observer's line of `Moment.held`, and how many of its beliefs are about strangers.

    `known` bool [lives] are those that it knows something of; `beliefs` its (life or None, state), beside which it holds all alive.
    """
    line, strays = np.where(known, State.ALIVE, UNKNOWN).astype(np.int8), 0
    for slot, state in beliefs:
        if slot is None or not known[slot]:
            strays += 1
        else:
            line[slot] = state
    return line, strays


class Checker:
    """Base of all checkers: sees everything and objects to nothing."""

    def see(self, moment: Moment) -> Iterator[str]:
        """What is wrong at this moment."""
        return iter(())

    def sent(self, sending: Sending) -> Iterator[str]:
        """What is wrong with this message."""
        return iter(())
