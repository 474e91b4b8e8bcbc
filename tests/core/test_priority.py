"""The filters: what bounded promises, what the prototype's schedule does not, and the counts."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from priomon_core.config import SECOND
from priomon_core.errors import SampleError
from priomon_core.metrics import BUILT_IN, LARGEST_LEVEL, Filter, Metric, Priority
from priomon_core.priority import SCHEDULE, Publisher

LINEAR = Metric("temperature", "K", 3.0, Priority.LOW, signed=True)
LOG = Metric("traffic", "B/s", 2.0, Priority.MEDIUM, scale="log", floor=100.0)
CPU = Metric("cpu", "%", 5.0, Priority.MEDIUM)

JUMPS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)
WALKS = st.lists(st.floats(-4, 4), min_size=1, max_size=60).map(lambda steps: [sum(steps[: i + 1]) for i in range(len(steps))])
DRIFTS = st.builds(
    lambda start, slope, n: [start + slope * i for i in range(n)], st.floats(-50, 50), st.floats(-0.5, 0.5), st.integers(1, 60)
)


def levels(metric: Metric, samples: Sequence[float], every: int = SECOND) -> list[int | None]:
    """What is published at each sample, None where nothing is."""
    publisher = Publisher((metric,))
    found = [publisher.select((value,), i * every) for i, value in enumerate(samples)]
    return [changes[0][1] if changes else None for changes in found]


def errors(metric: Metric, samples: Sequence[float]) -> list[float]:
    """The error in bounds, after each sample, of an observer that lacks no publication."""
    held: list[int] = []
    for level in levels(metric, samples):
        held.append(held[-1] if level is None else level)
    return [metric.error(level, value) for level, value in zip(held, samples, strict=True)]


@given(JUMPS | WALKS | DRIFTS)
def test_bounded_keeps_a_linear_error_below_one_bound(samples: list[float]) -> None:
    assert max(errors(LINEAR, samples)) < 1


@given((JUMPS | WALKS | DRIFTS).map(lambda samples: [math.exp(min(abs(value), 300)) for value in samples]))
def test_bounded_keeps_a_log_error_below_one_bound(samples: list[float]) -> None:
    assert max(errors(LOG, samples)) < 1


@given(st.floats(0.05, 0.95), st.sampled_from([Priority.MEDIUM, Priority.LOW]))
def test_schedule_lets_a_drift_pass_where_bounded_holds_it(slope: float, priority: Priority) -> None:
    bound = 2.0
    drift = [bound * slope * i for i in range(40)]
    schedule = Metric("m", "u", bound, priority, filter="schedule")
    # The drift runs unseen until the n-th sample, n - 1 steps after the last publication.
    assert max(errors(schedule, drift)) == pytest.approx(slope * (SCHEDULE[priority] - 1), abs=0.051)
    assert max(errors(replace(schedule, filter="bounded"), drift)) < 1


def test_a_drift_passes_three_bounds_under_schedule() -> None:
    drift = [0.9 * 5 * i for i in range(20)]
    assert max(errors(replace(CPU, filter="schedule"), drift)) > 3
    assert max(errors(CPU, drift)) < 1


@given(st.floats(0, 100), st.integers(1, 20), st.integers(1, 30))
def test_a_constant_is_published_once_per_longest_silence(value: float, silence: int, count: int) -> None:
    found = levels(replace(CPU, silence=float(silence)), [value] * count)
    assert [i for i, level in enumerate(found) if level is not None] == list(range(0, count, silence))


def test_silence_counts_from_the_last_publication() -> None:
    found = levels(replace(CPU, silence=3.0), [10, 10, 20, 20, 20, 20])
    assert [level is not None for level in found] == [True, False, True, False, False, True]


@pytest.mark.parametrize(("first", "second"), [(79, 80), (80, 79), (79, 81), (81, 79)])
def test_crossing_the_alarm_is_published_at_once(first: float, second: float) -> None:
    assert levels(replace(CPU, alarm=80.0), [first, second]) == [CPU.level(first), CPU.level(second)]


@pytest.mark.parametrize(("first", "second"), [(81, 83), (80, 82), (76, 78)])
def test_staying_on_one_side_of_the_alarm_is_not(first: float, second: float) -> None:
    assert levels(replace(CPU, alarm=80.0), [first, second]) == [CPU.level(first), None]


def test_one_bound_is_worth_it_and_less_is_not() -> None:
    assert levels(CPU, [50, 54.999, 55]) == [100, None, 110]
    assert levels(CPU, [50, 45.001, 45]) == [100, None, 90]


@pytest.mark.parametrize(("priority", "every"), SCHEDULE.items())
def test_schedule_publishes_every_nth_sample(priority: Priority, every: int) -> None:
    found = levels(Metric("m", "u", 5.0, priority, filter="schedule"), [50.0] * 31)
    assert [i for i, level in enumerate(found) if level is not None] == list(range(0, 31, every))


def test_schedule_compares_with_the_previous_sample() -> None:
    metric = replace(CPU, filter="schedule")
    assert levels(metric, [50, 53, 56]) == [100, None, None]
    assert levels(metric, [50, 53, 58]) == [100, None, 116]


def test_none_publishes_every_sample() -> None:
    assert levels(replace(CPU, filter="none"), [50, 50, 50.1]) == [100, 100, 100]


@given(
    st.lists(
        st.tuples(st.floats(0, 100) | st.just(math.nan), st.floats(0, 100), st.floats(0, 1e9) | st.just(math.inf), st.floats(0, 100)),
        max_size=40,
    ),
    st.sampled_from(["none", "schedule", "bounded"]),
)
def test_every_sample_is_counted_once(samples: list[tuple[float, ...]], name: Filter) -> None:
    metrics = [replace(metric, filter=name) for metric in BUILT_IN]
    publisher = Publisher(metrics)
    changes = [change for i, values in enumerate(samples) for change in publisher.select(values, i * SECOND)]
    for index in range(len(metrics)):
        column = [values[index] for values in samples]
        assert publisher.published[index] == sum(metric == index for metric, _ in changes)
        assert publisher.missing[index] == sum(not math.isfinite(value) for value in column)
        assert publisher.published[index] + publisher.filtered[index] + publisher.missing[index] == len(samples)


def test_no_value_leaves_what_was_published() -> None:
    assert levels(CPU, [50, math.nan, 54, -math.inf, 55]) == [100, None, None, None, 110]
    assert levels(CPU, [math.nan, 50]) == [None, 100]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((1.0,), "expected 2 values, one per metric, found 1"),
        ((1.0, 2.0, 3.0), "expected 2 values, one per metric, found 3"),
        ((90.0, -1.0), "metric 'traffic': -1.0 B/s is below 0"),
        ((-0.5, 900.0), "metric 'cpu': -0.5 % is below 0; declare it with `signed: true`"),
        ((1e300, 900.0), "metric 'cpu': 1e[+]300 % is too many bounds from 0; widen its bound"),
        ((90.0, 1.7e308), "metric 'traffic': .* is too many bounds from 0"),
    ],
)
def test_a_refused_sample_changes_nothing(values: tuple[float, ...], said: str) -> None:
    metrics = (CPU, LOG)
    refused, spared = Publisher(metrics), Publisher(metrics)
    for publisher in (refused, spared):
        assert publisher.select((50.0, 200.0), 0) == [(0, 100), (1, 10)]
    with pytest.raises(SampleError, match=said):
        refused.select(values, SECOND)
    assert (refused.published, refused.filtered, refused.missing) == ([1, 1], [0, 0], [0, 0])
    for i, later in enumerate([(54.0, 300.0), (55.0, 400.0)], 2):
        assert refused.select(later, i * SECOND) == spared.select(later, i * SECOND)


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1.7e308)
@example(LARGEST_LEVEL * 0.3)
def test_what_is_published_has_a_value(value: float) -> None:
    for metric in (LINEAR, LOG, replace(LOG, floor=1e-6), replace(LINEAR, bound=1e-12)):
        try:
            ((_, level),) = Publisher((metric,)).select((value,), 0)
        except SampleError:
            continue
        assert abs(level) <= metric.largest_level
        assert metric.error(level, value) <= 0.0501 or abs(metric.position(value)) > 1e12  # past 1e12 bounds a double is coarser
        assert math.isfinite(metric.value(level))
