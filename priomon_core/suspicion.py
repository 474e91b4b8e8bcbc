"""One suspicion: who accuses, and when it becomes a verdict.

The time-out shrinks with independent accusers (Lifeguard, section IV-C): from `most` with one accuser to `least` with
`CONFIRMATIONS` more, along a logarithm, so that the first confirmation counts most. One node that is cut off from another, or slow
itself, thus has to wait long, and the accused has that time to refute.
"""

from __future__ import annotations

from math import log

CONFIRMATIONS = 3  # accusers beyond the first after which a suspicion is as short as it gets


class Suspicion:
    """A suspicion that began at `began` (ns) and becomes a verdict at `deadline`. `accusers` maps their keys to when they were heard of.

    `possible` is how many nodes could confirm it: in a cluster of two there is none, and nobody to wait for.
    """

    __slots__ = ("accusers", "began", "deadline", "least", "most", "needed")

    def __init__(self, accuser: int, began: int, least: int, most: int, possible: int) -> None:
        self.accusers = {accuser: began}
        self.began = began
        self.least = least
        self.most = max(least, most)
        self.needed = max(0, min(CONFIRMATIONS, possible))
        self.deadline = began + self._lasts()

    @property
    def confirmations(self) -> int:
        """Accusers beyond the first."""
        return len(self.accusers) - 1

    def confirm(self, accuser: int, now: int) -> bool:
        """Take note of an accuser; whether it is a new one that still counts."""
        if accuser in self.accusers or self.confirmations >= self.needed:
            return False
        self.accusers[accuser] = now
        self.deadline = self.began + self._lasts()
        return True

    def postpone(self, by: int) -> None:
        """Begin later by so many ns: time in which nobody could have been heard does not count."""
        self.began += by
        self.deadline += by

    def _lasts(self) -> int:
        if not self.needed:
            return self.least
        share = log(self.confirmations + 1) / log(self.needed + 1)
        return self.most - round((self.most - self.least) * share)
