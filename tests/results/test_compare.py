"""Groups are chosen as a reader expects, differences and verdicts are right, and overlays show both groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from priomon_results.compare import (
    DETECTION,
    MEASURES,
    CompareError,
    Row,
    Tolerance,
    check_comparable,
    chosen_groups,
    compare,
    labels,
    latest_group,
    quartiles,
    two_groups,
)
from priomon_results.plots.compare import PLOTS, coverage, dissemination, distribution, draw_comparison, traffic
from priomon_results.schema import Run, RunRows

MakeRun = Callable[..., RunRows]
Groups = Mapping[str, Sequence[RunRows]]
PLACES = ("a.db", "b.db")


@pytest.fixture
def one(make_run: MakeRun) -> Run:
    """A complete simulated run to make others of."""
    return make_run().run


def summaries(one: Run, key: str, *values: Any) -> list[dict[str, Any]]:
    return [{**one.summary, key: value} for value in values]


def row(rows: list[Row], name: str) -> Row:
    (found,) = [row for row in rows if row.measure.name == name]
    return found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3], (3, 3, 3)),
        ([20, 10], (12.5, 15, 17.5)),
        ([5, 1, 4, 2, 3], (2, 3, 4)),
        ([1, math.inf, 2], (1.5, 2, math.inf)),
        ([1, math.inf], (math.inf, math.inf, math.inf)),
        ([math.inf, math.inf], (math.inf, math.inf, math.inf)),
    ],
)
def test_quartiles_of_what_may_never_happen(values: list[float], expected: tuple[float, float, float]) -> None:
    found = quartiles(values)
    assert (found.low, found.median, found.high) == expected


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_finite_quartiles_are_those_of_numpy(values: list[float]) -> None:
    found = quartiles(values)
    assert np.allclose((found.low, found.median, found.high), np.quantile(values, [0.25, 0.5, 0.75]))


@pytest.mark.parametrize(
    ("tolerance", "a", "b", "holds"),
    [
        (Tolerance(0.05), 100, 105, True),
        (Tolerance(0.05), 100, 95, True),
        (Tolerance(0.05), 100, 105.1, False),
        (Tolerance(0.05), 100, 94.9, False),
        (Tolerance(1, "round"), 4, 5, True),
        (Tolerance(1, "round"), 4, 2.9, False),
        (Tolerance(0.15), 0, 0, True),
        (Tolerance(0.15), 0, 1e-9, False),
        (Tolerance(1, "round"), math.inf, math.inf, True),
        (Tolerance(1, "round"), 4, math.inf, False),
        (Tolerance(0.15), math.inf, 4, False),
    ],
)
def test_tolerances(tolerance: Tolerance, a: float, b: float, holds: bool) -> None:
    assert tolerance.holds(a, b) is holds


def test_the_tolerances_are_those_that_were_promised() -> None:
    held = {measure.name: str(measure.tolerance) for measure in MEASURES if measure.tolerance}
    assert held == {"convergence": "1 round", "bytes per node": "5 %", "lag p50": "15 %", "lag p99": "15 %"}


def test_medians_are_compared_and_differences_are_of_the_first(one: Run) -> None:
    key = "bytes_per_node_per_second"
    found = row(compare(summaries(one, key, 90, 100, 500), summaries(one, key, 104, 104)), "bytes per node")
    assert (found.a.low, found.a.median, found.a.high) == (95, 100, 300)
    assert found.b.median == 104
    assert found.difference == pytest.approx(0.04)
    assert found.inside is True
    assert row(compare(summaries(one, key, 104), summaries(one, key, 90)), "bytes per node").inside is False


def test_convergence_is_held_to_a_round_and_never_to_a_number(one: Run) -> None:
    def verdict(a: float | None, b: float | None) -> tuple[float | None, bool | None]:
        found = row(compare(summaries(one, "convergence_rounds", a), summaries(one, "convergence_rounds", b)), "convergence")
        return found.difference, found.inside

    assert verdict(4.0, 5.0) == (0.25, True)
    assert verdict(4.0, 5.5) == (0.375, False)
    assert verdict(4.0, None) == (None, False)
    assert verdict(None, None) == (0.0, True)


def test_measures_without_a_tolerance_have_no_verdict(one: Run) -> None:
    found = row(compare(summaries(one, "redundancy", 1.0), summaries(one, "redundancy", 9.0)), "redundancy")
    assert (found.difference, found.inside) == (8.0, None)


def test_derived_measures(one: Run) -> None:
    rows = compare([one.summary], summaries(one, "messages_per_node_per_second", 4.5))
    size = row(rows, "bytes per message")
    assert (size.a.median, size.difference) == (1_000 / 2.25, -0.5)
    published = row(rows, "cpu: published")
    assert (published.a.median, published.measure.unit) == (10.0, "%")
    idle = summaries(one, "messages_per_node_per_second", 0)
    assert row(compare(idle, idle), "bytes per message").a.median == math.inf


def test_only_metrics_of_all_runs_are_compared(one: Run) -> None:
    other = summaries(one, "published", {"storage": 1, "cpu": 100, "temperature": 5})
    names = [row.measure.name for row in compare([one.summary], other)]
    assert names[len(MEASURES) :] == [f"{name}: {what}" for name in ("cpu", "storage") for what in ("published", "error p50", "error p99")]


def test_detection_is_compared_where_all_runs_have_it(one: Run) -> None:
    times = {name: {"p50": 2.0} for name in ("suspected", "first", "t99", "t100")}
    counts = {"healthy": 1, "starved subject": 4}
    found = {"seconds": times | {"t100": {"p50": None}, "t99": None}, "false_suspicions": counts, "false_deaths": counts}
    rows = compare(summaries(one, "detection", found), summaries(one, "detection", found | {"seconds": times}))
    medians = {row.measure.name: (row.a.median, row.b.median) for row in rows[len(MEASURES) : len(MEASURES) + len(DETECTION)]}
    assert medians == {
        "crash suspected": (2.0, 2.0),
        "first holds it dead": (2.0, 2.0),
        "99 % hold it dead": (math.inf, 2.0),
        "all hold it dead": (math.inf, 2.0),
        "false suspicions": (5.0, 5.0),
        "false deaths": (5.0, 5.0),
        "false deaths, all healthy": (1.0, 1.0),
    }
    for other in ([one.summary], summaries(one, "detection", None)):  # an older store, and nodes that judge nobody
        names = [row.measure.name for row in compare(summaries(one, "detection", found), other)]
        assert "false deaths" not in names


def ids(groups: tuple[list[Run], list[Run]]) -> tuple[list[int], list[int]]:
    return [run.id for run in groups[0]], [run.id for run in groups[1]]


def test_live_runs_are_compared_with_simulated_ones_of_their_scenario(one: Run) -> None:
    runs = [
        replace(one, id=1, mode="live"),
        replace(one, id=2, mode="live", seed=2),
        replace(one, id=3),
        replace(one, id=4, seed=2),
        replace(one, id=5, seed=3, status="interrupted"),
        replace(one, id=6, scenario="other", scenario_hash="other"),
    ]
    assert ids(two_groups(runs, "a.db")) == ([3, 4], [1, 2])
    assert ids(two_groups([*runs, replace(one, id=7, mode="live", code_version="0.2.0")], "a.db")) == ([3, 4], [7])


def test_else_the_last_two_scenarios_or_versions_are_compared(one: Run) -> None:
    runs = [replace(one, id=1, scenario_hash="x"), replace(one, id=2), replace(one, id=3, code_version="0.2.0"), replace(one, id=4, seed=2)]
    assert ids(two_groups(runs, "a.db")) == ([3], [2, 4])
    assert ids(two_groups(runs[::-1], "a.db")) == ([3], [2, 4])
    assert [run.id for run in latest_group(runs, "a.db")] == [2, 4]


def test_chosen_runs_have_to_be_complete_and_of_two_groups(one: Run) -> None:
    runs = [replace(one, id=1, scenario_hash="x"), replace(one, id=2), replace(one, id=3, code_version="0.2.0")]
    assert ids(chosen_groups(runs[:2], "a.db")) == ([1], [2])
    with pytest.raises(CompareError, match=r"make 3 groups .*run 1; .*run 2; .*run 3\)"):
        chosen_groups(runs, "a.db")
    with pytest.raises(CompareError, match=r"a\.db: run 9 is failed"):
        chosen_groups([*runs, replace(one, id=9, status="failed")], "a.db")


@pytest.mark.parametrize("find", [two_groups, chosen_groups, latest_group])
def test_a_store_without_complete_runs_has_nothing_to_compare(find: Callable[..., Any]) -> None:
    with pytest.raises(CompareError, match=r"a\.db: it holds no complete run"):
        find([], "a.db")


def test_seeds_of_one_scenario_are_one_group(one: Run) -> None:
    with pytest.raises(CompareError, match=r"only one group of complete runs \(fake, scuttlebutt, simulated, 0\.1\.0: runs 1, 2\)"):
        two_groups([one, replace(one, id=2, seed=2)], "a.db")


def test_groups_of_other_sizes_or_lengths_are_refused(one: Run) -> None:
    with pytest.raises(CompareError, match="number of nodes: 40 and 1,000"):
        check_comparable([one], [replace(one, nodes=1_000)])
    with pytest.raises(CompareError, match="duration: 30 s and 29 s"):
        check_comparable([one], [replace(one, virtual_seconds=29.0)])
    with pytest.raises(CompareError, match="duration"):
        check_comparable([one], [one, replace(one, virtual_seconds=60.0)])
    check_comparable([one], [replace(one, virtual_seconds=30.4)])  # a live run ends a moment late


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mode": "live"}, ("simulated", "live")),
        ({"scenario": "wan", "scenario_hash": "w"}, ("fake", "wan")),
        ({"code_version": "0.2.0"}, ("0.1.0", "0.2.0")),
        ({"mode": "live", "code_version": "0.2.0"}, ("simulated, 0.1.0", "live, 0.2.0")),
        ({}, PLACES),
        ({"scenario_hash": "0123456789ab"}, ("fake hash-o", "fake 012345")),
        (
            {"scenario_hash": "0", "parameters": {"name": "fake", "nodes": 40, "seed": 5, "gossip": {"period": "2 s"}}},
            ("metrics.cpu.unit=%, gossip.period=1 s", "metrics.cpu.unit=None, gossip.period=2 s"),
        ),
    ],
)
def test_labels_say_what_differs(one: Run, changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert labels([one], [replace(one, **changes)], PLACES) == expected


@pytest.fixture
def groups(make_run: MakeRun) -> Groups:
    """Three runs, and two of twice the traffic."""
    return {
        "before": [make_run(seed=seed) for seed in (1, 2, 3)],
        "after": [make_run(seed=seed, scenario="after", bytes_per_second=2_000.0) for seed in (4, 5)],
    }


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def curve(axes: Axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


@pytest.mark.parametrize("draw", [pytest.param(draw, id=name) for name, draw in PLOTS])
def test_every_overlay_shows_both_groups_with_their_bands(groups: Groups, draw: Callable[[Groups], Figure]) -> None:
    figure = draw(groups)
    for axes in figure.axes:
        assert {"before, 3 runs", "after, 2 runs"} <= {str(line.get_label()) for line in axes.lines}
        assert len([band for band in axes.collections if isinstance(band, PolyCollection)]) == 2
    assert any("fake, after · 40 nodes · 5 seeds (1 to 5)" in text for text in texts(figure))


@pytest.mark.parametrize("draw", [pytest.param(draw, id=name) for name, draw in PLOTS])
def test_an_overlay_without_rows_says_so(groups: Groups, draw: Callable[[Groups], Figure]) -> None:
    full = groups["after"][0]
    empty = RunRows(full.run, lambda table: {name: values[:0] for name, values in full.rows(table).items()})
    figure = draw({**groups, "after": [full, empty]})
    assert not figure.axes
    assert any(text.startswith("A run has") for text in texts(figure))


def test_coverage_is_the_median_of_the_runs(groups: Groups) -> None:
    (axes,) = coverage(groups).axes
    times, median = curve(axes, "before, 3 runs")
    rows = [run.rows("sample")["coverage"] for run in groups["before"]]
    assert np.array_equal(times, groups["before"][0].rows("sample")["t"])
    assert np.allclose(median, np.median(rows, axis=0))
    assert axes.get_xlim() == (0, 13 * 1.5)


def test_curves_go_as_far_as_all_runs_do(make_run: MakeRun) -> None:
    (axes,) = traffic({"short": [make_run(seconds=20)], "long": [make_run(seed=2, seconds=30)]}).axes
    assert curve(axes, "long")[0][-1] == 20
    assert axes.get_xlim() == (0, 20)


def test_traffic_of_twice_the_bytes_is_twice_as_high(groups: Groups) -> None:
    (axes,) = traffic(groups).axes
    before, after = (curve(axes, label)[1].mean() for label in ("before, 3 runs", "after, 2 runs"))
    assert after == pytest.approx(2 * before, rel=0.1)


def test_dissemination_ends_at_the_share_of_updates_that_got_there(groups: Groups) -> None:
    half, _, everywhere = dissemination(groups).axes
    times, reached = curve(half, "before, 3 runs")
    assert reached[-1] == 1.0
    measured = np.median([np.mean(run.rows("update_spread")["t50"] <= times[100]) for run in groups["before"]])
    assert 0 < measured < 1
    assert reached[100] == pytest.approx(measured)
    assert curve(everywhere, "before, 3 runs")[1][-1] == pytest.approx(0.9)


def test_dissemination_that_no_update_ended_is_a_flat_line(groups: Groups) -> None:
    def without(run: RunRows) -> RunRows:
        rows = run.rows("update_spread")
        never = {name: np.full(values.shape, math.nan) for name, values in rows.items() if name.startswith("t")}
        return RunRows(run.run, lambda table: {**rows, **never})

    figure = dissemination({label: [without(run) for run in members] for label, members in groups.items()})
    assert [curve(axes, "after, 2 runs")[1].max() for axes in figure.axes] == [0.0, 0.0, 0.0]


def test_the_share_above_a_lag_is_counted(groups: Groups) -> None:
    (axes,) = distribution(groups, "lag").axes
    values, above = curve(axes, "before, 3 runs")
    rows = groups["before"][0].rows("distribution")
    mine = rows["measure"] == "lag"
    low, count = rows["low"][mine], rows["count"][mine]
    place = int(np.searchsorted(values, 2.0))
    assert above[place] == pytest.approx(count[low >= values[place] - 1e-9].sum() / count.sum())
    assert above[0] == pytest.approx(1 - 6_000 / count.sum())  # exact zeros exceed nothing
    assert above[-1] < 1e-6


def test_outside_its_values_a_run_is_exceeded_by_all_or_by_none(make_run: MakeRun) -> None:
    run = make_run()
    rows = run.rows("distribution")

    def of_bin(low: float, high: float) -> RunRows:
        one = {"measure": ["age"], "metric": [""], "low": [low], "high": [high], "count": [5]}
        return RunRows(run.run, lambda table: {name: np.array(values, rows[name].dtype) for name, values in one.items()})

    (axes,) = distribution({"young": [of_bin(1, 2)], "old": [of_bin(3, 5)]}, "age").axes
    assert [list(axis) for axis in curve(axes, "old")] == [[1, 2, 3, 5], [1, 1, 1, pytest.approx(0, abs=1e-6)]]
    assert list(curve(axes, "young")[1]) == [1] + 3 * [pytest.approx(0, abs=1e-6)]


def test_pictures_are_the_same_byte_for_byte(groups: Groups, tmp_path: Path) -> None:
    paths = draw_comparison(groups, tmp_path / "a" / "b")
    assert [path.name for path in paths] == [f"{name}.{kind}" for name, _ in PLOTS for kind in ("svg", "png")]
    again = draw_comparison(groups, tmp_path / "c")
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    assert len({path.read_bytes() for path in paths}) == len(paths)
