"""Every publication of every origin of a simulated cluster, held once for all observers.

Knowledge has no gaps, so the version that an observer holds of an origin names all the values it holds. The ledger keeps them in
tables [origin, version, metric], where version 0 stands for "nothing known". What was published since the tables were last used waits
in lists, because appending to one is ten times cheaper than writing to an array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priomon_core.errors import VersionOverflowError
from priomon_core.identity import Identity
from priomon_core.metrics import Metric
from priomon_core.priority import Change
from priomon_core.replica import Values
from priomon_core.wire import introduction_excess, level_size
from priomon_sim.clock import Clock
from priomon_sim.compiled import LARGEST_VERSION, compiled

FIRST_DEPTH = 32


class Ledger(Values):
    """The publications of `identities`, which are in the order of their keys; `newest[origin]` is the number of its publications.

    `younger` is as in `Values`, and so is `older`. Times are those of `clock` where there is one: a node's own may run wrong.

    Tables, brought up to date by `refresh`: `times` int64 [origins, depth] (ns of the sample), and [origins, depth, metrics]
    `last_change` uint16 (the version at which a metric last changed), `widths` uint8 (bytes of its level on the wire), `levels` int64.
    """

    step = 1
    published: Any
    changed: Any
    width: Any

    def __init__(
        self, identities: Sequence[Identity], metrics: Sequence[Metric], younger: Sequence[int] | None = None, clock: Clock | None = None
    ) -> None:
        count = len(identities)
        self.identities = tuple(identities)
        self.declared = tuple(metrics)
        self.metrics = len(metrics)
        self.newest = [0] * count
        self.younger: Any = None if younger is None else np.array(younger, np.int64)
        self.older: Any = None if younger is None else _inverse(younger)
        self._clock = clock
        self._slots = {identity.key: slot for slot, identity in enumerate(identities)}
        self.keys: Any = np.array([identity.key for identity in identities], np.int64)
        self.introduction: Any = np.array([introduction_excess(identity) for identity in identities], np.int64)
        self.priority: Any = np.array([int(metric.priority) for metric in metrics], np.int64)
        self.depth = FIRST_DEPTH
        self.times: NDArray[np.int64] = np.zeros((count, self.depth), np.int64)
        self.last_change: NDArray[np.uint16] = np.zeros((count, self.depth, self.metrics), np.uint16)
        self.widths: NDArray[np.uint8] = np.zeros((count, self.depth, self.metrics), np.uint8)
        self.levels: NDArray[np.int64] = np.zeros((count, self.depth, self.metrics), np.int64)
        self._flatten()
        self._waiting: list[tuple[int, int, int, Sequence[Change]]] = []  # origin, version, time, changes
        self._one_byte = [64 if metric.signed else 128 for metric in metrics]  # levels from 0 to below this take one byte
        self._may_be_uniform = len(set(self.introduction.tolist())) == 1
        self.uniform: tuple[int, int] | None = None

    def find(self, key: int) -> int | None:
        """See `Values.find`."""
        return self._slots.get(key)

    def publish(self, slot: int, version: int, changes: Sequence[Change], now: int) -> None:
        """See `Values.publish`. Raises `VersionOverflowError` past the largest version of a 16-bit row."""
        if version > LARGEST_VERSION:
            raise VersionOverflowError(
                f"{self.identities[slot].name} published more than {LARGEST_VERSION} times, which a simulated row cannot number; "
                "simulate a shorter time or a longer sampling interval"
            )
        self.newest[slot] = version
        self._waiting.append((slot, version, now if self._clock is None else self._clock._now, changes))
        if self._may_be_uniform:
            self._compare(len(changes), sum([self._width_of(metric, level) for metric, level in changes]))

    def _width_of(self, metric: int, level: int) -> int:
        return 1 if 0 <= level < self._one_byte[metric] else level_size(self.declared[metric], level)

    def _compare(self, changes: int, size: int) -> None:
        """See whether this publication is like all before."""
        if changes != self.metrics or (self.uniform is not None and self.uniform[0] != size):
            self._may_be_uniform, self.uniform = False, None
        elif self.uniform is None:
            self.uniform = size, int(self.introduction[0])

    def store(self, slot: int, update: object, now: int) -> None:
        """Nothing to keep: the origin's publication is in the ledger already."""

    def refresh(self) -> None:
        """Bring the tables up to date with the publications."""
        if not self._waiting:
            return
        waiting = np.array([(slot, version, now, len(changes)) for slot, version, now, changes in self._waiting], np.int64)
        changed = [(m, level, self._width_of(m, level)) for *_, changes in self._waiting for m, level in changes]
        changes = np.array(changed, np.int64).reshape(-1, 3)  # a heartbeat changes nothing
        self._waiting = []
        if (deepest := int(waiting[:, 1].max())) >= self.depth:
            more = (0, max(self.depth, deepest + 1 - self.depth))
            self.depth += more[1]
            self.times = np.pad(self.times, ((0, 0), more))
            self.last_change = np.pad(self.last_change, ((0, 0), more, (0, 0)))
            self.widths = np.pad(self.widths, ((0, 0), more, (0, 0)))
            self.levels = np.pad(self.levels, ((0, 0), more, (0, 0)))
            self._flatten()
        _record(waiting, changes, self.times, self.last_change, self.widths, self.levels)

    def _flatten(self) -> None:
        """Show the tables to the kernels."""
        self.published, self.changed, self.width = self.times.reshape(-1), self.last_change.reshape(-1), self.widths.reshape(-1)

    def changes(self, slot: int, since: int, version: int) -> tuple[Change, ...]:
        """See `Values.changes`."""
        self.refresh()
        changed, levels = self.last_change[slot, version].tolist(), self.levels[slot, version].tolist()
        return tuple((metric, levels[metric]) for metric in range(self.metrics) if changed[metric] > since)

    def age(self, slot: int, version: int, now: int) -> int:
        """See `Values.age`."""
        self.refresh()
        return now - int(self.times[slot, version])

    def identity(self, slot: int) -> Identity:
        """See `Values.identity`."""
        return self.identities[slot]


def _inverse(younger: Sequence[int]) -> NDArray[np.int64]:
    """The slot of the generation before each, -1 if there is none."""
    older = np.full(len(younger), -1, np.int64)
    for slot, heir in enumerate(younger):
        if heir >= 0:
            older[heir] = slot
    return older


@compiled
def _record(waiting: Any, changes: Any, times: Any, last_change: Any, widths: Any, levels: Any) -> None:
    at = 0
    for i in range(len(waiting)):
        origin, version, now, count = waiting[i]
        times[origin, version] = now
        for metric in range(last_change.shape[2]):
            last_change[origin, version, metric] = last_change[origin, version - 1, metric]
            widths[origin, version, metric] = widths[origin, version - 1, metric]
            levels[origin, version, metric] = levels[origin, version - 1, metric]
        for change in range(at, at + count):
            metric = changes[change, 0]
            last_change[origin, version, metric] = version
            widths[origin, version, metric] = changes[change, 2]
            levels[origin, version, metric] = changes[change, 1]
        at += count
