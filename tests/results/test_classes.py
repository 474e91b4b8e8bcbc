"""Accounts by priority class: lags, dissemination and alarms, worked out by hand."""

import math

import numpy as np
import pytest

from priomon_core.metrics import Metric, Priority
from priomon_results.classes import alarm_delays, present, quantile, spread_by_class
from priomon_results.measures import Publications, measure
from priomon_results.spread import Spread

SECOND = 1_000_000_000
HOT = Metric("hot", "u", 1.0, Priority.CRITICAL, alarm=5.0)
COLD = Metric("cold", "u", 1.0, Priority.LOW)
METRICS = (COLD, HOT)
# Origin 0 publishes at 1 s (both), 2 s (cold) and 3 s (hot crosses its alarm); origin 1 at 1 s.
TABLE = Publications(
    np.array([3, 1]),
    np.array([[0, 1, 2, 3], [0, 1, 0, 0]]) * SECOND,
    np.array([[[0, 0], [1, 1], [2, 1], [2, 3]], [[0, 0], [1, 1], [0, 0], [0, 0]]]),
    np.array([[[0, 0], [10, 10], [30, 10], [30, 60]], [[0, 0], [10, 60], [0, 0], [0, 0]]]),
)
SPREADS = [Spread(0, 1, SECOND, [0.1, 0.2, 0.3]), Spread(0, 2, 2 * SECOND, [1.0, 2.0, math.nan]), Spread(0, 3, 3 * SECOND, [0.3, 0.4, 0.5])]


def test_the_classes_of_a_run() -> None:
    assert present(METRICS) == [Priority.CRITICAL, Priority.LOW]


def test_an_update_is_of_its_most_urgent_change() -> None:
    assert spread_by_class(SPREADS, TABLE, METRICS) == {
        "critical": {"t50": 0.1, "t99": 0.2, "t100": 0.3},
        "low": {"t50": 1.0, "t99": 2.0, "t100": None},
    }


def test_an_alarm_is_heard_when_99_percent_hold_the_crossing() -> None:
    assert alarm_delays(SPREADS, TABLE, METRICS) == {"count": 1, "p50": 0.4, "p99": 0.4, "max": 0.4}


def test_the_first_value_crosses_no_alarm() -> None:
    assert alarm_delays([Spread(1, 1, SECOND, [0.1, 0.2, 0.3])], TABLE, METRICS)["count"] == 0


def test_a_lag_of_a_class_counts_only_its_updates() -> None:
    versions = np.array([[3, 1], [1, 1]])  # node 1 lacks versions 2 and 3 of node 0
    look = measure(versions, TABLE, np.full((2, 2), math.nan), METRICS, 10 * SECOND)
    assert look.lag.maximum == 8
    assert look.classes[Priority.LOW].maximum == 8
    assert look.classes[Priority.CRITICAL].maximum == 7
    versions[1, 0] = 2
    look = measure(versions, TABLE, np.full((2, 2), math.nan), METRICS, 10 * SECOND)
    assert look.classes[Priority.LOW].maximum == 0
    assert look.classes[Priority.CRITICAL].maximum == look.lag.maximum == 7


@pytest.mark.parametrize(
    ("times", "share", "expected"), [([3.0, 1.0, 2.0], 0.5, 2.0), ([1.0, math.nan], 0.5, 1.0), ([1.0, math.nan], 1, None)]
)
def test_what_never_came_is_later_than_all(times: list[float], share: float, expected: float | None) -> None:
    assert quantile(times, share) == expected
    assert quantile([], share) is None
