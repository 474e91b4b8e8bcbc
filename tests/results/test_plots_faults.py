"""Plots of runs with faults: curves are the stored times, marks are where the faults were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from priomon_results.plots.faults import MOST_LINES, alive, detection, mark_faults
from priomon_results.plots.run import PLOTS
from priomon_results.schema import Rows, RunRows

MakeRun = Callable[..., RunRows]
Fault = tuple[str, float, float]
NEVER = float("nan")


@pytest.fixture
def with_faults(make_run: MakeRun) -> Callable[..., RunRows]:
    """A function that makes a run with other faults: (kind, begin, end)."""

    def make(*faults: Fault, **fields: Any) -> RunRows:
        run = make_run(**fields)
        kinds, begins, ends = zip(*faults, strict=True) if faults else ((), (), ())
        table: Rows = {"kind": np.array(kinds), "t": np.array(begins, float), "until": np.array(ends, float)}
        return RunRows(run.run, lambda name: table if name == "fault" else run.rows(name))

    return make


def marked(runs: Sequence[RunRows]) -> tuple[dict[str, list[tuple[float, float]]], dict[str, list[float]]]:
    """The spans and the times that are marked for runs, by kind."""
    axes = Figure().add_subplot()
    mark_faults(axes, runs)
    spans: dict[str, list[tuple[float, float]]] = {}
    kind = ""
    for patch in axes.patches:
        kind = str(patch.get_label()) or kind  # only the first of a kind has a label
        xs = patch.get_path().transformed(patch.get_patch_transform()).vertices[:, 0]
        spans.setdefault(kind, []).append((float(xs.min()), float(xs.max())))
    times: dict[str, list[float]] = {}
    for line in axes.lines:
        kind = str(line.get_label()) or kind
        times.setdefault(kind, []).extend(float(x) for x in dict.fromkeys(np.asarray(line.get_xdata()).tolist()))
    return spans, times


def test_what_lasts_is_a_shade_without_overlaps_and_a_stop_is_a_line(with_faults: Callable[..., RunRows]) -> None:
    cuts = [("partition", begin, end) for begin, end in ((5, 9), (5, 9), (8, 12), (20, NEVER))]
    spans, times = marked([with_faults(*cuts, ("crash", 3, 6), ("crash", 3, 7), ("leave", 4, 8))])
    assert spans == {"partition": [(5.0, 12.0), (20.0, 30.0)]}
    assert times == {"crash": [3.0], "leave": [4.0]}


def test_many_stops_are_ticks_on_one_line(with_faults: Callable[..., RunRows]) -> None:
    run = with_faults(*(("crash", float(t), NEVER) for t in range(MOST_LINES + 1)))
    axes = Figure().add_subplot()
    mark_faults(axes, [run])
    (ticks,) = axes.lines
    assert np.asarray(ticks.get_xdata()).tolist() == list(range(MOST_LINES + 1))


def test_of_several_runs_only_faults_that_all_had_are_marked(with_faults: Callable[..., RunRows]) -> None:
    runs = [with_faults(("crash", 3, NEVER), ("pause", seed, 9), seed=seed) for seed in (1, 2)]
    spans, times = marked(runs)
    assert (spans, times) == ({}, {"crash": [3.0]})


def test_detection_is_drawn_for_crashes_and_says_what_never_came(make_run: MakeRun) -> None:
    (axes,) = detection(make_run()).axes
    curves = {str(line.get_label()): (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()) for line in axes.lines}
    assert curves["first suspicion: median 1.5 s"] == ([0.0, 1.5, 2.0], [0.0, 0.5, 1.0])
    assert curves["99 % of the nodes: median 7 s"] == ([0.0, 7.0], [0.0, 0.5])


def test_crashes_that_nobody_had_to_notice_are_left_out(make_run: MakeRun) -> None:
    run = make_run()
    rows = run.rows("detection")
    rows["audience"][0] = 0
    figure = detection(run)
    assert "1 crashes" in figure.get_supxlabel()
    rows["audience"][1] = 0
    assert not detection(run).axes


def test_the_living_are_drawn_beside_what_is_believed(make_run: MakeRun) -> None:
    (axes,) = alive(make_run()).axes
    curves = {str(line.get_label()): set(np.asarray(line.get_ydata()).tolist()) for line in axes.lines}
    assert curves["believed: median of the nodes"] == {38.0}
    assert curves["run and do not stand still"] == {40}
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (36.0, 40.0)


def test_a_run_without_faults_and_detection_has_no_such_plots(with_faults: Callable[..., RunRows]) -> None:
    calm = with_faults()
    nothing = {name: values[:0] for name, values in calm.rows("belief").items()}
    silent = RunRows(calm.run, lambda name: nothing if name == "belief" else calm.rows(name))
    worth = {plot.name: plot.worth for plot in PLOTS if plot.name in ("alive", "detection")}
    assert {name: of([silent]) for name, of in worth.items()} == {"alive": False, "detection": False}
    assert {name: of([calm]) for name, of in worth.items()} == {"alive": True, "detection": False}
    assert {name: of([with_faults(("crash", 1, 2))]) for name, of in worth.items()} == {"alive": True, "detection": True}
