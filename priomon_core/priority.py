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
from priomon_core.metrics import STEPS_PER_BOUND, Metric, Priority

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
        positions: list[float | None] = []
        for track, value in zip(self._tracks, values, strict=True):
            found = value / track.divisor if track.divisor else track.metric.position(value)
            positions.append(found if value >= 0.0 and found <= track.largest else track.check(value, found))
        changes: list[Change] = []
        for index, track in enumerate(self._tracks):
            if (position := positions[index]) is None:
                self.missing[index] += 1
            elif track.always or track.worth(position, now):
                self.published[index] += 1
                changes.append((index, track.publish(position, now)))
            else:
                self.filtered[index] += 1
        return changes


class _Track:
    """What the filter remembers of one metric: the level published last and when, and the sample before this one.

    `divisor` is the bound of a linear metric, by which a sample's position is found without asking the metric; 0 on a log scale.
    """

    __slots__ = ("alarm", "always", "divisor", "due", "held", "largest", "metric", "previous", "samples_since", "silence")

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.always = metric.filter == "none"
        self.divisor = metric.bound if metric.scale == "linear" else 0.0
        self.largest = metric.largest_level / STEPS_PER_BOUND
        self.silence = round(metric.longest_silence * 1e9)
        self.alarm = None if metric.alarm is None else metric.position(metric.alarm)
        self.held: float | None = None  # position of the level published last
        self.due = 0  # when the longest silence will have passed
        self.previous = 0.0
        self.samples_since = 0

    def check(self, value: float, position: float) -> float | None:
        """The position of an unusual sample, None if it is no number. Raises `SampleError` where no level stands for it."""
        metric = self.metric
        if not isfinite(value):
            return None
        if abs(position) > self.largest:
            raise SampleError(f"metric {metric.name!r}: {value} {metric.unit} is too many bounds from 0; widen its bound")
        if not metric.signed:
            raise SampleError(f"metric {metric.name!r}: {value} {metric.unit} is below 0; declare it with `signed: true` to publish it")
        return position

    def worth(self, position: float, now: int) -> bool:
        """Whether a sample is worth publishing; it is remembered as the previous one."""
        previous, self.previous = self.previous, position
        self.samples_since += 1
        if self.held is None:
            return True
        if self.metric.filter == "schedule":
            return self.samples_since >= SCHEDULE[self.metric.priority] or abs(position - previous) >= 1.0
        crossed = self.alarm is not None and (position >= self.alarm) != (self.held >= self.alarm)
        return abs(position - self.held) >= 1.0 or now >= self.due or crossed

    def publish(self, position: float, now: int) -> int:
        """Remember a sample as published; returns its level."""
        level = round(position * STEPS_PER_BOUND)
        self.held = level / STEPS_PER_BOUND
        self.due = now + self.silence
        self.samples_since = 0
        return level
