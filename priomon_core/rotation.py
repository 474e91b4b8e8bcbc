"""With whom a node speaks next: everybody once before anybody twice (SWIM, section 4.3), which bounds the time to a probe.

The order of a pass is a random one, from a random beginning in steps of a random length that shares no factor with the number of peers.
Unlike a shuffled copy it takes no memory, where a thousand nodes would keep a million entries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd
from random import Random

from priomon_core.strategies.base import Peer


class Rotation:
    """Walks through a list of peers, pass after pass; a list of another length begins a new pass."""

    __slots__ = ("_at", "_left", "_length", "_random", "_step")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._length = self._left = self._at = self._step = 0

    def next(self, peers: Sequence[Peer], count: int, passed_over: Callable[[Peer], bool] | None = None) -> list[Peer]:
        """The next `count` distinct peers, fewer if there are fewer; `passed_over` tells those that have no turn."""
        chosen: list[Peer] = []
        for _ in range(len(peers)):
            if len(chosen) == count:
                break
            if not self._left or self._length != len(peers):
                self._begin(len(peers))
            peer = peers[self._at]
            self._at = (self._at + self._step) % self._length
            self._left -= 1
            if (passed_over is None or not passed_over(peer)) and peer not in chosen:
                chosen.append(peer)
        return chosen

    def _begin(self, length: int) -> None:
        self._length = self._left = length
        self._at = int(self._random.random() * length)
        self._step = 1 + int(self._random.random() * length)
        while gcd(self._step, length) != 1:
            self._step = 1 + int(self._random.random() * length)
