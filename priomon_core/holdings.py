"""What an agent holds of each origin: who it is and its newest values, in the order of the origins' keys.

The set of origins grows as digests name them and introductions tell who they are. A higher generation of a name replaces the lower
one, from wherever it speaks; a lower one is never taken again.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from priomon_core.errors import VersionOverflowError
from priomon_core.identity import Address, Identity
from priomon_core.metrics import Metric
from priomon_core.octets import LARGEST_VERSION
from priomon_core.priority import Change
from priomon_core.replica import PLAIN, Replica, Values
from priomon_core.wire import Introduction, News, age_of, introduction_excess, level_size

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
        self._at: dict[Address, int] = {}

    def current(self, name: str) -> Identity | None:
        """The highest generation of a name that is known."""
        return self._generations.get(name)

    def at(self, address: Address) -> int | None:
        """The key of the origin that was introduced last with this address."""
        return self._at.get(address)

    def identities(self) -> list[Identity]:
        """All origins that were introduced, in the order of their keys."""
        return [identity for identity in self._identities if identity is not None]

    def insert(self, key: int) -> int:
        """Make room for an origin of which only the key is known; returns its slot."""
        slot = bisect_left(self.keys, key)
        line = slot * self.metrics
        self.layout += 1
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
        self._at[identity.address] = identity.key

    def remove(self, slot: int) -> None:
        """Forget an origin, but not that there was this generation of it."""
        identity = self._identities[slot]
        if identity is not None and self._at.get(identity.address) == identity.key:
            del self._at[identity.address]
        line = slot * self.metrics
        self.layout += 1
        del self.keys[slot], self.introduction[slot], self.published[slot], self._levels[slot], self._identities[slot]
        del self.changed[line : line + self.metrics]
        del self.width[line : line + self.metrics]

    def forget(self, name: str, key: int) -> None:
        """Forget also that there was this generation of a name, if none has followed."""
        if (known := self.current(name)) is not None and known.key == key:
            del self._generations[name]

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
    """The replica of an agent, whose set of origins grows and shrinks."""

    __slots__ = ("_refused", "holdings")

    def __init__(self, identity: Identity, metrics: Sequence[Metric]) -> None:
        self.holdings = Holdings(metrics)
        self.holdings.name(self.holdings.insert(identity.key), identity)
        self._refused: dict[int, str] = {}  # the names of forgotten origins, by key
        super().__init__(self.holdings, PLAIN.blank(1), 0, PLAIN)

    def slot(self, key: int) -> int | None:
        """The slot of an origin, made if it may and there is room for one more; None if not."""
        slot = self.holdings.find(key)
        if slot is None and len(self.holdings.keys) < MOST_ORIGINS and key not in self._refused:
            slot = self.holdings.insert(key)
            for row in (self.versions, *self.companions):
                row.insert(slot, 0)
            self.own += slot <= self.own
        return slot

    def introduce(self, identity: Identity) -> int | None:
        """The slot of an origin that is introduced; None if it is the node itself, an older generation, refused, or there is no room."""
        if identity.key == self.key or identity.key in self._refused:
            return None
        known = self.holdings.current(identity.name)
        if known is not None and known.generation != identity.generation:
            older, younger = sorted((known, identity), key=lambda either: either.generation)
            if older.key != self.key and self._remove(older.key):
                self.superseded.append((older.key, younger.key))
            if older is identity:
                return None
        slot = self.slot(identity.key)
        if slot is not None:
            if known is None:
                self.arrived.append(identity)
            self.holdings.name(slot, identity)
        return slot

    def forget(self, key: int) -> None:
        """See `Replica.forget`."""
        slot = self.holdings.find(key)
        if slot is not None:
            self._refused[key] = self.holdings.identity(slot).name
            self._remove(key)

    def admit(self, key: int) -> None:
        """See `Replica.admit`."""
        self.holdings.forget(self._refused.pop(key, ""), key)

    def tidy(self) -> None:
        """See `Replica.tidy`: slots of origins that were named in a digest, and never introduced, are removed."""
        for key in [key for key, version in zip(self.holdings.keys, self.versions, strict=True) if not version and key != self.key]:
            self._remove(key)

    def key_at(self, peer: Address) -> int | None:
        """The key of the origin at an address, None if none is known."""
        return self.holdings.at(peer)

    def peer_of(self, key: int) -> Address | None:
        """The address of an origin, None if it was not introduced."""
        slot = self.holdings.find(key)
        return None if slot is None or not self.versions[slot] else self.holdings.identity(slot).address

    def _remove(self, key: int) -> bool:
        """Remove an origin; whether anything was known of it."""
        slot = self.holdings.find(key)
        if slot is None:
            return False
        known = self.versions[slot] > 0
        self.holdings.remove(slot)
        for row in (self.versions, *self.companions):
            del row[slot]
        self.own -= slot < self.own
        self.survey()
        return known
