"""News of membership, which ride on the messages that are sent anyway (SWIM, section 4.1: infection-style dissemination).

A *rumour* says in which state somebody holds a node. Each node passes a rumour on a number of times that grows with the logarithm of the
cluster's size, those that it told least often first, and then forgets it. In calm there are none, and they take no byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache
from math import ceil, log10
from typing import NamedTuple

from priomon_core.identity import KEY_BYTES
from priomon_core.octets import varint_size

LARGEST_INCARNATION = (1 << 28) - 1  # a node that refutes once a second gets there in eight years
MOST_RUMOURS = 4096  # what a node keeps to pass on; beyond, those told most often are dropped


class State(IntEnum):
    """What a node can be held for. Of two rumours with one incarnation the one with the higher state wins."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3


class Rumour(NamedTuple):
    """`key` is in `state`. `accuser` is the key of who says so, 0 where the node says it of itself (alive, left).

    `incarnation` counts the refutations of the accused: it alone raises it.
    """

    key: int
    state: State
    incarnation: int
    accuser: int = 0


ACCUSATIONS = (State.SUSPECT, State.DEAD)  # what is said by others, and refuted by the accused


@lru_cache(1 << 14)
def rumour_size(rumour: Rumour) -> int:
    """Bytes of a rumour on the wire."""
    return 1 + KEY_BYTES + varint_size(rumour.incarnation) + (KEY_BYTES if rumour.state in ACCUSATIONS else 0)


def rumours_size(rumours: Sequence[Rumour]) -> int:
    """Bytes by which rumours lengthen a message: none if there are none."""
    return varint_size(len(rumours)) + sum(map(rumour_size, rumours)) if rumours else 0


class Rumours:
    """What one node still passes on: `count` rumours. `_shelves[i]` holds those that were told i times, the oldest first."""

    __slots__ = ("_factor", "_shelf_of", "_shelves", "count")

    def __init__(self, factor: int) -> None:
        self._factor = factor
        self.count = 0
        self._shelves: list[dict[Rumour, None]] = [{}]
        self._shelf_of: dict[int, dict[Rumour, int]] = {}

    def add(self, rumour: Rumour) -> None:
        """Pass a rumour on from now; weaker ones about the same node are dropped. One that is being told is not begun again."""
        told = self._shelf_of.get(rumour.key, {})
        for other in list(told):
            if (other.incarnation, other.state) < (rumour.incarnation, rumour.state):
                self._remove(other)
        if rumour not in told:
            if self.count >= MOST_RUMOURS:
                self._remove(next(iter(next(shelf for shelf in reversed(self._shelves) if shelf))))
            self._put(rumour)

    def drop(self, key: int) -> None:
        """Tell nothing more about a node."""
        for rumour in list(self._shelf_of.get(key, ())):
            self._remove(rumour)

    def take(self, room: int, nodes: int) -> list[Rumour]:
        """The rumours for one message with `room` bytes left, in a cluster of `nodes`; each counts as told once more."""
        room -= 2  # how many they are
        limit = self._factor * ceil(log10(nodes + 1))
        taken: list[tuple[Rumour, int]] = []
        for told, shelf in enumerate(self._shelves):
            for rumour in shelf:
                room -= rumour_size(rumour)
                if room < 0:
                    break
                taken.append((rumour, told))
            if room < 0:
                break
        for rumour, told in taken:
            if told + 1 < limit:
                self._move(rumour, told)
            else:
                self._remove(rumour)
        return [rumour for rumour, _ in taken]

    def _put(self, rumour: Rumour) -> None:
        self._shelves[0][rumour] = None
        self._shelf_of.setdefault(rumour.key, {})[rumour] = 0
        self.count += 1

    def _move(self, rumour: Rumour, told: int) -> None:
        """Put a rumour from a shelf on the next one."""
        if told + 1 == len(self._shelves):
            self._shelves.append({})
        del self._shelves[told][rumour]
        self._shelves[told + 1][rumour] = None
        self._shelf_of[rumour.key][rumour] = told + 1

    def _remove(self, rumour: Rumour) -> None:
        about = self._shelf_of[rumour.key]
        del self._shelves[about.pop(rumour)][rumour]
        self.count -= 1
        if not about:
            del self._shelf_of[rumour.key]
