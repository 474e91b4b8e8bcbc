"""How updates spread: when 50, 99 and 100 % of the other live nodes hold an update, or a newer one of the same origin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from priomon_results.histogram import Histogram
from priomon_results.measures import Versions

SHARES = (0.5, 0.99, 1.0)


@dataclass(slots=True)
class Spread:
    """One update: seconds from its publication until each of SHARES was seen to hold it, nan if not seen."""

    origin: int
    version: int
    published_at: int
    reached: list[float]


class SpreadTracker:
    """Follows every update of some origins, by looking at who holds what at a fixed interval.

    Times are known to that interval and rounded up. `first_contact` float64 [nodes] is when (seconds since its publication) each node
    was first seen to hold the first update of the first origin.
    """

    def __init__(self, origins: Sequence[int], nodes: int) -> None:
        self.origins = list(origins)
        self.finished: list[Spread] = []
        self.first_contact: NDArray[np.float64] = np.full(nodes, math.nan)
        self._first = self.origins[0]
        self._under_way: dict[int, list[Spread]] = {origin: [] for origin in self.origins}
        self._followed = dict.fromkeys(self.origins, 0)

    def look(self, versions: Versions, newest: NDArray[np.int64], times: NDArray[np.int64], live: NDArray[np.bool_], now: int) -> None:
        """`versions` [observers, origins] is what nodes hold at `now` (ns), `newest` and `times` [origins, depth] what was published.

        Only `live` bool [nodes] count as observers, but an origin's updates go on spreading when it has stopped.
        """
        live_nodes = np.count_nonzero(live)
        of_followed = np.where(live, versions[:, self.origins].T, 0).astype(np.int64)
        for origin, held in zip(self.origins, of_followed, strict=True):
            under_way, latest, itself = self._under_way[origin], int(newest[origin]), int(live[origin])
            for version in range(self._followed[origin] + 1, latest + 1):
                under_way.append(Spread(origin, version, int(times[origin, version]), [math.nan] * len(SHARES)))
            self._followed[origin] = latest
            if origin == self._first:
                reached = (held > 0) & np.isnan(self.first_contact)
                self.first_contact[reached] = (now - int(times[origin, 1])) / 1e9
            others = live_nodes - itself
            if not under_way or not others:
                continue
            oldest = under_way[0].version
            holders = np.bincount(np.maximum(held - oldest + 1, 0), minlength=latest - oldest + 2)
            at_least = np.cumsum(holders[::-1])[::-1] - itself  # which is no observer of itself
            for spread in under_way:
                share = at_least[spread.version - oldest + 1] / others
                for index, wanted in enumerate(SHARES):
                    if share >= wanted and math.isnan(spread.reached[index]):
                        spread.reached[index] = (now - spread.published_at) / 1e9
            self.finished += [spread for spread in under_way if not math.isnan(spread.reached[-1])]
            self._under_way[origin] = [spread for spread in under_way if math.isnan(spread.reached[-1])]

    def drop(self, origin: int) -> None:
        """Follow an origin no more: it has begun a new life, whose updates are numbered from one again."""
        if origin in self.origins:
            self.origins.remove(origin)

    def all(self) -> list[Spread]:
        """Every update followed so far, by origin and version."""
        pending = [spread for spreads in self._under_way.values() for spread in spreads]
        return sorted(self.finished + pending, key=lambda spread: (spread.origin, spread.version))

    def histogram(self, share: float) -> Histogram:
        """Times until `share` (one of SHARES) of the nodes held an update, over the updates that reached it."""
        times = self._times(share)
        times = times[np.isfinite(times)]
        result = Histogram()
        result.add(times, np.ones(times.shape, np.int64))
        return result

    def median(self, share: float) -> float:
        """The time by which half of the updates followed had reached `share` of the nodes; nan if fewer than half have."""
        times = np.sort(self._times(share))
        middle = times[(len(times) - 1) // 2] if len(times) else math.inf
        return float(middle) if math.isfinite(middle) else math.nan

    def _times(self, share: float) -> NDArray[np.float64]:
        """One time per update; infinite for those still under way."""
        index = SHARES.index(share)
        return np.array([math.inf if math.isnan(spread.reached[index]) else spread.reached[index] for spread in self.all()])
