"""What a node noticed about others: frozen values that it collects and its driver drains.

`at` is in ns of the node's clock, `key` and `name` say of whom.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""

    at: int
    key: int
    name: str


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """A node introduced itself, or was introduced. An agent tells this; in a simulation the rows do."""


@dataclass(frozen=True, slots=True)
class Restarted(Event):
    """A newer generation of a node has taken the place of the one with the key `before`."""

    before: int


@dataclass(frozen=True, slots=True)
class Suspected(Event):
    """The node is suspected, by `accuser` (a name); `rule` says why, as far as this node knows."""

    accuser: str
    rule: str


@dataclass(frozen=True, slots=True)
class Refuted(Event):
    """The node, maybe this one itself, has refuted a suspicion or a verdict; `was_dead` tells which."""

    incarnation: int
    was_dead: bool


@dataclass(frozen=True, slots=True)
class Died(Event):
    """The node is held dead; `rule` says by what."""

    rule: str


@dataclass(frozen=True, slots=True)
class Left(Event):
    """The node said that it leaves."""


@dataclass(frozen=True, slots=True)
class Forgotten(Event):
    """The tombstone of a node has expired; nothing is known of it any more."""


@dataclass(frozen=True, slots=True)
class Flapping(Event):
    """The node was held dead and came back `times` in short succession; it is suspected for longer from now."""

    times: int


@dataclass(frozen=True, slots=True)
class Stalled(Event):
    """This node itself woke `late` ns after its deadline; it holds its verdicts."""

    late: int
