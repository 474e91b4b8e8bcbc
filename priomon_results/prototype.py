"""What the prototype's protocol would send for the state that a run has come to: computed, so that every report has it at no cost.

In a round, every node of the prototype exchanges with three others, and an exchange takes every node's record once, in one direction or
the other, whether or not anything changed (see the strategy `demon`, which runs it). So its bytes follow from the number of nodes alone.
The same exchange in our codec is a digest (with the order of nodes for their names) and an entry with all values for each node, in full
datagrams. Both are for nodes that all run and know each other; retransmissions and requests are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from priomon_core.metrics import Metric
from priomon_results.bound import AGE, FULL, level_sizes, varint_sizes
from priomon_results.measures import Publications

FANOUT = 3
EXCHANGE, RECORD = 2780, 648  # bytes of an exchange and of each node in it, as measured (results/reference/seed_traffic.csv)
KEY = 4  # bytes that name an origin in a delta
DIGEST = 12  # bytes of a digest beside its versions, and of its count
COUNT = 2


def in_json(nodes: int, period: int) -> float:
    """Bytes that a node of the prototype sends per second, with a round per `period` (ns)."""
    return min(FANOUT, nodes - 1) * (EXCHANGE + RECORD * nodes) * 1e9 / period


def in_our_codec(publications: Publications, metrics: Sequence[Metric], nodes: int, period: int) -> float:
    """Bytes per node and second of the same exchanges in our codec, with the newest versions and levels of `publications`."""
    newest = publications.newest
    versions = varint_sizes(newest)
    levels = publications.levels[np.arange(len(newest)), newest]
    sizes = KEY + versions + AGE + (len(metrics) + 7) // 8
    for index, metric in enumerate(metrics):
        sizes = sizes + level_sizes(levels[:, index], metric)
    state = DIGEST + COUNT + versions.mean() * nodes + sizes.mean() * nodes
    return float(min(FANOUT, nodes - 1) * state * FULL * 1e9 / period)
