"""What nodes hold each other for: the living refute, and after calm everybody agrees with the truth."""

from __future__ import annotations

from collections.abc import Iterator
from math import log10

import numpy as np
from numpy.typing import NDArray

from priomon_core.awareness import WORST
from priomon_core.config import DetectionSettings, GossipSettings
from priomon_core.membership import DAMPING
from priomon_core.rumours import State
from priomon_sim.checkers.history import UNKNOWN, Checker, Cluster, Moment

UNLUCKY = 15  # times the mean of a random wait: longer ones happen three times in ten million
SLOW_CLOCK = 2  # a skewed node may take so much longer for all that it does


def refutation_time(nodes: int, gossip: GossipSettings, detection: DetectionSettings, loss: float) -> int:
    """How long (ns) a live and reachable node may be held dead in a cluster of `nodes` that loses a share `loss` of all datagrams.

    Whoever holds it dead alone tries it once in as many `reconnect` times as there are nodes, and is told off if neither the ping nor
    the answer is lost.
    """
    attempt = nodes * max(detection.reconnect, gossip.period)
    return round(SLOW_CLOCK * UNLUCKY * attempt / (1 - loss) ** 2)


def convergence_time(nodes: int, gossip: GossipSettings, detection: DetectionSettings, loss: float) -> int:
    """How long (ns) after the end of all faults a cluster may take until everybody knows and holds everybody for what he is.

    Every node has its turn to be probed, by a prober of the worst health; suspicions last as long as they may; then everybody has to hear
    of it, and who was held dead refutes.
    """
    turns = 2 * nodes * gossip.period
    judged = max(gossip.period, 2 * detection.probe_timeout) * (1 + WORST) + detection.failures * turns + 4 * detection.heartbeat
    suspected = gossip.period * detection.suspicion * max(1.0, log10(nodes)) * detection.longest_suspicion * (1 + DAMPING)
    alone = refutation_time(nodes, gossip, detection, loss)
    return round(SLOW_CLOCK * (turns / (1 - loss) ** 2 + judged + suspected)) + alone


class DeathsRefuted(Checker):
    """A live and reachable node is not held dead for longer than its refutation takes; and nobody says goodbye in its name."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._limit = refutation_time(cluster.nodes, cluster.gossip, cluster.detection, cluster.loss)
        lives = len(cluster.lives.origins)
        self._wronged: NDArray[np.bool_] = np.zeros((lives, lives), np.bool_)
        self._since: NDArray[np.int64] = np.zeros((lives, lives), np.int64)  # when a pair was first seen to be wronged

    def see(self, moment: Moment) -> Iterator[str]:
        node, name = self._cluster.lives.node, self._cluster.name
        both = moment.present[:, None] & moment.present
        for observer, origin in np.argwhere(both & (moment.held == State.LEFT)).tolist():
            yield f"{name(observer)} holds {name(origin)} for gone, which has not said goodbye"
        wronged = both & (moment.held == State.DEAD)
        self._since[wronged & ~self._wronged] = moment.now
        self._wronged = wronged
        if wronged.any():
            waited = moment.now - np.maximum(self._since, moment.undisturbed[np.ix_(node, node)])
            for observer, origin in np.argwhere(wronged & (waited > self._limit)).tolist():
                seconds = waited[observer, origin] / 1e9
                yield f"{name(observer)} has held {name(origin)} dead for {seconds:.1f} s in which it lived and could be reached"


class Converges(Checker):
    """After calm, the living that a path of living neighbours joins know and hold each other alive, and the dead are not held alive.

    `converged_at` (ns) is when that was first so in the present calm, None before.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._limit = convergence_time(cluster.nodes, cluster.gossip, cluster.detection, cluster.loss)
        self._node = np.array(cluster.lives.node)
        self._adjacent: NDArray[np.bool_] = np.zeros((cluster.nodes, cluster.nodes), np.bool_)
        for node, peers in enumerate(cluster.peers):
            self._adjacent[node, list(peers)] = True
        self._calm_since: int | None = None
        self._published: NDArray[np.int64] = np.zeros(len(cluster.lives.origins), np.int64)
        self.converged_at: int | None = None

    @property
    def took(self) -> float | None:
        """Seconds from the beginning of the calm to convergence, None if it is not there yet."""
        return None if self.converged_at is None or self._calm_since is None else (self.converged_at - self._calm_since) / 1e9

    def see(self, moment: Moment) -> Iterator[str]:
        if moment.calm_since is None or moment.calm_since != self._calm_since:
            self._calm_since, self._published, self.converged_at = moment.calm_since, moment.newest, None
        if self._calm_since is None or self.converged_at is not None:
            return
        wrong = self._wrong(moment)
        if not wrong.any():
            self.converged_at = moment.now
        elif moment.now - self._calm_since > self._limit:
            yield f"{(moment.now - self._calm_since) / 1e9:.1f} s after the last fault {self._told(moment, wrong)}"

    def _told(self, moment: Moment, wrong: NDArray[np.bool_]) -> str:
        """The first of the wrong pairs in words, and how many there are."""
        pairs, name = np.argwhere(wrong).tolist(), self._cluster.name
        observer, origin = pairs[0]
        held, version = moment.held[observer, origin], moment.versions[observer, origin]
        what = "does not know" if held == UNKNOWN else f"holds {State(held).name.lower()}, at version {version},"
        truth = f"lives and had published {self._published[origin]} times by then" if moment.present[origin] else "is dead"
        return f"{name(observer)} {what} {name(origin)}, which {truth} ({len(pairs)} pairs of lives are wrong)"

    def _wrong(self, moment: Moment) -> NDArray[np.bool_]:
        """Pairs in which the observer does not hold the origin for what it is, and could."""
        node, present = self._node, moment.present
        running = np.bincount(node[present], minlength=self._cluster.nodes) > 0
        part = _parts(self._adjacent, running)
        joined = part[node][:, None] == part[node]
        lacks = (moment.versions < self._published) | (moment.versions == 0)
        wrong: NDArray[np.bool_] = present & joined & (lacks | (moment.held != State.ALIVE))
        np.fill_diagonal(wrong, False)
        if self._cluster.judged:
            # Somebody in the observer's part must have been a neighbour of the dead node, or nobody there could notice.
            together = (part[:, None] == part).astype(np.float32)
            near: NDArray[np.bool_] = (together @ self._adjacent > 0)[node][:, node]
            wrong |= ~present & near & ((moment.held == State.ALIVE) | (moment.held == State.SUSPECT))
        wrong[~present] = False
        return wrong


def _parts(adjacent: NDArray[np.bool_], running: NDArray[np.bool_]) -> NDArray[np.int64]:
    """A number per node, equal for those that a path of running nodes joins; those that do not run are parts of their own below -1."""
    part = np.where(running, np.arange(len(running)), -2 - np.arange(len(running)))
    joined = adjacent & running & running[:, None]
    while True:
        wider = np.maximum(part, np.where(joined, part, -len(running) - 2).max(axis=1))
        if (wider == part).all():
            return part
        part = wider
