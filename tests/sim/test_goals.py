"""Goals: what can be written, what it means, how bad a miss is."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from priomon_core.errors import SettingError
from priomon_results.sweep.store import MEASURES, SETTLED_ERROR
from priomon_sim.goals import Goal, find_measure, identifier, in_asked_bounds, measures, parse_goals
from priomon_sim.scenario.document import Scenario

KNOWN = {identifier(measure.name): measure for measure in MEASURES}
NANOSECONDS = st.integers(0, 10**17).map(lambda ns: ns / 1e9)
RATES = st.floats(0.125, 1e14)
OTHERS = st.floats(allow_nan=False, allow_infinity=False)


def one(text: str) -> Goal:
    (goal,) = parse_goals([text], KNOWN)
    return goal


@st.composite
def goals(draw: st.DrawFn) -> Goal:
    measure = draw(st.sampled_from([*KNOWN.values()]))
    limits = {"s": NANOSECONDS, "B/s": RATES, "B": st.integers(1, 10**12).map(float)}.get(measure.unit, OTHERS)
    return Goal(measure, draw(st.sampled_from(["<=", ">="])), draw(limits))


@given(goals())
def test_a_goal_survives_being_written(goal: Goal) -> None:
    assert one(str(goal)) == goal


@given(st.lists(goals(), min_size=1, max_size=4), st.sampled_from([",", " , ", ",\n"]))
def test_several_goals_may_share_a_text(several: list[Goal], comma: str) -> None:
    assert parse_goals([comma.join(map(str, several))], KNOWN) == several
    assert parse_goals([str(goal) for goal in several], KNOWN) == several


@given(st.text())
def test_any_other_text_is_refused_with_the_option(text: str) -> None:
    try:
        parse_goals([text], KNOWN)
    except SettingError as error:
        assert str(error).startswith("goal ")
    else:
        assert "<=" in text or ">=" in text


@given(goals(), st.floats(allow_nan=False))
def test_a_miss_is_nothing_exactly_where_the_goal_is_met(goal: Goal, value: float) -> None:
    met = value <= goal.limit if goal.relation == "<=" else value >= goal.limit
    assume(met or abs(value - goal.limit) > 1e-300)  # smaller distances vanish in a share
    assert (goal.miss(value) == 0) == met


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("lag_p99 <= 3 s", 3.0),
        ("lag_p99<=250ms", 0.25),
        ("lag p99 <= 2 min", 120.0),
        ("bytes <= 4 kbit/s", 500.0),
        ("bytes_per_message <= 1 kB", 1000.0),
        ("error_max <= 1 bound", 1.0),
        ("error_p99 <= 1.5 bounds", 1.5),
        ("coverage_at_the_end >= 99 %", 0.99),
        ("coverage_at_the_end >= 1", 1.0),
        ("published <= 20 %", 20.0),
        ("convergence <= 10 rounds", 10.0),
    ],
)
def test_limits_are_in_the_unit_of_the_measure(text: str, limit: float) -> None:
    assert one(text).limit == limit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lag_p99", "expected a measure, <= or >=, and a limit"),
        ("lag_p99 < 3 s", "expected a measure, <= or >=, and a limit"),
        ("lag_p99 <= 3", "found 3, expected a limit in s"),
        ("lag_p99 <= 3 rounds", "expected a duration in s, ms"),
        ("lag_p99 <= -3 s", "expected a duration from"),
        ("bytes <= 3", "expected a limit in B/s"),
        ("error_p99 <= 3 s", "found 3 s, expected a limit in bounds"),
        ("redundancy <= 3 times", "expected a plain number or %"),
        ("published <= 1e999 %", "expected a number that can be reached"),
        ("lag_p98 <= 3 s", "unknown measure 'lag_p98'; did you mean lag_p99?"),
        ("pigs <= 3 s", "expected one of convergence, coverage_at_the_end, bytes_per_node"),
    ],
)
def test_what_is_wrong_with_a_goal_is_told(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=r"^goal ") as caught:
        one(text)
    assert message in str(caught.value)


def test_the_worst_seed_counts() -> None:
    assert one("lag_p99 <= 3 s").worst([1.0, 2.0]) == 2.0
    assert one("coverage_at_the_end >= 1").worst([1.0, 0.5]) == 0.5
    assert one("lag_p99 <= 3 s").worst([1.0, None]) == math.inf
    assert one("coverage_at_the_end >= 1").miss(one("coverage_at_the_end >= 1").worst([None])) == math.inf


def test_a_miss_is_a_share_of_the_limit() -> None:
    assert one("lag_p99 <= 2 s").miss(3.0) == 0.5
    assert one("coverage_at_the_end >= 50 %").miss(0.25) == 0.5
    assert one("redundancy <= 0").miss(0.25) == 0.25


def test_measures_are_those_that_the_scenario_can_have(scenario: Callable[..., Scenario]) -> None:
    plain = measures(scenario())
    assert {"bytes_per_node", "lag_p99", "settled_error", "cpu_error_p99"} <= plain.keys()
    assert plain["cpu_error_p99"].unit == "%"
    assert not {"false_deaths", "query_success", "saving"} & plain.keys()
    more = measures(scenario("detection.detector=swim", "queries={level: majority}", "metrics.cpu.enabled=false"))
    assert {"false_deaths", "99_hold_it_dead", "query_success"} <= more.keys()
    assert "cpu_error_p99" not in more


def test_bytes_is_short_for_bytes_per_node() -> None:
    assert find_measure("bytes", KNOWN).name == "bytes per node"


def test_errors_are_in_the_bounds_that_were_asked_for() -> None:
    errors = {"cpu": {"p50": 0.25, "p99": 0.5, "max": 1.0}, "memory": {"p50": None, "p99": None, "max": None}}
    summary = in_asked_bounds({"error_in_bounds": errors, "settled_error_in_bounds": errors, "kept": 1}, 2.0)
    assert SETTLED_ERROR.read(summary) == 2.0
    assert KNOWN["error_p99"].read(summary) == 1.0
    assert summary["error_in_bounds"]["memory"]["p99"] is None
    assert summary["kept"] == 1
