"""How long one datagram travels: delay distributions as inverse functions of one uniform number.

A distribution is a row of floats: `[kind, parameters...]`. `delay` turns a row and a uniform number into a delay, so one function
serves every link whatever its distribution, interpreted or compiled (see draws.py). Delays are in nanoseconds and never negative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from reprlib import repr as shortened
from typing import Protocol

from priomon_core.errors import SettingError

CONSTANT, UNIFORM, NORMAL, LOGNORMAL, EMPIRICAL = range(5)


class Latency(Protocol):
    """A distribution of delays."""

    def row(self) -> tuple[float, ...]:
        """The distribution as `delay` reads it."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Always `value` ns."""

    value: int

    def __post_init__(self) -> None:
        _require(self.value >= 0, "constant", f"the delay must be at least 0, got {self.value} ns")

    def row(self) -> tuple[float, ...]:
        return float(CONSTANT), float(self.value)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Between `low` and `high` ns."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _require(0 <= self.low <= self.high, "uniform", f"expected 0 <= low <= high, got {self.low} and {self.high} ns")

    def row(self) -> tuple[float, ...]:
        return float(UNIFORM), float(self.low), float(self.high - self.low)


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal with this mean and deviation; what falls under `minimum` is `minimum`. All in ns."""

    mean: int
    deviation: int
    minimum: int = 0

    def __post_init__(self) -> None:
        _require(self.deviation >= 0, "normal", f"the deviation must be at least 0, got {self.deviation} ns")
        _require(0 <= self.minimum <= self.mean, "normal", f"expected 0 <= minimum <= mean, got {self.minimum} and {self.mean} ns")

    def row(self) -> tuple[float, ...]:
        return float(NORMAL), float(self.mean), float(self.deviation), float(self.minimum)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Lognormal with this median in ns; `sigma` is the standard deviation of the logarithm."""

    median: int
    sigma: float

    def __post_init__(self) -> None:
        _require(self.median > 0, "lognormal", f"the median must be above 0, got {self.median} ns")
        # At 2 the largest of 2**52 draws is e**16 medians; far beyond, delays overflow 64 bits and mean nothing.
        _require(0 <= self.sigma <= 2, "lognormal", f"sigma must be from 0 to 2, got {self.sigma:g}")

    def row(self) -> tuple[float, ...]:
        return float(LOGNORMAL), math.log(self.median), float(self.sigma)


@dataclass(frozen=True, slots=True)
class Empirical:
    """The distribution of measured delays in ns, linear between neighbouring ones."""

    values: tuple[int, ...]

    def __post_init__(self) -> None:
        _require(len(self.values) >= 2, "empirical", f"expected at least two measured delays, got {len(self.values)}")
        _require(min(self.values) >= 0, "empirical", f"a delay cannot be negative, got {min(self.values)} ns")

    def row(self) -> tuple[float, ...]:
        return (float(EMPIRICAL), *map(float, sorted(self.values)))


def of_row(row: object) -> Latency:
    """The distribution that has this row, a sequence of numbers as `row()` gives it. Raises `SettingError` for anything else."""
    found: Latency | None = None
    if isinstance(row, Sequence) and all(type(number) in (int, float) and abs(number) < 2**63 for number in row):
        match row:
            case [kind, value] if kind == CONSTANT:
                found = Constant(int(value))
            case [kind, low, width] if kind == UNIFORM:
                found = Uniform(int(low), int(low) + int(width))
            case [kind, mean, deviation, minimum] if kind == NORMAL:
                found = Normal(int(mean), int(deviation), int(minimum))
            case [kind, log_median, sigma] if kind == LOGNORMAL and log_median < math.log(2**63):
                found = Lognormal(round(math.exp(log_median)), sigma)
            case [kind, *values] if kind == EMPIRICAL:
                found = Empirical(tuple(map(int, values)))
        if found and found.row() == tuple(row):
            return found
    raise SettingError(
        f"latency: found {shortened(row)}, expected in whole ns [{CONSTANT}, value], [{UNIFORM}, low, high - low], "
        f"[{NORMAL}, mean, deviation, minimum], [{LOGNORMAL}, ln(median), sigma] or [{EMPIRICAL}, delays in ascending order...]"
    )


def _require(good: bool, kind: str, rule: str) -> None:
    if not good:
        raise SettingError(f"{kind} latency: {rule}")


# P. J. Acklam's rational approximation of the inverse normal distribution (2003), relative error under 1.2e-9, in Horner's form.
_A = (
    -3.969683028665376e01,
    2.209460984245205e02,
    -2.759285104469687e02,
    1.383577518672690e02,
    -3.066479806614716e01,
    2.506628277459239,
)
_B = (-5.447609879822406e01, 1.615858368580409e02, -1.556989798598866e02, 6.680131188771972e01, -1.328068155288572e01, 1.0)
_C = (-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783)
_D = (7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996, 3.754408661907416, 1.0)
_TAIL = 0.02425


def normal_quantile(u: float) -> float:
    """The value below which a share `u`, 0 < u < 1, of the standard normal distribution lies."""
    tail = min(u, 1.0 - u)
    above = below = 0.0
    if tail < _TAIL:
        x = math.sqrt(-2.0 * math.log(tail))
        for factor in _C:
            above = above * x + factor
        for factor in _D:
            below = below * x + factor
        return above / below if u < 0.5 else -above / below
    x = u - 0.5
    for factor in _A:
        above = above * x * x + factor
    for factor in _B:
        below = below * x * x + factor
    return x * above / below


def delay(row: Sequence[float], u: float) -> int:
    """The delay (ns) below which a share `u`, 0 < u < 1, of the distribution `row` lies."""
    kind = row[0]
    if kind == CONSTANT:
        return int(row[1])
    if kind == UNIFORM:
        return int(row[1] + row[2] * u)
    if kind == NORMAL:
        return int(max(row[1] + row[2] * normal_quantile(u), row[3]))
    if kind == LOGNORMAL:
        return int(math.exp(row[1] + row[2] * normal_quantile(u)))
    place = 1.0 + u * (len(row) - 2)
    below = int(place)
    return int(row[below] + (row[below + 1] - row[below]) * (place - below))
