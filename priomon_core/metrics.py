"""What a node measures: the name, unit, priority and error bound of each metric.

Every metric has a *scale* on which its error bound is one unit of length. On a linear scale (cpu: 5 points) the position of a
value is `value / bound`; on a log scale (network: a factor of 2) it is `log(value / floor) / log(bound)`, where values under the
floor count as the floor, because nobody cares whether an idle link carries 3 or 9 B/s. The distance of two positions is thus the
error *in bounds*, the same number for every metric: the filter compares it with 1, the measures report it, and plots can show
unlike metrics on one axis.

On the wire and in every replica a value is a *level*: its position in steps of a tenth of the bound, rounded. What observers hold
is therefore exactly what was published, and the filter compares with that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from priomon_core.errors import SettingError

STEPS_PER_BOUND = 10
MAX_METRICS = 56  # the changed metrics of an update are named by a bit mask, and all of them must fit a datagram
LARGEST_LEVEL = (1 << 53) - 1  # integers up to here survive a trip through a double
LARGEST_EXPONENT = 709.0  # exp() of more is no double

Scale = Literal["linear", "log"]
Filter = Literal["none", "schedule", "bounded"]


class Priority(IntEnum):
    """How fast a change has to travel; smaller is more urgent."""

    CRITICAL = 0
    HIGH = 1
    MEDIUM = 2
    LOW = 3


LARGEST_SILENCE = 1e9  # seconds: 31 years, for "never"

# Longest silence (seconds) of a metric that stays within its bound: how old an unchanged value may look.
LONGEST_SILENCE = {Priority.CRITICAL: 10.0, Priority.HIGH: 30.0, Priority.MEDIUM: 60.0, Priority.LOW: 300.0}


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured quantity. `bound` is in `unit` on a linear scale and a factor above 1 on a log scale.

    `silence` is in seconds (None: what the priority implies). A sample that crosses `alarm` is published whatever its error.
    Raises `SettingError` when a field is out of range.
    """

    name: str
    unit: str
    bound: float
    priority: Priority = Priority.MEDIUM
    scale: Scale = "linear"
    floor: float = 1.0
    signed: bool = False
    silence: float | None = None
    alarm: float | None = None
    filter: Filter = "bounded"
    _divisor: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        def refuse(what: str) -> None:
            raise SettingError(f"metric {self.name!r}: {what}")

        if not self.name.isidentifier():
            refuse("the name must be letters, digits and underscores, not starting with a digit")
        if self.scale == "log":
            if not self.bound > 1 or math.isinf(self.bound):
                refuse(f"on a log scale the bound is a factor above 1, got {self.bound}")
            if not self.floor > 0 or math.isinf(self.floor):
                refuse(f"on a log scale the floor must be above 0, got {self.floor}")
            if self.signed:
                refuse("a log scale has no negative values, so signed must stay false")
        elif not self.bound > 0 or math.isinf(self.bound):
            refuse(f"the bound must be above 0, got {self.bound}")
        if self.silence is not None and not 0 < self.silence <= LARGEST_SILENCE:
            refuse(f"the longest silence must be above 0 s and at most {LARGEST_SILENCE:g} s, got {self.silence}")
        if self.alarm is not None and not math.isfinite(self.alarm):
            refuse(f"the alarm must be a number, got {self.alarm}")
        object.__setattr__(self, "_divisor", math.log(self.bound) if self.scale == "log" else self.bound)

    @property
    def longest_silence(self) -> float:
        """Seconds after which an unchanged value is published again."""
        return LONGEST_SILENCE[self.priority] if self.silence is None else self.silence

    @property
    def largest_level(self) -> int:
        """The largest level that may be published: its value is a double."""
        if self.scale == "linear":
            return LARGEST_LEVEL
        exponent = LARGEST_EXPONENT - max(math.log(self.floor), 0.0)
        return min(LARGEST_LEVEL, int(exponent / self._divisor * STEPS_PER_BOUND))

    def position(self, value: float) -> float:
        """Where `value` lies on the metric's scale, in bounds. Raises `SampleError` nowhere: any finite float has a position."""
        if self.scale == "log":
            return math.log(value / self.floor) / self._divisor if value > self.floor else 0.0
        return value / self._divisor

    def level(self, value: float) -> int:
        """The level that stands for `value` on the wire."""
        return round(self.position(value) * STEPS_PER_BOUND)

    def value(self, level: int) -> float:
        """The value in `unit` that `level` stands for; on a log scale level 0 means "at most the floor"."""
        position = level / STEPS_PER_BOUND
        return self.floor * math.exp(position * self._divisor) if self.scale == "log" else position * self._divisor

    def error(self, level: int, value: float) -> float:
        """|published - true| in bounds."""
        return abs(self.position(value) - level / STEPS_PER_BOUND)


CPU = Metric("cpu", "%", 5.0, Priority.HIGH)
MEMORY = Metric("memory", "%", 2.0, Priority.MEDIUM)
NETWORK = Metric("network", "B/s", 2.0, Priority.MEDIUM, scale="log", floor=10_000.0)
STORAGE = Metric("storage", "%", 1.0, Priority.LOW)
BUILT_IN = (CPU, MEMORY, NETWORK, STORAGE)
