"""Holds a node dead after some exchanges with it have failed in a row, as the prototype meant to.

There is no suspicion and nobody else is asked. With N nodes a node meets the same partner once in N rounds, so three failures take three
passes; the first of all nodes to get there tells the others.
"""

from __future__ import annotations

from priomon_core.config import NEVER, DetectionSettings
from priomon_core.detectors.base import Means

MOST_REMEMBERED = 4096  # nodes whose failures are counted


class Count:
    """See the top of this file."""

    __slots__ = ("_failed", "_means", "_most", "_open", "_patience", "deadline")
    probes = True

    def __init__(self, means: Means, settings: DetectionSettings, period: int) -> None:
        self._means = means
        self._patience = max(period, 2 * settings.probe_timeout)
        self._most = settings.failures
        self._open: dict[int, int] = {}  # key -> when the exchange has failed, in this order
        self._failed: dict[int, int] = {}
        self.deadline = NEVER

    def contacted(self, key: int, now: int) -> None:
        """See `Detector.contacted`."""
        self._open.setdefault(key, now + self._patience)
        self.deadline = min(self.deadline, now + self._patience)

    def heard(self, key: int, now: int) -> None:
        """See `Detector.heard`."""
        self._open.pop(key, None)
        self._failed.pop(key, None)

    def wake(self, now: int) -> None:
        """See `Detector.wake`."""
        if now < self.deadline:
            return
        for key in [key for key, end in self._open.items() if end <= now]:
            del self._open[key]
            failures = self._failed.pop(key, 0) + 1
            if failures >= self._most:
                self._means.condemn(key, now, f"{failures} exchanges with it failed in a row")
                continue
            self._failed[key] = failures
            if len(self._failed) > MOST_REMEMBERED:
                del self._failed[next(iter(self._failed))]
        self.deadline = min(self._open.values(), default=NEVER)

    def stalled(self, late: int) -> None:
        """See `Detector.stalled`."""
        self._open.clear()
        self.deadline = NEVER
