"""The measures of a look, against their definitions worked out pair by pair."""

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from priomon_core.metrics import CPU, NETWORK
from priomon_results import measures
from priomon_results.histogram import Histogram
from priomon_results.measures import Measures, Publications, count_holders, measure

METRICS = (CPU, NETWORK)
NOW = 100_000_000_000


@dataclass
class Cluster:
    """What nodes hold of each other, what was published, and the truth."""

    versions: NDArray[np.uint16]
    publications: Publications
    truth: NDArray[np.float64]


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Two to six nodes; an origin changes some metrics with each version, and what comes after its newest version is garbage."""
    nodes = draw(st.integers(2, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    depth = 8
    newest = random.integers(0, depth, nodes)
    if draw(st.booleans()):
        newest[0] = 0
    times = np.minimum(np.sort(random.integers(0, 2 * NOW, (nodes, depth)), axis=1), NOW)  # some in this very moment
    last_change = np.zeros((nodes, depth, len(METRICS)), np.uint16)
    levels = np.zeros((nodes, depth, len(METRICS)), np.int64)
    for version in range(1, depth):
        for metric in range(len(METRICS)):
            changes = random.random(nodes) < 0.6
            last_change[:, version, metric] = np.where(changes, version, last_change[:, version - 1, metric])
            levels[:, version, metric] = np.where(changes, random.integers(0, 200, nodes), levels[:, version - 1, metric])
    versions = np.array([[random.integers(0, newest[origin] + 1) for origin in range(nodes)] for _ in range(nodes)], np.uint16)
    np.fill_diagonal(versions, newest)
    truth = np.column_stack([random.uniform(0, 100, nodes), random.uniform(1, 1e6, nodes)])
    truth[random.random(truth.shape) < 0.2] = math.nan
    return Cluster(versions, Publications(newest, times, last_change, levels), truth)


@dataclass
class Lists:
    """What `Measures` counts, as lists: pairs with knowledge, lags, ages, and by metric the errors."""

    known: int = 0
    lag: list[float] = field(default_factory=list)
    age: list[float] = field(default_factory=list)
    bounds: list[list[float]] = field(default_factory=lambda: [[] for _ in METRICS])
    settled: list[list[float]] = field(default_factory=lambda: [[] for _ in METRICS])
    units: list[list[float]] = field(default_factory=lambda: [[] for _ in METRICS])


def pair_by_pair(cluster: Cluster) -> Lists:
    """The measures by their definitions and loops."""
    lists, published = Lists(), cluster.publications
    for observer in range(len(cluster.versions)):
        for origin in range(len(cluster.versions)):
            if observer == origin or published.newest[origin] == 0:
                continue
            held = int(cluster.versions[observer, origin])
            up_to_date = held == published.newest[origin]
            lists.lag.append(0.0 if up_to_date else (NOW - int(published.times[origin, held + 1])) / 1e9)
            lists.known += held > 0
            for index, metric in enumerate(METRICS):
                changed = int(published.last_change[origin, held, index]) if held else 0
                if changed == 0:
                    continue
                lists.age.append((NOW - int(published.times[origin, changed])) / 1e9)
                level, truth = int(published.levels[origin, held, index]), cluster.truth[origin, index]
                if not math.isnan(truth):
                    lists.bounds[index].append(metric.error(level, truth))
                    lists.units[index].append(abs(metric.value(level) - truth))
                    if up_to_date:
                        lists.settled[index].append(metric.error(level, truth))
    return lists


def counted(values: list[float]) -> Histogram:
    histogram = Histogram()
    histogram.add(np.array(values), np.ones(len(values), np.int64))
    return histogram


def assert_same(found: Histogram, values: list[float]) -> None:
    """A rounding error may put a value on an edge into the neighbouring bin, so quantiles may differ by one."""
    expected = counted(values)
    assert found.total == expected.total
    assert found.maximum == pytest.approx(expected.maximum, nan_ok=True, rel=1e-9, abs=1e-9)
    for share in (0.01, 0.5, 0.99):
        assert found.quantile(share) == pytest.approx(expected.quantile(share), rel=0.021, abs=1e-9, nan_ok=True)


@given(clusters())
def test_measures_are_their_definitions(cluster: Cluster) -> None:
    look = measure(cluster.versions, cluster.publications, cluster.truth, METRICS, NOW)
    lists = pair_by_pair(cluster)
    nodes = len(cluster.versions)
    assert look.coverage == pytest.approx(lists.known / (nodes * (nodes - 1)))
    assert_same(look.lag, lists.lag)
    assert_same(look.age, lists.age)
    for index in range(len(METRICS)):
        assert_same(look.bounds[index], lists.bounds[index])
        assert_same(look.settled[index], lists.settled[index])
        assert_same(look.units[index], lists.units[index])


@given(clusters(), st.integers(1, 40))
def test_holders_are_counted_alike_in_any_chunk(cluster: Cluster, chunk: int) -> None:
    expected = np.zeros((len(cluster.versions), 8), np.int64)
    for observer, origin in np.ndindex(*cluster.versions.shape):
        expected[origin, cluster.versions[observer, origin]] += observer != origin
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measures, "CHUNK", chunk)
        assert (count_holders(cluster.versions, 8) == expected).all()


@given(clusters())
def test_adding_looks_counts_their_pairs_and_keeps_the_last_coverage(cluster: Cluster) -> None:
    look = measure(cluster.versions, cluster.publications, cluster.truth, METRICS, NOW)
    total = Measures.blank(len(METRICS))
    total.coverage = 0.123
    for _ in range(3):
        total.add(look)
    assert total.coverage == look.coverage
    assert total.lag.total == 3 * look.lag.total
    assert total.age.total == 3 * look.age.total
    for added, once in zip(total.bounds + total.settled + total.units, look.bounds + look.settled + look.units, strict=True):
        assert added.total == 3 * once.total
