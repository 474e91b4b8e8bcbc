"""Trials of settings between two measures: which of them no other beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """A trial as a point: `x` is the measure that a goal limits, `y` the one to be made small; infinite where it never came to one.

    `group` is what tells it from others at a glance. `feasible` says whether it meets all goals, `eligible` whether all but that on x.
    """

    number: int
    group: str
    x: float
    y: float
    feasible: bool
    eligible: bool
    seeds: int


def frontier(marks: Sequence[Mark], *, rising: bool = False) -> list[Mark]:
    """The eligible trials that no other one equals or beats in both measures, by x; `rising`: a large x is the better one."""
    sign = -1 if rising else 1
    found: list[Mark] = []
    known = (mark for mark in marks if mark.eligible and math.isfinite(mark.x) and math.isfinite(mark.y))
    for mark in sorted(known, key=lambda mark: (sign * mark.x, mark.y, mark.number)):
        if not found or mark.y < found[-1].y:
            found.append(mark)
    return sorted(found, key=lambda mark: mark.x)
