"""Which samples are worth publishing.

`bounded` publishes a metric when its sample lies at least one bound away from the *last published* level, when the metric's longest
silence has passed, or when the sample crosses the alarm threshold. What observers hold is the last published level, so an observer
that lacks no publication is always within the bound of the sample: the filter costs no accuracy that was not asked for.

Two other filters exist to compare with. `none` publishes every sample. `schedule` is the prototype's rule: by priority every 1st, 1st,
5th or 10th sample, and in between when the sample differs by a bound from the *previous sample*; a slow drift never does, so between
two scheduled samples its error has no limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from priomon_core.errors import SampleError
from priomon_core.metrics import LARGEST_LEVEL, STEPS_PER_BOUND, Metric, Priority

SCHEDULE = {Priority.CRITICAL: 1, Priority.HIGH: 1, Priority.MEDIUM: 5, Priority.LOW: 10}  # at the latest every n-th sample

Change = tuple[int, int]  # metric index, level


class Publisher:
    """The filter of one node, with its counts.

    `published[i]` and `filtered[i]` count the samples of metric i that were and were not worth publishing, `missing[i]` those that
    had no finite value.
    """

    __slots__ = ("_tracks", "filtered", "missing", "published")

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self._tracks = [_Track(metric) for metric in metrics]
        self.published = [0] * len(metrics)
        self.filtered = [0] * len(metrics)
        self.missing = [0] * len(metrics)

    def select(self, values: Sequence[float], now: int) -> list[Change]:
        """The changes to publish of one sample: `values[i]` in the unit of metric i, taken at `now` (ns).

        A value that is not finite is no sample: the metric keeps what was published. Raises `SampleError`, before anything is counted
        or remembered, for a wrong number of values or a value that the metric's scale cannot express.
        """
        if len(values) != len(self._tracks):
            raise SampleError(f"expected {len(self._tracks)} values, one per metric, found {len(values)}")
        positions = [track.locate(value) for track, value in zip(self._tracks, values, strict=True)]
        changes: list[Change] = []
        for index, position in enumerate(positions):
            if position is None:
                self.missing[index] += 1
            elif (level := self._tracks[index].decide(position, now)) is not None:
                self.published[index] += 1
                changes.append((index, level))
            else:
                self.filtered[index] += 1
        return changes


class _Track:
    """What the filter remembers of one metric: the level published last and when, and the sample before this one."""

    __slots__ = ("alarm", "always", "level", "metric", "previous", "published_at", "samples_since", "silence")

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.always = metric.filter == "none"
        self.silence = round(metric.longest_silence * 1e9)
        self.alarm = None if metric.alarm is None else metric.position(metric.alarm)
        self.published_at: int | None = None
        self.level = 0
        self.previous = 0.0
        self.samples_since = 0

    def locate(self, value: float) -> float | None:
        """The position of a sample, None if there is none. Raises `SampleError` where no level stands for it."""
        if not isfinite(value):
            return None
        metric = self.metric
        position = metric.position(value)
        if position < 0 and not metric.signed:
            raise SampleError(f"metric {metric.name!r}: {value} {metric.unit} is below 0; declare it with `signed: true` to publish it")
        if abs(position) * STEPS_PER_BOUND > LARGEST_LEVEL:
            raise SampleError(f"metric {metric.name!r}: {value} {metric.unit} is too many bounds from 0; widen its bound")
        return position

    def decide(self, position: float, now: int) -> int | None:
        """The level to publish, which is remembered as published; None if the sample is not worth it."""
        self.samples_since += 1
        worth = self.always or self.published_at is None or self._worth(position, now - self.published_at)
        self.previous = position
        if not worth:
            return None
        self.published_at = now
        self.samples_since = 0
        self.level = round(position * STEPS_PER_BOUND)
        return self.level

    def _worth(self, position: float, silent: int) -> bool:
        if self.metric.filter == "schedule":
            return self.samples_since >= SCHEDULE[self.metric.priority] or abs(position - self.previous) >= 1.0
        held = self.level / STEPS_PER_BOUND
        crossed = self.alarm is not None and (position >= self.alarm) != (held >= self.alarm)
        return abs(position - held) >= 1.0 or silent >= self.silence or crossed
