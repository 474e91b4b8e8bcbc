"""The fewest bytes with which a cluster could have told every node every update: what strategies are measured against.

Every node but the origin receives each published update exactly once, in the smallest form that the wire has for it (an entry of a push:
1 B to name the origin among others in order, its version, an age code, a bit mask of the metrics and the levels that changed), in
datagrams that are full, so that headers are shared as widely as can be. Nothing is lost, repeated, asked for or acknowledged. Updates of
the very start, which everybody is taken to know, and those of nodes' former lives are not counted; so the true bound is no lower.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from priomon_core.metrics import Metric
from priomon_results.measures import Publications

NAME = 1  # bytes that name the next origin in a sequence
AGE = 1
DATAGRAM = 1200  # largest UDP payload
HEADERS = 28  # of UDP and IPv4
PUSH_HEADER = 17  # what a datagram of updates says beside them, at least
FULL = (DATAGRAM + HEADERS) / (DATAGRAM - PUSH_HEADER)  # bytes on the wire for a byte of updates


def lower_bound(publications: Publications, metrics: Sequence[Metric], nodes: int, seconds: float) -> float:
    """Bytes per node and second; see the top of this file. 0 where nothing was published."""
    newest, depth = publications.newest, int(publications.newest.max(initial=0)) + 1
    versions = np.arange(depth)
    counted = (versions > 0) & (versions <= newest[:, None]) & (publications.times[:, :depth] > 0)
    sizes = NAME + AGE + (len(metrics) + 7) // 8 + varint_sizes(np.broadcast_to(versions, counted.shape))
    for index, metric in enumerate(metrics):
        levels = publications.levels[:, :depth, index]
        changed = publications.last_change[:, :depth, index] == versions
        sizes = sizes + np.where(changed, level_sizes(levels, metric), 0)
    total = float(np.where(counted, sizes, 0).sum())
    return total * FULL * (nodes - 1) / nodes / seconds


def level_sizes(levels: NDArray[np.int64], metric: Metric) -> NDArray[np.int64]:
    """Bytes that each of these levels of a metric takes."""
    return varint_sizes(np.where(levels < 0, -2 * levels - 1, 2 * levels) if metric.signed else levels)


def varint_sizes(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bytes that each of these takes as a varint."""
    return np.asarray(1 + np.searchsorted([1 << bits for bits in range(7, 63, 7)], numbers, side="right"), np.int64)
