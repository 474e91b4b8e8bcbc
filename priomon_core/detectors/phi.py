"""Suspects a node when its silence has become too unlikely (phi accrual: Hayashibara, Defago, Yared, Katayama 2004).

Evidence of life is a version that grows, through whomever it becomes known; so all nodes hear of all others with nobody probing anybody.
The silences between are taken for normally distributed. phi is -log10 of the chance of a silence as long as the present one; the
threshold says when to suspect. Mean and deviation are moving averages that begin with a prior, the heartbeat, so that the first few
arrivals prove nothing.

A quiet node publishes seldom, so each publishes at least once per `heartbeat`: a version without changes where nothing changed, 7 B of news
per observer. Anything that does not change the version would need a second row of numbers in every digest.
"""

from __future__ import annotations

from array import array
from math import erfc, sqrt

from priomon_core.config import NEVER, DetectionSettings
from priomon_core.detectors.base import Means
from priomon_core.replica import Replica

SIGMA = 1.2533  # of a normal distribution, in mean deviations


class Phi:
    """See the top of this file. The rows stand in the order of the replica's."""

    __slots__ = ("_factor", "_heartbeat", "_keys", "_layout", "_means", "_period", "_replica", "_rows", "_rule")
    probes = False
    deadline = NEVER  # it looks once a round

    def __init__(self, means: Means, settings: DetectionSettings, period: int, replica: Replica) -> None:
        self._means = means
        self._replica = replica
        self._period = period
        self._heartbeat = settings.heartbeat
        self._factor = round(1000 * SIGMA * deviations(settings.phi_threshold))
        self._rule = f"phi is above {settings.phi_threshold:g}"
        self._keys: list[int] = []
        self._layout = -1
        self._rows = [array("q") for _ in range(4)]  # version heard, when, mean silence, its mean deviation

    def contacted(self, key: int, now: int) -> None:
        """See `Detector.contacted`: nothing is learnt from it."""

    def heard(self, key: int, now: int) -> None:
        """See `Detector.heard`: what counts are versions."""

    def wake(self, now: int) -> None:
        """See `Detector.wake`."""
        replica, count = self._replica, len(self._replica.versions)
        if self._layout != replica.values.layout:
            self._align()
        silent = array("q", bytes(8 * count))
        heard, last, mean, _ = self._rows
        found = replica.kind.kernels.listen(replica.versions, *self._rows, count, now, self._factor, self._period, silent)
        own = replica.own
        for slot in silent[:found]:
            if slot != own:
                silence, usual = (now - last[slot]) / 1e9, mean[slot] / 1e9
                self._means.accuse(int(replica.values.keys[slot]), now, f"silent for {silence:.1f} s, else for {usual:.1f} s: {self._rule}")
        if replica.versions[own] and now - last[own] >= self._heartbeat - self._period // 2:
            heard[own], last[own] = replica.publish((), now), now

    def stalled(self, late: int) -> None:
        """See `Detector.stalled`."""
        last = self._rows[1]
        for slot in range(len(last)):
            last[slot] += late

    def _align(self) -> None:
        """Bring the rows into the order of the replica's, after origins came or went."""
        places = {key: i for i, key in enumerate(self._keys)}
        self._keys = [int(key) for key in self._replica.values.keys]
        self._layout = self._replica.values.layout
        priors = (0, 0, self._heartbeat, self._heartbeat // 2)
        self._rows = [
            array("q", [row[places[key]] if key in places else prior for key in self._keys])
            for row, prior in zip(self._rows, priors, strict=True)
        ]


def deviations(phi: float) -> float:
    """How many standard deviations above the mean a normally distributed value lies with a chance of 10^-phi."""
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if erfc(middle / sqrt(2)) / 2 > 10.0**-phi else (low, middle)
    return high
