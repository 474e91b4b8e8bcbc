"""Tells a run's story to its verdicts: what a timeline lets happen and what nodes notice, merged in the order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from math import log10

from priomon_core.config import DetectionSettings
from priomon_core.events import Died, Event, Left, Refuted, Restarted, Suspected
from priomon_results.verdicts import Verdicts
from priomon_sim.driver import Noticed
from priomon_sim.faults.rows import FaultRow, fault_rows
from priomon_sim.faults.timeline import Action, Crashes, Cuts, Freezes, Leaves, Mends, Planned, Starts, Thaws
from priomon_sim.lives import Lives

Knowing = Callable[[int], Iterable[int]]  # from a life to the lives that know it


class Chronicle:
    """The story of a run with these `actions` of a timeline; `lately` (ns) is as in `Verdicts`."""

    def __init__(self, actions: Sequence[Planned], lives: Lives, lately: int) -> None:
        self.verdicts = Verdicts(lives.node, [slots[0] for slots in lives.slots], lately)
        self._actions = actions
        self._told = 0
        self._pending: list[Noticed] = []
        self._lives = lives
        self._slots = {identity.key: slot for slot, identity in enumerate(lives.origins)}

    def tell(self, now: int, noticed: Iterable[Noticed], knowing: Knowing) -> None:
        """Go on up to `now` (ns) with what was noticed, in any order; what is noticed later waits."""
        self._pending = sorted([*self._pending, *noticed], key=lambda one: one[0])
        told = 0
        for at, observer, event in takewhile(lambda one: one[0] <= now, self._pending):
            self._happen(at, knowing)
            self._notice(at, observer, event)
            told += 1
        del self._pending[:told]
        self._happen(now, knowing)

    def faults(self) -> list[FaultRow]:
        """What has gone wrong so far."""
        return fault_rows(self._actions[: self._told], self._lives.names)

    def _happen(self, now: int, knowing: Knowing) -> None:
        while self._told < len(self._actions) and self._actions[self._told][0] <= now:
            self._act(*self._actions[self._told], knowing)
            self._told += 1

    def _act(self, when: int, action: Action, knowing: Knowing) -> None:
        verdicts = self.verdicts
        match action:
            case Crashes(node) | Leaves(node):
                announced = isinstance(action, Leaves)
                verdicts.stopped(node, when, announced=announced, knowing=knowing(verdicts.present(node)))
            case Starts(node, generation):
                verdicts.started(self._lives.slots[node][generation - 1], when)
            case Freezes(node):
                verdicts.froze(node)
            case Thaws(node):
                verdicts.thawed(node, when)
            case Cuts(cut, sources, targets):
                verdicts.cut(cut, sources, targets)
            case Mends(cut):
                verdicts.mended(cut, when)

    def _notice(self, at: int, observer: int, event: Event) -> None:
        subject = self._slots[event.before if isinstance(event, Restarted) else event.key]
        match event:
            case Suspected():
                self.verdicts.suspected(at, observer, subject)
            case Died() | Left():
                self.verdicts.died(at, observer, subject)
            case Refuted():
                self.verdicts.cleared(observer, subject)
            case Restarted():
                self.verdicts.succeeded(observer, subject)


def longest_suspicion(settings: DetectionSettings, nodes: int, period: int) -> int:
    """For how long (ns) a node may be suspected, and old news of that be under way, in a cluster of so many."""
    return round(settings.suspicion * settings.longest_suspicion * max(1.0, log10(nodes)) * period)
