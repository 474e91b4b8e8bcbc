"""What one node knows of every origin, as a row of versions in the order of the origins' keys, and the rules by which it grows.

A row grows by a publication of the node itself or by the news of a delta, never otherwise, so a version never goes back. Where the
values that belong to a version are found is the business of `Values`: an agent holds the newest of each origin (`holdings.py`); in a
simulation all replicas share one ledger of every publication, because knowledge has no gaps and (origin, version) names the values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from priomon_core import kernels, push_kernels
from priomon_core.identity import Identity
from priomon_core.messages import Delta, Row
from priomon_core.priority import Change
from priomon_core.wire import Introduction, News

if TYPE_CHECKING:
    from priomon_core.pushes import Push


@dataclass(frozen=True, slots=True)
class RowKind:
    """A kind of row: the functions of kernels.py made for it, the request bit (its top bit), and how to make one of a length.

    `pushes` are the functions of push_kernels.py, and `zeros` makes a row of zeros for numbers up to 2^31.
    """

    kernels: ModuleType | SimpleNamespace
    ask: int
    blank: Callable[[int], Row]
    pushes: ModuleType | SimpleNamespace
    zeros: Callable[[int], Row]


def _blank(count: int) -> Row:
    return array("q", bytes(8 * count))


MOST_NOTES = 4096  # what is kept of comings and goings for who cares
PLAIN = RowKind(kernels, 1 << 62, _blank, push_kernels, _blank)


class Values(ABC):
    """Where the values of publications are kept: as tables for the kernels (see kernels.py) and as levels for the wire.

    Tables may have any shape that lies flat in memory as kernels.py says.
    """

    keys: Sequence[int]
    priority: Sequence[int]
    introduction: Sequence[int]
    published: Sequence[int]
    changed: Sequence[int]
    width: Sequence[int]
    depth: int
    step: int
    metrics: int
    layout: int = 0
    """Changes whenever slots do."""
    younger: Sequence[int] | None = None
    """Where slots of several generations of a node stand beside each other: the slot of the next one for each, -1 if there is none."""
    older: Sequence[int] | None = None
    """Likewise the slot of the generation before."""
    uniform: tuple[int, int] | None
    """(Bytes of the levels in any news, bytes by which an introduction exceeds it) while all publications agree in both, else None."""

    def find(self, key: int) -> int | None:
        """The slot of an origin, None if there is none."""
        slot = bisect_left(self.keys, key)
        return slot if slot < len(self.keys) and self.keys[slot] == key else None

    def refresh(self) -> None:  # noqa: B027  (most tables are always up to date)
        """Bring the tables up to date before kernels read them."""

    @abstractmethod
    def publish(self, slot: int, version: int, changes: Sequence[Change], now: int) -> None:
        """Record what origin `slot` publishes as `version` at `now` (ns)."""

    @abstractmethod
    def store(self, slot: int, update: News | Introduction, now: int) -> None:
        """Keep the values of an update that came from the network at `now` (ns)."""

    @abstractmethod
    def changes(self, slot: int, since: int, version: int) -> tuple[Change, ...]:
        """The metrics of an origin that changed after version `since`, with their levels at `version`."""

    @abstractmethod
    def age(self, slot: int, version: int, now: int) -> int:
        """Nanoseconds at `now` since the sample that `version` was published for."""

    @abstractmethod
    def identity(self, slot: int) -> Identity:
        """Who an origin is."""


class Replica:
    """The knowledge of one node, whose own slot is `own`.

    `roster` is (number, checksum) of the origins known. `delivered` counts the news received, `useful` those that were newer.
    `superseded` collects (key, key of the younger generation) of origins that were dropped for it, `arrived` those that were introduced
    one by one, as an agent's are; who cares about them clears them.
    """

    __slots__ = (
        "_barred",
        "_withheld",
        "arrived",
        "companions",
        "delivered",
        "key",
        "kind",
        "own",
        "roster",
        "superseded",
        "useful",
        "values",
        "versions",
    )

    def __init__(self, values: Values, versions: Row, own: int, kind: RowKind = PLAIN) -> None:
        self.values = values
        self.versions = versions
        self.own = own
        self.kind = kind
        self.key = int(values.keys[own])
        self.survey()
        self.delivered = 0
        self.useful = 0
        self.companions: list[Row] = []
        self.superseded: deque[tuple[int, int]] = deque(maxlen=MOST_NOTES)
        self.arrived: deque[Identity] = deque(maxlen=MOST_NOTES)
        self._withheld: Row | None = None  # by slot: 1 for an origin that is not introduced
        self._barred: array[int] | None = None  # by slot: 1 for an origin that was forgotten or superseded

    def known(self, key: int) -> int | None:
        """The slot of an origin of which something is known, None if nothing is."""
        slot = self.values.find(key)
        return slot if slot is not None and self.versions[slot] else None

    def forget(self, key: int) -> None:
        """Drop what is known of another origin, and refuse news of it until it is admitted again; of older generations for ever."""
        slot = self.values.find(key)
        if slot is not None:
            self._drop(slot)
            self.survey()
            older = self.values.older
            while slot >= 0:
                self._bar(slot)
                slot = -1 if older is None else int(older[slot])

    def _drop(self, slot: int) -> None:
        for row in (self.versions, *self.companions):
            row[slot] = 0

    def _bar(self, slot: int) -> None:
        if self._barred is None:
            self._barred = array("b", bytes(len(self.versions)))
        self._barred[slot] = 1

    def admit(self, key: int) -> None:
        """Take news of a forgotten origin again."""
        slot = self.values.find(key)
        if slot is not None and self._barred is not None:
            self._barred[slot] = 0

    def withhold(self, key: int, withheld: bool) -> None:
        """Say whether an origin, as one that has departed, is not to be introduced to others."""
        slot = self.values.find(key)
        if slot is not None:
            if self._withheld is None:
                self._withheld = self.companion()
            self._withheld[slot] = withheld

    def introduces(self, draft: Delta) -> bool:
        """Take out of a delta, whose size is that of its versions, whom this node does not introduce; whether it says anything still."""
        if draft.introductions and self._withheld is not None:
            withhold = self.kind.kernels.withhold
            dropped, size = withhold(draft.row, draft.since, self._withheld, draft.count, draft.start, self.kind.ask)
            draft.introductions -= dropped
            draft.size -= size
        return bool(draft.introductions or draft.news or draft.requests)

    def interval(self, start: int, count: int) -> Row:
        """The versions of `count` origins from slot `start` on, writable in place."""
        if count == len(self.versions):
            return self.versions
        row: Any = memoryview(self.versions) if isinstance(self.versions, array) else self.versions
        return row[start : start + count]  # type: ignore[no-any-return]

    def companion(self) -> Row:
        """A new row of zeros that keeps a number beside each version, also where origins come and go."""
        row = self.kind.zeros(len(self.versions))
        self.companions.append(row)
        return row

    def survey(self) -> None:
        """Take note of which origins are known, after a change of them."""
        self.roster: tuple[int, int] = self.roster_of(0, len(self.versions))

    def roster_of(self, start: int, count: int) -> tuple[int, int]:
        """(Number, checksum) of the origins known in an interval."""
        keys = self.values.keys if count == len(self.versions) else self.values.keys[start : start + count]
        return self.kind.kernels.roster(self.interval(start, count), keys, count)  # type: ignore[no-any-return]

    def publish(self, changes: Sequence[Change], now: int) -> int:
        """Number a publication of the node itself; returns its version. Raises `VersionOverflowError` when the values' tables are full."""
        version = int(self.versions[self.own]) + 1
        self.values.publish(self.own, version, changes, now)
        self.versions[self.own] = version
        if version == 1:
            self.survey()
        return version

    def tidy(self) -> None:
        """Give back room that old news of older generations took; a replica with fixed slots has none to give."""

    def learn(self, delta: Delta, now: int) -> None:
        """Take the news of a delta that are newer than what is known."""
        start = delta.start
        own = self.interval(start, delta.count)
        if delta.updates is not None:
            for slot, update in delta.updates.items():
                if update.version > self.versions[slot]:
                    self.values.store(slot, update, now)
        useful, discovered = self.kind.kernels.merge(own, delta.row, delta.count, self.kind.ask)
        self.delivered += delta.introductions + delta.news
        self.useful += useful
        if discovered:
            self._sift()
            self.survey()

    def take(self, push: Push, source: Row, link: int, now: int) -> Row:
        """Take the entries of a push that are newer and leave no gap; `source` notes that they came from `link`. Returns the gaps."""
        if push.updates is not None:
            for slot, base in zip(push.slots, push.bases, strict=True):
                if push.updates[slot].version > self.versions[slot] >= max(base, 1):
                    self.values.store(slot, push.updates[slot], now)
        gaps = self.kind.zeros(push.count)
        take = self.kind.pushes.take
        useful, missing = take(self.versions, source, push.slots, push.versions, push.bases, push.count, link, gaps)
        self.delivered += push.count
        self.useful += useful
        return gaps[:missing]

    def _sift(self) -> None:
        """Drop again, among origins newly known, the forgotten ones and older generations."""
        count, kernels, younger = len(self.versions), self.kind.kernels, self.values.younger
        if self._barred is not None:
            kernels.refuse(self.versions, self._barred, count)
        if younger is not None:
            dropped = array("q", bytes(8 * count))
            for slot in dropped[: kernels.supersede(self.versions, younger, count, dropped)]:
                heir = int(younger[slot])
                while not self.versions[heir]:
                    heir = int(younger[heir])
                self._drop(slot)
                self._bar(slot)
                self.superseded.append((int(self.values.keys[slot]), int(self.values.keys[heir])))
