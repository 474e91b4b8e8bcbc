"""What a value of a setting is as a number, and what lies between two of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from priomon_core.errors import SettingError
from priomon_sim.scenario.problems import show
from priomon_sim.scenario.units import DURATION, QUANTITY, RATE, SECOND, SHARE, SIZE, Quantity

# Quantity, what one of its base units is in those of tables, and the name of that.
KINDS = ((DURATION, 1 / SECOND, "s"), (SHARE, 1.0, ""), (RATE, 1.0, "B/s"), (SIZE, 1.0, "B"))
DIGITS = 4  # of a value between the ends of a range

Plain = float | int | bool | str


def plain(value: Any) -> tuple[Plain, str]:
    """A number and its unit (s, B/s, B or none) where `value` is one, with or without a unit of its own; else its text."""
    if isinstance(value, (bool, int, float)):
        return value, ""
    if not isinstance(value, str):
        return json.dumps(value), ""
    kind = _kind(value)
    if kind is None:
        return value, ""
    quantity, factor, unit = kind
    try:
        return quantity.parse(value) * factor, unit
    except SettingError:  # beyond what any setting takes, so that the one it is given to refuses it
        return value, ""


def between(start: Any, stop: Any, scale: str) -> Callable[[float], Any]:
    """The value at a share (0 to 1) of the way from `start` to `stop`, written as those are.

    Raises `SettingError` if they are not two different numbers or quantities of one kind, or not positive on a log scale.
    """
    kinds = [_kind(end) for end in (start, stop)]
    if any(kind is None and not finite(end) for end, kind in zip((start, stop), kinds, strict=True)):
        raise SettingError(f"found a range from {show(start)} to {show(stop)}, expected numbers or quantities such as 100 ms")
    if kinds[0] != kinds[1]:
        raise SettingError(f"found a range from {show(start)} to {show(stop)}, expected both in units of one kind")
    quantity = kinds[0][0] if kinds[0] else None
    a, b = (quantity.parse(end) if quantity else end for end in (start, stop))
    if a == b:
        raise SettingError(f"found a range from {show(start)} to {show(stop)}, expected two different ends")
    if scale == "log" and min(a, b) <= 0:
        raise SettingError(f"found a range from {show(start)} to {show(stop)}, expected both above 0 on a log scale")
    whole = isinstance(a, int) and isinstance(b, int)

    def at(share: float) -> Any:
        if share in (0, 1):
            return stop if share else start
        exact = a * (b / a) ** share if scale == "log" else a + (b - a) * share
        rounded = float(f"{exact:.{DIGITS}g}")
        if quantity:
            return quantity.format(round(rounded) if whole else rounded)
        return round(exact) if whole else rounded

    return at


def finite(value: object) -> bool:
    """Whether a value is a number that can lie on a scale."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _kind(value: Any) -> tuple[Quantity, float, str] | None:
    """The entry of `KINDS` that a text with a unit belongs to."""
    match = QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match and (unit := match.group(2)):
        return next((kind for kind in KINDS if unit in kind[0].units), None)
    return None
