"""What is wrong in a cluster from moment to moment, as its timeline of faults tells; the same for a simulation and a live run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from priomon_sim.faults.timeline import (
    Action,
    Alters,
    Crashes,
    Cuts,
    Freezes,
    Leaves,
    Mends,
    Planned,
    Restores,
    Skews,
    Starts,
    Thaws,
)
from priomon_sim.lives import Lives


class Weather:
    """Lets the actions of a timeline pass. `present`, `begun`, `undisturbed` and `calm_since` are as in `Moment`."""

    def __init__(self, actions: Sequence[Planned], lives: Lives) -> None:
        count = len(lives.slots)
        self.present: NDArray[np.bool_] = np.zeros(len(lives.origins), np.bool_)
        self.begun: NDArray[np.bool_] = np.zeros(len(lives.origins), np.bool_)
        self.undisturbed: NDArray[np.int64] = np.zeros((count, count), np.int64)
        self.calm_since: int | None = 0
        self._actions = actions
        self._done = 0
        self._slots = lives.slots
        self._generation = [1] * count
        self._running: NDArray[np.bool_] = np.ones(count, np.bool_)
        self._frozen: set[int] = set()
        self._cuts: dict[int, Cuts] = {}
        self._changes: dict[int, Alters] = {}
        self._note()

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self._done == len(self._actions)

    def pass_to(self, now: int) -> None:
        """Let happen what happens up to and including `now` (ns)."""
        while self._done < len(self._actions) and self._actions[self._done][0] <= now:
            when, action = self._actions[self._done]
            self._done += 1
            before = self._disturbed()
            self._happen(action, when)
            self.undisturbed[before | self._disturbed()] = when
            lasting = self._frozen or self._cuts or self._changes
            self.calm_since = None if lasting else when
            self._note()
        self.undisturbed[self._disturbed()] = now

    def missed(self, nodes: Sequence[int], now: int) -> None:
        """These nodes should run and do not, though no action says so: as far as they go, it was not calm until `now` (ns)."""
        missing = [node for node in nodes if self._running[node]]
        if missing:
            self.undisturbed[missing] = self.undisturbed[:, missing] = now
            self.calm_since = None if self.calm_since is None else now

    def _note(self) -> None:
        self.present[:] = False
        for node in np.flatnonzero(self._running).tolist():
            self.present[self._slots[node][self._generation[node] - 1]] = True
        self.begun |= self.present

    def _happen(self, action: Action, when: int) -> None:
        match action:
            case Crashes(node) | Leaves(node):
                self._running[node] = False
                self._frozen.discard(node)
            case Starts(node, generation):
                self._running[node] = True
                self._generation[node] = generation
            case Freezes(node):
                self._frozen.add(node)
            case Thaws(node):
                self._frozen.discard(node)
            case Skews(node):
                self.undisturbed[node] = self.undisturbed[:, node] = when
            case Cuts(cut):
                self._cuts[cut] = action
            case Mends(cut):
                del self._cuts[cut]
            case Alters(change):
                self._changes[change] = action
            case Restores(change):
                del self._changes[change]

    def _disturbed(self) -> NDArray[np.bool_]:
        """Which pairs of nodes do not run both, or not as usual."""
        down = ~self._running
        for nodes in (self._frozen, *(change.nodes for change in self._changes.values())):
            down[list(nodes)] = True
        pairs = down[:, None] | down
        for cut in self._cuts.values():
            pairs[np.ix_(list(cut.sources), list(cut.targets))] = True
        return pairs | pairs.T
