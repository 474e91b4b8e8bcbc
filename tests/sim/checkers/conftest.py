"""A small cluster and moments of its history, for checkers to look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from priomon_core.config import DetectionSettings, GossipSettings
from priomon_core.rumours import State
from priomon_sim.checkers.history import UNKNOWN, Cluster, Kept, Moment
from priomon_sim.lives import Lives


@pytest.fixture
def cluster() -> Cluster:
    """Three nodes that all gossip with each other; the second one restarts once."""
    peers = [[1, 2], [0, 2], [0, 1]]
    return Cluster(Lives.of([1, 2, 1]), peers, GossipSettings(), DetectionSettings(), loss=0.1, overhead=28)


@pytest.fixture
def moment(cluster: Cluster) -> Callable[..., Moment]:
    """Makes moments: the first lives of all nodes run, each knows what all have published (3 times each), and nothing is wrong.

    Keywords change fields; `versions` and `held` take {(observer, origin): value}.
    """
    lives = len(cluster.lives.origins)
    first = np.zeros(lives, np.bool_)
    first[[slots[0] for slots in cluster.lives.slots]] = True
    both = first[:, None] & first

    def make(now: float = 0.0, **changes: Any) -> Moment:
        versions, held = np.where(both, 3, 0), np.where(both, State.ALIVE, UNKNOWN).astype(np.int8)
        for table, name in ((versions, "versions"), (held, "held")):
            for pair, value in changes.pop(name, {}).items():
                table[pair] = value
        calm = Moment(
            now=round(now * 1e9),
            present=first,
            begun=first,
            newest=np.where(first, 3, 0),
            versions=versions,
            held=held,
            undisturbed=np.zeros((cluster.nodes, cluster.nodes), np.int64),
            calm_since=0,
            bytes_sent=[0] * cluster.nodes,
            kept=[Kept(0, 0, 0, 0)] * lives,
        )
        return replace(calm, **changes)

    return make
