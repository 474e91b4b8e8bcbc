"""What nodes know: it grows, it is true, and older generations do not come back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from priomon_core.rumours import State
from priomon_sim.checkers.history import Checker, Cluster, Moment


class VersionsGrow(Checker):
    """Versions never go back at an observer, except that it drops whom a younger generation replaced, or who departed and is forgotten."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._younger = np.array(cluster.lives.younger)
        self._before: Moment | None = None

    def see(self, moment: Moment) -> Iterator[str]:
        before, self._before = self._before, moment
        if before is None:
            return
        fell = moment.versions < before.versions
        fell[~(moment.present & before.present)] = False
        if not fell.any():
            return
        replaced = (self._younger >= 0) & moment.begun[self._younger]
        fell &= (moment.versions > 0) | ~(replaced | (before.held >= State.DEAD))
        for observer, origin in np.argwhere(fell).tolist():
            was, now = before.versions[observer, origin], moment.versions[observer, origin]
            yield f"at {self._cluster.name(observer)} the version of {self._cluster.name(origin)} went back from {was} to {now}"


class HeldWasPublished(Checker):
    """What is held was once published: no version beyond the newest one, none of a life that has not begun, all of one's own."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def see(self, moment: Moment) -> Iterator[str]:
        name, unborn = self._cluster.name, ~moment.begun
        for slot in np.flatnonzero(unborn & (moment.newest > 0)).tolist():
            yield f"{name(slot)} has published before it lived"
        for slot in np.flatnonzero(unborn & (moment.versions > 0).any(axis=1)).tolist():
            yield f"{name(slot)} knows something before it lives"
        for observer, origin in np.argwhere(moment.versions > moment.newest).tolist():
            held, newest = moment.versions[observer, origin], moment.newest[origin]
            yield f"{name(observer)} holds version {held} of {name(origin)}, which has published {newest}"
        for slot in np.flatnonzero(moment.present & (moment.versions.diagonal() < moment.newest)).tolist():
            yield f"{name(slot)} lacks publications of its own"


class NoResurrection(Checker):
    """Who has known a generation of a node never knows an older one again."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._generations = np.array([identity.generation for identity in cluster.lives.origins], np.int64)
        self._youngest: NDArray[np.int64] = np.zeros((len(self._generations), cluster.nodes), np.int64)  # that each life has known

    def see(self, moment: Moment) -> Iterator[str]:
        known = np.where(moment.versions > 0, self._generations, 0)
        for node, slots in enumerate(self._cluster.lives.slots):
            self._youngest[:, node] = np.maximum(self._youngest[:, node], known[:, slots].max(axis=1))
        older = (moment.versions > 0) & (self._generations < self._youngest[:, self._cluster.lives.node])
        older[~moment.present] = False
        for observer, origin in np.argwhere(older).tolist():
            known = self._youngest[observer, self._cluster.lives.node[origin]]
            yield f"{self._cluster.name(observer)} holds {self._cluster.name(origin)}, and has known generation {known} already"
