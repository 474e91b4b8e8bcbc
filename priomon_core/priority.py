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
from functools import cache
from math import isfinite

from priomon_core.errors import SampleError
from priomon_core.metrics import STEPS_PER_BOUND, Metric, Priority

SCHEDULE = {Priority.CRITICAL: 1, Priority.HIGH: 1, Priority.MEDIUM: 5, Priority.LOW: 10}  # at the latest every n-th sample

Change = tuple[int, int]  # metric index, level


class Rule:
    """What decides about the samples of one metric; shared by all nodes that measure it.

    `divisor` is the bound of a linear metric, by which a position is found without asking the metric; 0 on a log scale.
    """

    __slots__ = ("alarm", "always", "divisor", "every", "largest", "metric", "silence")

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self.always = metric.filter == "none"
        self.every = SCHEDULE[metric.priority] if metric.filter == "schedule" else None
        self.divisor = metric.bound if metric.scale == "linear" else 0.0
        self.largest = metric.largest_level / STEPS_PER_BOUND
        self.silence = round(metric.longest_silence * 1e9)
        self.alarm = None if metric.alarm is None else metric.position(metric.alarm)

    def locate(self, value: float) -> float | None:
        """The position of a sample, None if it is no number. Raises `SampleError` where no level stands for it."""
        position = value / self.divisor if self.divisor else self.metric.position(value)
        if value >= 0.0 and position <= self.largest:
            return position
        if not isfinite(value):
            return None
        metric = self.metric
        if abs(position) > self.largest:
            raise SampleError(f"metric {metric.name!r}: {value} {metric.unit} is too many bounds from 0; widen its bound")
        if not metric.signed:
            raise SampleError(f"metric {metric.name!r}: {value} {metric.unit} is below 0; declare it with `signed: true` to publish it")
        return position


@cache
def _rules(metrics: tuple[Metric, ...]) -> tuple[Rule, ...]:
    return tuple(Rule(metric) for metric in metrics)


class Publisher:
    """The filter of one node, with its counts.

    `phase` is a share by which the first silence of every metric is shorter, drawn by the driver: nodes that start together would
    otherwise end their silences together, again and again.

    `published[i]` and `filtered[i]` count the samples of metric i that were and were not worth publishing, `missing[i]` those that
    had no finite value.
    """

    __slots__ = ("_due", "_held", "_phase", "_previous", "_rules", "_since", "filtered", "missing", "published")

    def __init__(self, metrics: Sequence[Metric], phase: float = 0.0) -> None:
        self._phase = phase
        self._rules = _rules(tuple(metrics))
        self._held: list[float | None] = [None] * len(metrics)  # positions of the levels published last
        self._due = [0] * len(metrics)  # when the longest silences will have passed
        self._previous = [0.0] * len(metrics)  # positions of the samples before
        self._since = [0] * len(metrics)  # samples since the last publication
        self.published = [0] * len(metrics)
        self.filtered = [0] * len(metrics)
        self.missing = [0] * len(metrics)

    def select(self, values: Sequence[float], now: int) -> list[Change]:
        """The changes to publish of one sample: `values[i]` in the unit of metric i, taken at `now` (ns).

        A value that is not finite is no sample: the metric keeps what was published. Raises `SampleError`, before anything is counted
        or remembered, for a wrong number of values or a value that the metric's scale cannot express.
        """
        rules = self._rules
        if len(values) != len(rules):
            raise SampleError(f"expected {len(rules)} values, one per metric, found {len(values)}")
        positions = [rule.locate(value) for rule, value in zip(rules, values, strict=True)]
        changes: list[Change] = []
        for index, position in enumerate(positions):
            if position is None:
                self.missing[index] += 1
            elif rules[index].always or self._worth(index, position, now):
                self.published[index] += 1
                changes.append((index, round(position * STEPS_PER_BOUND)))
            else:
                self.filtered[index] += 1
        return changes

    def _worth(self, index: int, position: float, now: int) -> bool:
        """Whether a sample is worth publishing; remembers it."""
        rule, held = self._rules[index], self._held[index]
        if held is None:
            worth = True
        elif rule.every is not None:
            self._since[index] += 1
            worth = self._since[index] >= rule.every or abs(position - self._previous[index]) >= 1.0
        else:
            worth = abs(position - held) >= 1.0 or now >= self._due[index]
            if rule.alarm is not None:
                worth |= (position >= rule.alarm) != (held >= rule.alarm)
        self._previous[index] = position
        if worth:
            self._held[index] = round(position * STEPS_PER_BOUND) / STEPS_PER_BOUND
            self._due[index] = now + (rule.silence if held is not None else round(rule.silence * (1.0 - self._phase)))
            self._since[index] = 0
        return worth
