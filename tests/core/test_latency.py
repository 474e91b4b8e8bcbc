"""The distributions of delays: their quantiles, and the way to a row and back."""

import json
import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.errors import SettingError
from priomon_core.latency import Constant, Empirical, Latency, Lognormal, Normal, Uniform, delay, normal_quantile, of_row

NANOSECONDS = st.integers(0, 2**62)
LATENCIES = st.one_of(
    st.builds(Constant, NANOSECONDS),
    st.lists(NANOSECONDS, min_size=2, max_size=2).map(lambda ends: Uniform(min(ends), max(ends))),
    st.tuples(NANOSECONDS, NANOSECONDS, NANOSECONDS).map(lambda it: Normal(max(it[:2]), it[2], min(it[:2]))),
    st.builds(Lognormal, st.integers(1, 2**62), st.floats(0, 2)),
    st.lists(NANOSECONDS, min_size=2, max_size=9).map(lambda values: Empirical(tuple(values))),
)


@given(st.floats(1e-16, 1 - 1e-16))
def test_normal_quantile(u: float) -> None:
    assert normal_quantile(u) == pytest.approx(NormalDist().inv_cdf(u), rel=2e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("model", "quantile"),
    [
        (Constant(7), lambda u: 7),
        (Uniform(10, 90), lambda u: 10 + 80 * u),
        (Normal(10**6, 10**5, 950_000), lambda u: max(950_000, NormalDist(1e6, 1e5).inv_cdf(u))),
        (Lognormal(10**7, 0.5), lambda u: 1e7 * math.exp(0.5 * NormalDist().inv_cdf(u))),
        (Empirical((40, 5, 9)), lambda u: float(np.quantile([5, 9, 40], u))),
    ],
)
def test_delays_have_the_quantiles_of_their_distribution(model: Latency, quantile: Callable[[float], float]) -> None:
    row = model.row()
    for u in (1e-9, 0.001, 0.02, 0.3, 0.5, 0.9, 0.98, 0.999, 1 - 1e-9):
        assert delay(row, u) == pytest.approx(quantile(u), rel=1e-6, abs=1)


@given(LATENCIES)
def test_a_row_in_json_leads_back_to_its_distribution(model: Latency) -> None:
    assert of_row(json.loads(json.dumps(model.row()))).row() == model.row()


@pytest.mark.parametrize("model", [Constant(7), Uniform(10, 90), Normal(50, 9, 5), Lognormal(40_000_000, 0.7), Empirical((5, 9, 40))])
def test_delays_of_usual_length_survive_as_they_were_written(model: Latency) -> None:
    assert of_row(model.row()) == model


@pytest.mark.parametrize(
    "row",
    [
        None,
        7,
        "01",
        {},
        [],
        [0],
        [0, 5, 5],
        [0, 0.5],
        [0, "5"],
        [0, True],
        [0, math.nan],
        [0, math.inf],
        [0, 2**63],
        [0, 10**400],
        [1, 5],
        [2, 5, 1],
        [3, 700.0, 1.0],
        [3, 1.5, 1.0],
        [4, 9, 5],
        [5, 1, 1],
        [-1, 1],
        [0.5, 1],
        [[0], 1],
    ],
)
def test_what_is_no_row_of_a_distribution_is_refused(row: object) -> None:
    with pytest.raises(SettingError, match=r"latency: found .*, expected in whole ns \[0, value\]"):
        of_row(row)


@pytest.mark.parametrize(
    ("row", "said"), [([0, -1], "at least 0"), ([1, 5, -3], "low <= high"), ([3, 9.0, 5.0], "sigma must be"), ([4, 5], "at least two")]
)
def test_a_row_is_held_to_what_its_distribution_may_be(row: list[float], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        of_row(row)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Constant(-1), "at least 0"),
        (lambda: Uniform(9, 3), "low <= high"),
        (lambda: Normal(5, -1), "deviation must be"),
        (lambda: Normal(5, 1, 6), "minimum <= mean"),
        (lambda: Lognormal(0, 1.0), "median must be above 0"),
        (lambda: Lognormal(5, 2.5), "sigma must be from 0 to 2"),
        (lambda: Empirical((5,)), "at least two"),
        (lambda: Empirical((5, -5)), "cannot be negative"),
    ],
)
def test_settings_out_of_range_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        make()
