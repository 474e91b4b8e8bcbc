"""The observer, shown clusters made by hand: only live nodes count, and rows say what it was told."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from priomon_core.metrics import CPU, MEMORY
from priomon_results.histogram import Histogram
from priomon_results.measures import Publications
from priomon_results.observer import Look, Observer, Traffic
from priomon_results.verdicts import Verdicts

METRICS = (CPU, MEMORY)
SECOND = 1_000_000_000
DEPTH = 5


class Written:
    """Keeps rows by table, as a store's writer would."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[Any, ...]]] = {}

    def add(self, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self.rows.setdefault(table, []).extend(rows)


def watched(nodes: int, followed: int = 1) -> tuple[Observer, dict[str, list[tuple[Any, ...]]]]:
    """An observer, and the rows that it will have written."""
    writer: Any = Written()
    return Observer(writer, METRICS, nodes, followed), writer.rows


def look(versions: Sequence[Sequence[int]], live: Sequence[bool] | None = None, now: int = SECOND) -> Look:
    """Knowledge in a cluster whose nodes know all of themselves and publish every metric every 100 ms."""
    held = np.array(versions, np.uint16)
    nodes = len(held)
    times = np.tile(np.arange(DEPTH) * (SECOND // 10), (nodes, 1))
    every = np.tile(np.arange(DEPTH)[None, :, None], (nodes, 1, len(METRICS)))
    publications = Publications(held.diagonal().astype(np.int64), times, every, every * 10)
    return Look(now, held, publications, np.ones(nodes, np.bool_) if live is None else np.array(live))


def traffic(nodes: int) -> Traffic:
    sent = [1_000 + node for node in range(nodes)]
    datagrams, received = [10 + node for node in range(nodes)], [500 + node for node in range(nodes)]
    return Traffic(sent, datagrams, received, 77, 40, 5, {"cpu": (3, 4), "memory": (1, 6)})


def truth(nodes: int) -> NDArray[np.float64]:
    return np.column_stack([np.linspace(10, 60, nodes), np.linspace(5, 20, nodes)])


def content(of: Histogram) -> tuple[list[tuple[float, float, int]], float]:
    return list(of.bins()), of.maximum if of.total else 0.0


@given(st.integers(2, 7), st.integers(0, 2**32 - 1), st.data())
def test_nodes_that_do_not_run_count_neither_as_observers_nor_as_origins(nodes: int, seed: int, data: st.DataObject) -> None:
    live = np.array(data.draw(st.lists(st.booleans(), min_size=nodes, max_size=nodes)))
    random = np.random.default_rng(seed)
    newest = random.integers(0, DEPTH, nodes)
    versions = np.minimum(random.integers(0, DEPTH, (nodes, nodes)), newest)
    np.fill_diagonal(versions, newest)
    whole, rows = watched(nodes)
    whole.probe(look(versions.tolist(), live.tolist()), truth(nodes), traffic(nodes))
    alone, rows_alone = watched(nodes)
    running = int(live.sum())
    alone.probe(look(versions[np.ix_(live, live)].reshape(running, running)), truth(nodes)[live], traffic(running))
    assert rows["metric_sample"] == rows_alone["metric_sample"]
    (sample,), (sample_alone,) = rows["sample"], rows_alone["sample"]
    assert sample[1:3] == sample_alone[1:3]
    assert sample[2] == running
    assert sample[8:] == sample_alone[8:]
    distributions = [[*map(content, [of.lag, of.age, *of.bounds, *of.settled, *of.units])] for of in (whole.total, alone.total)]
    assert distributions[0] == distributions[1]


def test_a_probe_stores_a_row_of_the_cluster_of_each_node_and_of_each_metric() -> None:
    observer, rows = watched(3)
    observer.probe(look([[2, 1, 0], [2, 3, 0], [0, 3, 4]], now=2 * SECOND), truth(3), traffic(3))
    (sample,) = rows["sample"]
    assert sample[:8] == (2.0, pytest.approx(3 / 6), 3, 3_003, 33, 77, 40, 5)
    assert [type(value) for value in sample[3:8]] == [int] * 5  # SQLite would store a numpy integer as bytes
    assert rows["node_sample"] == [(2.0, 0, 1_000, 10, 500, 2), (2.0, 1, 1_001, 11, 501, 2), (2.0, 2, 1_002, 12, 502, 2)]
    assert [row[:4] for row in rows["metric_sample"]] == [(2.0, "cpu", 3, 4), (2.0, "memory", 1, 6)]


def test_a_node_that_stopped_keeps_its_traffic() -> None:
    observer, rows = watched(3)
    observer.probe(look([[1, 1, 1]] * 3, [True, False, True]), truth(3), traffic(3))
    assert [row[1:5] for row in rows["node_sample"]] == [(0, 1_000, 10, 500), (1, 1_001, 11, 501), (2, 1_002, 12, 502)]
    assert rows["sample"][0][3] == 3_003


@pytest.mark.parametrize("live", [[False, False, False], [False, True, False]])
def test_fewer_than_two_live_nodes_have_nothing_to_measure(live: list[bool]) -> None:
    observer, rows = watched(3)
    shown = look([[1, 1, 1]] * 3, live)
    observer.follow(shown)
    observer.probe(shown, truth(3), traffic(3))
    assert rows["sample"][0][1:3] == (0.0, sum(live))
    assert rows["sample"][0][8:] == (None,) * 5
    assert all(row[4:] == (None, None, None) for row in rows["metric_sample"])
    assert observer.total.lag.total == 0
    assert observer.converged_at is None


def test_convergence_is_when_all_live_nodes_first_know_all_live_nodes() -> None:
    observer, _ = watched(3)
    stopped = [True, True, False]
    observer.follow(look([[1, 0, 0], [1, 1, 0], [1, 1, 1]], stopped, SECOND))
    assert observer.converged_at is None
    observer.follow(look([[1, 1, 0], [1, 1, 0], [0, 0, 1]], stopped, 2 * SECOND))
    assert observer.converged_at == 2 * SECOND
    observer.follow(look([[1, 1, 1]] * 3, None, 3 * SECOND))
    assert observer.converged_at == 2 * SECOND


def test_a_live_node_that_nobody_knows_holds_convergence_up() -> None:
    observer, _ = watched(3)
    observer.follow(look([[1, 1, 0], [1, 1, 0], [1, 1, 1]]))
    assert observer.converged_at is None


@pytest.mark.parametrize(("followed", "origins"), [(1, [0]), (3, [0, 4, 8]), (50, list(range(9)))])
def test_followed_origins_lie_evenly_over_all(followed: int, origins: list[int]) -> None:
    observer, _ = watched(9, followed)
    assert observer.spread.origins == origins


def written_at_the_end(show: Callable[[Observer], None]) -> dict[str, list[tuple[Any, ...]]]:
    observer, rows = watched(3, followed=1)
    show(observer)
    samples = [[(1, 2), (3, 4)], [(5, 6), (7, 8)], [(9, 10), (11, 12)]]
    observer.write_ending(["a", "b", "c"], [(0.0, 0.1), (1.0, 1.1), (2.0, 2.1)], [(2, 0), (0, 1)], samples)
    return rows


def test_the_ending_has_counts_distributions_spreads_and_the_picture() -> None:
    def show(observer: Observer) -> None:
        observer.follow(look([[1, 0, 0], [1, 1, 0], [0, 0, 1]], now=SECOND))
        observer.probe(look([[1, 0, 0], [1, 1, 0], [0, 0, 1]], now=SECOND), truth(3), traffic(3))

    rows = written_at_the_end(show)
    assert rows["metric_count"][:3] == [(0, "cpu", 1, 2), (0, "memory", 3, 4), (1, "cpu", 5, 6)]
    assert rows["metric_count"][-1] == (2, "memory", 11, 12)
    assert rows["edge"] == [(0, 2), (0, 1)]
    assert [row[:4] for row in rows["node"]] == [(0, "a", 0.0, 0.1), (1, "b", 1.0, 1.1), (2, "c", 2.0, 2.1)]
    assert [row[4] for row in rows["node"]] == [0.9, 0.9, None]  # the third has not met the first
    assert rows["update_spread"] == [(0, 1, 0.1, 0.9, None, None)]
    totals = {name: sum(row[4] for row in rows["distribution"] if row[:2] == name) for name in {row[:2] for row in rows["distribution"]}}
    assert totals == {
        ("lag", ""): 6,
        ("age", ""): 2,  # one pair with knowledge, of two metrics
        **{(measure, metric.name): 1 for measure in ("error", "error_in_bounds", "settled_error") for metric in METRICS},
        ("spread", "t50"): 1,
    }


def test_an_ending_before_the_first_look_has_the_nodes_all_the_same() -> None:
    rows = written_at_the_end(lambda observer: None)
    assert len(rows["node"]) == 3
    assert {row[4] for row in rows["node"]} == {None}
    assert rows["distribution"] == rows["update_spread"] == []


def test_all_live_looks_are_not_copied() -> None:
    shown = look([[1, 1], [1, 1]])
    assert shown.among_live() is shown
    assert math.prod(look([[1, 1], [1, 1]], [True, False]).among_live().versions.shape) == 1


def test_an_origin_that_began_a_new_life_is_followed_no_more() -> None:
    observer, _ = watched(3, followed=3)
    first = look([[1, 1, 1]] * 3)
    observer.follow(replace(first, lives=np.array([0, 1, 2])))
    assert observer.spread.origins == [0, 1, 2]
    observer.follow(replace(first, lives=np.array([0, 3, 2])))
    assert observer.spread.origins == [0, 2]


def test_what_live_nodes_believe_is_stored_as_its_range_and_median() -> None:
    observer, rows = watched(4)
    shown = look([[1, 1, 1, 1]] * 4, [True, True, False, True], 2 * SECOND)
    observer.probe(replace(shown, believed=np.array([4, 3, 1, 3])), truth(4), traffic(4))
    observer.probe(replace(shown, believed=None), truth(4), traffic(4))
    assert rows["belief"] == [(2.0, 3, 3.0, 4)]


def test_verdicts_become_rows_once() -> None:
    verdicts = Verdicts([0, 1, 2], [0, 1, 2], SECOND)
    writer: Any = Written()
    observer = Observer(writer, METRICS, 3, 1, verdicts)
    verdicts.suspected(SECOND, 0, 1)
    observer.probe(look([[1, 1, 1]] * 3), truth(3), traffic(3))
    verdicts.died(2 * SECOND, 2, 1)
    verdicts.stopped(0, 3 * SECOND, announced=True, knowing=[1, 2])
    verdicts.died(4 * SECOND, 1, 0)
    observer.write_ending(["a", "b", "c"], [(0.0, 0.0)] * 3, [], [[(0, 0)] * 2] * 3, [(0, 3.0, None, "leave", "a")])
    assert writer.rows["false_positive"] == [(0, 1.0, "suspicion", 0, 1, "healthy"), (1, 2.0, "death", 2, 1, "healthy")]
    assert writer.rows["detection"] == [(0, 3.0, 0, "leave", 2, 1, None, 1.0, 1.0, None, None)]
    assert writer.rows["fault"] == [(0, 3.0, None, "leave", "a")]
