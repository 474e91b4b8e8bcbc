"""The lower bound of a run's bytes, in cases worked out by hand."""

import numpy as np
import pytest

from priomon_core.metrics import Metric
from priomon_results.bound import FULL, lower_bound
from priomon_results.measures import Publications

LINEAR = Metric("a", "u", 1.0)
SIGNED = Metric("b", "u", 1.0, signed=True)


def publications(times: list[list[int]], changes: list[list[list[int]]], levels: list[list[list[int]]]) -> Publications:
    """By origin and version from 1 on; version 0 is put in front."""
    newest = np.array([len(row) for row in times], np.int64)
    metrics = len(levels[0][0])
    depth = int(newest.max()) + 1
    shape = (len(times), depth)
    table = Publications(newest, np.zeros(shape, np.int64), np.zeros((*shape, metrics), np.int64), np.zeros((*shape, metrics), np.int64))
    for origin, row in enumerate(times):
        for version in range(1, len(row) + 1):
            table.times[origin, version] = row[version - 1]
            table.last_change[origin, version] = changes[origin][version - 1]
            table.levels[origin, version] = levels[origin][version - 1]
    return table


def test_one_update_of_one_metric() -> None:
    table = publications([[5], []], [[[1]], []], [[[100]], []])
    assert lower_bound(table, [LINEAR], 2, 10.0) == pytest.approx((1 + 1 + 1 + 1 + 1) * FULL / 2 / 10)


def test_wide_levels_signs_and_unchanged_metrics_count_as_on_the_wire() -> None:
    table = publications([[5, 6]], [[[1, 1], [1, 2]]], [[[200, -64], [200, -65]]])
    first = 1 + 1 + 1 + 1 + 2 + 1  # name, age, mask, version, 200 in two bytes, -64 as 127
    second = 1 + 1 + 1 + 1 + 2  # -65 as 129
    assert lower_bound(table, [LINEAR, SIGNED], 4, 1.0) == pytest.approx((first + second) * FULL * 3 / 4)


def test_long_versions_take_more() -> None:
    versions = list(range(1, 131))
    table = publications([versions], [[[v] for v in versions]], [[[0]] * 130])
    assert lower_bound(table, [LINEAR], 2, 1.0) == pytest.approx((127 * 5 + 3 * 6) * FULL / 2)


def test_what_everybody_knew_at_the_start_is_not_counted() -> None:
    table = publications([[0, 7]], [[[1], [2]]], [[[1], [2]]])
    assert lower_bound(table, [LINEAR], 2, 1.0) == pytest.approx(5 * FULL / 2)


def test_nothing_published_needs_nothing() -> None:
    nothing = np.zeros((2, 1), np.int64)
    table = Publications(nothing[:, 0], nothing, nothing[:, :, None], nothing[:, :, None])
    assert lower_bound(table, [LINEAR], 2, 1.0) == 0


def test_headers_are_those_of_full_datagrams() -> None:
    assert pytest.approx(1228 / 1183) == FULL
