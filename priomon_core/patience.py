"""How long to wait for an answer before somebody else is asked: what round trips took so far decides, as in TCP (RFC 6298)."""

from __future__ import annotations

FIRST = 200_000_000  # ns, before anything was measured
LEAST = 1_000_000  # ns


class Patience:
    """`delay` (ns) is half above the mean round trip, and four times their mean deviation more.

    So where all take equally long, an answer of the second node asked still comes within two and a half round trips.
    """

    __slots__ = ("_deviation", "_mean", "delay")

    def __init__(self) -> None:
        self._mean = self._deviation = 0
        self.delay = FIRST

    def took(self, trip: int) -> None:
        """A round trip took so many ns."""
        if self._mean == 0:
            self._mean, self._deviation = trip, trip // 2
        else:
            self._deviation += (abs(trip - self._mean) - self._deviation) // 4
            self._mean += (trip - self._mean) // 8
        self.delay = max(LEAST, self._mean * 3 // 2 + 4 * self._deviation)
