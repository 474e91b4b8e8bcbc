"""Scales, levels and errors of metrics, and what a declaration may say."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.errors import SettingError
from priomon_core.metrics import BUILT_IN, CPU, LARGEST_LEVEL, LONGEST_SILENCE, NETWORK, STEPS_PER_BOUND, Metric, Priority

BOUNDS = st.floats(1e-3, 1e6)
FACTORS = st.floats(1.001, 1e3)


def linear(bound: float) -> Metric:
    return Metric("m", "u", bound, signed=True)


@given(BOUNDS, st.floats(-1e9, 1e9))
def test_linear_level_is_within_half_a_step(bound: float, value: float) -> None:
    metric = linear(bound)
    assert metric.error(metric.level(value), value) <= 0.5 / STEPS_PER_BOUND * (1 + 1e-3)
    assert abs(metric.value(metric.level(value)) - value) <= bound * 0.0501 + abs(value) * 1e-12


@given(FACTORS, st.floats(1e-3, 1e6), st.floats(0, 1e15))
def test_log_level_is_within_half_a_step_of_the_factor(bound: float, floor: float, value: float) -> None:
    metric = Metric("m", "u", bound, scale="log", floor=floor)
    held = metric.value(metric.level(value))
    assert metric.level(value) >= 0
    ratio = held / max(value, floor)
    assert bound**-0.0501 <= ratio <= bound**0.0501


@given(BOUNDS, st.floats(-1e6, 1e6))
def test_one_bound_is_one_unit_of_length(bound: float, value: float) -> None:
    metric = linear(bound)
    assert metric.position(value + bound) - metric.position(value) == pytest.approx(1, abs=1e-5)


@given(FACTORS, st.floats(1, 1e6))
def test_one_factor_is_one_unit_of_length(bound: float, value: float) -> None:
    metric = Metric("m", "u", bound, scale="log")
    assert metric.position(value * bound) - metric.position(value) == pytest.approx(1, abs=1e-5)


def test_built_in() -> None:
    assert [metric.name for metric in BUILT_IN] == ["cpu", "memory", "network", "storage"]
    assert CPU.level(52.4) == 105 and CPU.value(105) == 52.5
    assert CPU.error(105, 57.5) == pytest.approx(1)
    assert NETWORK.level(0) == NETWORK.level(10_000) == 0 and NETWORK.value(0) == 10_000
    assert NETWORK.level(80_000) == 30 and NETWORK.value(30) == pytest.approx(80_000)
    assert NETWORK.error(30, 160_000) == pytest.approx(1)


def test_longest_silence() -> None:
    assert [Metric("m", "u", 1, priority).longest_silence for priority in Priority] == list(LONGEST_SILENCE.values())
    assert Metric("m", "u", 1, silence=2.5).longest_silence == 2.5


@given(st.floats(1.0001, 1e300), st.floats(1e-300, 1e300))
def test_the_largest_level_has_a_value(bound: float, floor: float) -> None:
    metric = Metric("m", "u", bound, scale="log", floor=floor)
    assert 0 < metric.value(metric.largest_level) < math.inf
    assert metric.largest_level <= LARGEST_LEVEL


def test_the_largest_level_reaches_far() -> None:
    assert NETWORK.value(NETWORK.largest_level) > 1e300


def test_the_largest_linear_level_is_an_exact_double() -> None:
    assert linear(1).largest_level == LARGEST_LEVEL == int(float(LARGEST_LEVEL))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "2x"}, "metric '2x': the name must be letters"),
        ({"name": "a b"}, "the name must be letters"),
        ({"bound": 0}, "the bound must be above 0, got 0"),
        ({"bound": -1}, "the bound must be above 0"),
        ({"bound": math.nan}, "the bound must be above 0, got nan"),
        ({"bound": math.inf}, "the bound must be above 0, got inf"),
        ({"bound": 1, "scale": "log"}, "on a log scale the bound is a factor above 1"),
        ({"bound": math.inf, "scale": "log"}, "a factor above 1"),
        ({"bound": math.nan, "scale": "log"}, "a factor above 1"),
        ({"bound": 2, "scale": "log", "floor": 0}, "the floor must be above 0"),
        ({"bound": 2, "scale": "log", "floor": math.inf}, "the floor must be above 0"),
        ({"bound": 2, "scale": "log", "signed": True}, "signed must stay false"),
        ({"silence": 0}, "the longest silence must be above 0 s"),
        ({"silence": math.inf}, "at most 1e[+]09 s, got inf"),
        ({"silence": math.nan}, "the longest silence"),
        ({"alarm": math.nan}, "the alarm must be a number, got nan"),
        ({"alarm": math.inf}, "the alarm must be a number, got inf"),
    ],
)
def test_bad_declarations(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Metric(**{"name": "m", "unit": "u", "bound": 1.0, **fields})
