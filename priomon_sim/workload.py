"""What the machines measure: a workload gives every node one series of true values per metric, synthetic or replayed.

A series is a function of (seed, node, metric) alone: it does not depend on which node asks first, and a longer one begins with the
shorter. A thousand nodes for a day would not fit in memory, so each is computed when its node asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from priomon_core.errors import SettingError
from priomon_sim.trace import Trace

Series = NDArray[np.float64]
Streams = Callable[[int], np.random.Generator]  # purpose -> random numbers of this node and metric, used for nothing else
LEVELS, TURNS = range(2)  # the purposes


class Workload(Protocol):
    """What a driver asks of a workload."""

    def series(self, node: int, steps: int) -> Series:
        """The true values of `node`, float64 [steps, metrics]; row k is its k-th sample."""

    def note(self, steps: int) -> str:
        """What a reader of the results must know about `steps` samples per node; empty if nothing."""


class Model(Protocol):
    """One metric's behaviour."""

    def series(self, steps: int, interval: float, streams: Streams) -> Series:
        """float64 [steps], one value per `interval` seconds."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same."""

    value: float

    def series(self, steps: int, interval: float, streams: Streams) -> Series:
        return np.full(steps, self.value)


@dataclass(frozen=True, slots=True)
class RandomWalk:
    """Begins uniformly in the range `start`, moves by a normal step per sample, and is reflected at `low` and `high`."""

    start: tuple[float, float]
    deviation: float
    low: float = 0.0
    high: float = 100.0

    def __post_init__(self) -> None:
        _require(self.deviation >= 0, "random walk", f"deviation must be at least 0, got {self.deviation:g}")
        _require_range("random walk", self.low, self.high)
        first, last = self.start
        inside = self.low <= first <= last <= self.high
        _require(inside, "random walk", f"start must be a range within {self.low:g} to {self.high:g}, got {first:g} to {last:g}")

    def series(self, steps: int, interval: float, streams: Streams) -> Series:
        moves = streams(LEVELS).standard_normal(steps) * self.deviation
        width = self.high - self.low
        moves[:1] = streams(TURNS).uniform(*self.start) - self.low
        # Unfolded, a reflected walk is a free one; folding a free one is a triangle wave of it.
        return self.high - np.abs(np.cumsum(moves) % (2 * width) - width)


