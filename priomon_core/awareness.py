"""How far a node trusts its own judgement: the local health of Lifeguard (Dadgar, Phillips, Currey 2017).

A node whose probes fail while nobody else's do is probably the one in trouble. It then waits longer before it judges others: all its
probe time-outs are multiplied by one more than its score, which is 0 in good health.
"""

from __future__ import annotations

WORST = 8  # as in Lifeguard: time-outs grow at most ninefold


class Awareness:
    """The score of one node, from 0 (healthy) to `WORST`."""

    __slots__ = ("score",)

    def __init__(self) -> None:
        self.score = 0

    def improve(self) -> None:
        """A probe was answered."""
        if self.score:
            self.score -= 1

    def worsen(self, by: int = 1) -> None:
        """Something happened that a healthy node seldom meets: a late timer, a suspicion of itself, helpers that keep silent."""
        self.score = min(self.score + by, WORST)

    def scale(self, timeout: int) -> int:
        """A time-out (ns) as this node should use it now."""
        return timeout * (self.score + 1)
