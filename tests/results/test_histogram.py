"""The histogram: quantiles to 2 %, exact zeros and maximum, weights, and merging."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_results.histogram import BINS, RATIO, SMALLEST, Histogram

LARGEST = SMALLEST * RATIO**BINS
VALUES = st.lists(st.one_of(st.just(0.0), st.floats(SMALLEST, LARGEST / RATIO)), min_size=1, max_size=60)
SHARES = st.floats(0, 1, exclude_min=True)


def histogram(values: list[float], weights: list[int] | None = None) -> Histogram:
    counted = Histogram()
    counted.add(np.array(values), np.array([1] * len(values) if weights is None else weights, np.int64))
    return counted


@given(VALUES, SHARES)
def test_a_quantile_is_numpys_to_2_percent(values: list[float], share: float) -> None:
    exact = np.quantile(values, share, method="inverted_cdf")
    assert histogram(values).quantile(share) == pytest.approx(exact, rel=0.02001)


@given(VALUES, SHARES)
def test_a_quantile_is_never_less_than_the_value_nor_above_the_maximum(values: list[float], share: float) -> None:
    exact = np.quantile(values, share, method="inverted_cdf")
    assert exact * (1 - 1e-9) <= histogram(values).quantile(share) <= max(values)


@given(VALUES, st.data())
def test_a_weight_counts_a_value_so_often(values: list[float], data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 5), min_size=len(values), max_size=len(values)))
    repeated = histogram(np.repeat(values, weights).tolist())
    weighted = histogram(values, weights)
    assert weighted.total == sum(weights)
    assert list(weighted.bins()) == list(repeated.bins())
    assert weighted.maximum == pytest.approx(repeated.maximum, nan_ok=True)


@given(VALUES, VALUES)
def test_merging_counts_both(first: list[float], second: list[float]) -> None:
    merged = histogram(first)
    merged.merge(histogram(second))
    both = histogram(first + second)
    assert list(merged.bins()) == list(both.bins())
    assert merged.maximum == both.maximum


@given(VALUES)
def test_bins_hold_what_lies_between_their_edges(values: list[float]) -> None:
    slack = 1e-9  # an edge is a power: a value on it may lie on either side
    for low, high, count in histogram(values).bins():
        inside = [value for value in values if low * (1 - slack) <= value <= high * (1 + slack)]
        assert 0 < count <= len(inside)


def test_nothing_counted_has_no_quantile() -> None:
    nothing = histogram([1.0], [0])
    assert nothing.total == 0
    assert math.isnan(nothing.quantile(0.5))
    assert math.isnan(nothing.maximum)
    assert list(nothing.bins()) == []


def test_zero_is_a_bin_of_its_own() -> None:
    counted = histogram([0.0, 0.0, 0.0, 5.0])
    assert counted.quantile(0.75) == 0.0
    assert counted.quantile(0.76) == 5.0
    assert next(counted.bins()) == (0.0, 0.0, 3)


def test_what_is_beyond_the_last_bin_is_still_the_maximum() -> None:
    counted = histogram([1.0, 10 * LARGEST])
    assert counted.total == 2
    assert counted.maximum == 10 * LARGEST