@dataclass(frozen=True, slots=True)
class OrnsteinUhlenbeck:
    """Noise around a mean that forgets with a time constant of `relaxation` seconds; clipped to [low, high].

    `deviation` is the stationary standard deviation before clipping. The steps are exact for any interval (Gillespie, 1996).
    """

    mean: float
    deviation: float
    relaxation: float
    low: float = 0.0
    high: float = 100.0

    def __post_init__(self) -> None:
        _require(self.deviation >= 0, "Ornstein-Uhlenbeck", f"deviation must be at least 0, got {self.deviation:g}")
        _require(self.relaxation > 0, "Ornstein-Uhlenbeck", f"relaxation must be above 0 s, got {self.relaxation:g}")
        _require_range("Ornstein-Uhlenbeck", self.low, self.high, mean=self.mean)

    def series(self, steps: int, interval: float, streams: Streams) -> Series:
        keep = math.exp(-interval / self.relaxation)
        noise = streams(LEVELS).standard_normal(steps)
        noise[1:] *= math.sqrt(1.0 - keep * keep)  # the first is drawn from the stationary law itself
        path = np.fromiter(accumulate(noise.tolist(), lambda value, kick: keep * value + kick), np.float64, steps)
        return np.clip(self.mean + self.deviation * path, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Diurnal:
    """A sine of `period` seconds, the same hour on all nodes, with independent normal noise; clipped to [low, high]."""

    mean: float
    amplitude: float
    period: float = 86_400.0
    noise: float = 0.0
    low: float = 0.0
    high: float = 100.0

    def __post_init__(self) -> None:
        _require(self.period > 0, "diurnal", f"period must be above 0 s, got {self.period:g}")
        _require(self.noise >= 0, "diurnal", f"noise must be at least 0, got {self.noise:g}")
        _require_range("diurnal", self.low, self.high, mean=self.mean)

    def series(self, steps: int, interval: float, streams: Streams) -> Series:
        wave = np.sin(2 * np.pi * (np.arange(steps) * interval / self.period))
        levels: Series = self.mean + self.amplitude * wave + self.noise * streams(LEVELS).standard_normal(steps)
        return levels.clip(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Bursts:
    """Quiet at a median of `base`, at times busy at a median of `peak`; both with a lognormal spread of `spread`.

    Busy and quiet spells last exponential times with means `on` and `off` seconds; their state at each sample is drawn exactly.
    """

    base: float
    peak: float
    on: float
    off: float
    spread: float = 0.3

    def __post_init__(self) -> None:
        for name, value in (("base", self.base), ("peak", self.peak), ("on", self.on), ("off", self.off)):
            _require(value > 0, "bursts", f"{name} must be above 0, got {value:g}")
        _require(self.spread >= 0, "bursts", f"spread must be at least 0, got {self.spread:g}")

    def series(self, steps: int, interval: float, streams: Streams) -> Series:
        share = self.on / (self.on + self.off)
        memory = math.exp(-interval * (1 / self.on + 1 / self.off))
        stay, enter = share + (1 - share) * memory, share * (1 - memory)

        def turn(state: float, drawn: float) -> float:
            return float(drawn < (stay if state else enter))

        drawn = streams(TURNS).random(steps)
        drawn[:1] = drawn[:1] < share
        busy = np.fromiter(accumulate(drawn.tolist(), turn), np.float64, steps)
        median = np.where(busy > 0, self.peak, self.base)
        return median * np.exp(self.spread * streams(LEVELS).standard_normal(steps))


class Synthetic:
    """A workload of one model per metric, sampled every `interval` seconds."""

    def __init__(self, models: Sequence[Model], interval: float, seed: int) -> None:
        _require(interval > 0, "workload", f"the interval between samples must be above 0 s, got {interval:g}")
        self._models = tuple(models)
        self._interval = interval
        self._seed = seed

    def series(self, node: int, steps: int) -> Series:
        def streams_of(metric: int) -> Streams:
            return lambda purpose: np.random.default_rng([self._seed, node, metric, purpose])

        out = np.empty((steps, len(self._models)))
        for metric, model in enumerate(self._models):
            out[:, metric] = model.series(steps, self._interval, streams_of(metric))
        return out

    def note(self, steps: int) -> str:
        return ""


class Replay:
    """A workload that plays a recording, one recorded row per sample, wrapping round at its end.

    The first nodes play their own series from its start. Further nodes play the same series again from random offsets, no two of
    which are equal as long as the series has that many rows.
    """

    def __init__(self, trace: Trace, nodes: int, seed: int) -> None:
        self._trace = trace
        self._nodes = nodes
        self._offsets = [
            # Offset 0 is the first player's own.
            1 + np.random.default_rng([seed, machine]).permutation(len(series) - 1)
            for machine, series in enumerate(trace.series)
        ]

    def series(self, node: int, steps: int) -> Series:
        turn, machine = divmod(node, len(self._trace.series))
        recorded, offsets = self._trace.series[machine], self._offsets[machine]
        offset = int(offsets[turn % len(offsets)]) if turn and len(offsets) else 0
        return recorded[(offset + np.arange(steps)) % len(recorded)]

    def note(self, steps: int) -> str:
        machines = len(self._trace.series)
        shortest = min(len(series) for series in self._trace.series)
        reused = max(self._nodes - machines, 0)
        parts = [f"{self._nodes:,} nodes replay {machines:,} recorded machine{'s' if machines > 1 else ''}"]
        if reused:
            parts[0] += f": {reused:,} of them with a random offset"
        if math.ceil(self._nodes / machines) > shortest:
            parts.append(f"the shortest recording has {shortest:,} rows, so some of its offsets repeat")
        if steps > shortest:
            parts.append(f"{steps:,} samples are asked of a recording of {shortest:,}, so it wraps round")
        if self._trace.held:
            parts.append(f"{self._trace.held:,} values bridge gaps of the recording")
        return "; ".join(parts)


def _require(good: bool, model: str, rule: str) -> None:
    if not good:
        raise SettingError(f"{model}: {rule}")


def _require_range(model: str, low: float, high: float, mean: float | None = None) -> None:
    _require(low < high and math.isfinite(high - low), model, f"low must be below high and both finite, got {low:g} and {high:g}")
    if mean is not None:
        _require(low <= mean <= high, model, f"the mean must lie from low to high, {low:g} to {high:g}, got {mean:g}")
