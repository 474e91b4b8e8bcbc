"""What an agent holds of each origin: who it is and its newest values, in the order of the origins' keys.

The set of origins grows as digests name them and introductions tell who they are. A higher generation of a name replaces the lower
one, from wherever it speaks; a lower one is never taken again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from priomon_core.errors import VersionOverflowError
from priomon_core.identity import Identity
from priomon_core.metrics import Metric
from priomon_core.priority import Change
from priomon_core.replica import PLAIN, Replica, Values
from priomon_core.wire import LARGEST_VERSION, Introduction, News, age_of, introduction_excess, level_size

MOST_ORIGINS = 20_000  # what a hostile or mistaken peer can make an agent remember


class Holdings(Values):
    """The newest values of every origin, as the tables that kernels.py asks for (one line per origin: depth 1, step 0)."""

    depth = 1
    step = 0
    uniform = None
    keys: list[int]
    introduction: list[int]
    published: array[int]
    changed: array[int]
    width: array[int]

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._declared = tuple(metrics)
        self.metrics = len(metrics)
        self.priority = [int(metric.priority) for metric in metrics]
        self.keys = []
        self.introduction = []
        self.published = array("q")
        self.changed = array("q")
        self.width = array("q")
        self._levels: list[list[int]] = []
        self._identities: list[Identity | None] = []
        self._generations: dict[str, Identity] = {}

    def find(self, key: int) -> int | None:
        """The slot of an origin, None if it is unknown."""
        slot = bisect_left(self.keys, key)
        return slot if slot < len(self.keys) and self.keys[slot] == key else None

    def current(self, name: str) -> Identity | None:
        """The highest generation of a name that is known."""
        return self._generations.get(name)

    def identities(self) -> list[Identity]:
        """All origins that were introduced, in the order of their keys."""
        return [identity for identity in self._identities if identity is not None]

    def insert(self, key: int) -> int:
        """Make room for an origin of which only the key is known; returns its slot."""
        slot = bisect_left(self.keys, key)
        line = slot * self.metrics
        self.keys.insert(slot, key)
        self.introduction.insert(slot, 0)
        self.published.insert(slot, 0)
        self.changed[line:line] = array("q", bytes(8 * self.metrics))
        self.width[line:line] = array("q", bytes(8 * self.metrics))
        self._levels.insert(slot, [0] * self.metrics)
        self._identities.insert(slot, None)
        return slot

    def name(self, slot: int, identity: Identity) -> None:
        """Say who the origin of a slot is."""
        self._identities[slot] = identity
        self.introduction[slot] = introduction_excess(identity)
        self._generations[identity.name] = identity

    def remove(self, slot: int) -> None:
        """Forget an origin."""
        line = slot * self.metrics
        del self.keys[slot], self.introduction[slot], self.published[slot], self._levels[slot], self._identities[slot]
        del self.changed[line : line + self.metrics]
        del self.width[line : line + self.metrics]

    def publish(self, slot: int, version: int, changes: Sequence[Change], now: int) -> None:
        """See `Values.publish`. Raises `VersionOverflowError` past the largest version of the wire."""
        if version > LARGEST_VERSION:
            raise VersionOverflowError(
                f"origin {self.identity(slot).name!r} has used all {LARGEST_VERSION} versions of its generation; restart it"
            )
        self._take(slot, version, changes, now)

    def store(self, slot: int, update: News | Introduction, now: int) -> None:
        """See `Values.store`."""
        self._take(slot, update.version, update.levels, now - age_of(update.age))

    def _take(self, slot: int, version: int, changes: Sequence[Change], sampled_at: int) -> None:
        self.published[slot] = sampled_at
        for metric, level in changes:
            self._levels[slot][metric] = level
            self.changed[slot * self.metrics + metric] = version
            self.width[slot * self.metrics + metric] = level_size(self._declared[metric], level)

    def changes(self, slot: int, since: int, version: int) -> tuple[Change, ...]:
        """See `Values.changes`; `version` is the one that is held."""
        changed = self.changed[slot * self.metrics : (slot + 1) * self.metrics]
        return tuple((m, level) for m, level in enumerate(self._levels[slot]) if changed[m] > since)

    def age(self, slot: int, version: int, now: int) -> int:
        """See `Values.age`."""
        return now - self.published[slot]

    def identity(self, slot: int) -> Identity:
        """See `Values.identity`. Raises `LookupError` while only the origin's key is known."""
        identity = self._identities[slot]
        if identity is None:
            raise LookupError(f"origin {self.keys[slot]:08x} has not been introduced")
        return identity


class AgentReplica(Replica):
    """The replica of an agent, whose set of origins grows."""

    __slots__ = ("holdings",)

    def __init__(self, identity: Identity, metrics: Sequence[Metric]) -> None:
        self.holdings = Holdings(metrics)
        self.holdings.name(self.holdings.insert(identity.key), identity)
        super().__init__(self.holdings, PLAIN.blank(1), 0, PLAIN)

    def slot(self, key: int) -> int | None:
        """The slot of an origin, made if there is room for one more; None if there is not."""
        slot = self.holdings.find(key)
        if slot is None and len(self.holdings.keys) < MOST_ORIGINS:
            slot = self.holdings.insert(key)
            for row in (self.versions, *self.companions):
                row.insert(slot, 0)
            self.own += slot <= self.own
        return slot

    def introduce(self, identity: Identity) -> int | None:
        """The slot of an origin that is introduced; None if it is the node itself, an older generation, or there is no room."""
        if identity.key == self.key:
            return None
        known = self.holdings.current(identity.name)
        if known is not None and known.generation != identity.generation:
            older = min(known, identity, key=lambda either: either.generation)
            if older.key != self.key:
                self._forget(older.key)
            if older is identity:
                return None
        slot = self.slot(identity.key)
        if slot is not None:
            self.holdings.name(slot, identity)
        return slot

    def _forget(self, key: int) -> None:
        slot = self.holdings.find(key)
        if slot is not None:
            self.holdings.remove(slot)
            for row in (self.versions, *self.companions):
                del row[slot]
            self.own -= slot < self.own
            self.survey()
