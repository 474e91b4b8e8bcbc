"""Plots show the rows that they are given, say so when there are none, and are the same byte for byte."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

from priomon_results.plots.distribution import distribution, drift, spread
from priomon_results.plots.over_time import convergence, published_over_time, traffic
from priomon_results.plots.run import LARGEST_VECTOR, PLOTS, draw_all, topology
from priomon_results.plots.shares import published_filtered, traffic_by_strategy
from priomon_results.plots.style import by_scenario, caption, in_bytes, over_seeds, save, unit_of
from priomon_results.schema import RunRows
from priomon_results.store import Store

MakeRun = Callable[..., RunRows]
ALL = [pytest.param(plot.draw, id=plot.name) for plot in PLOTS]


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def curve(axes: Axes, label: str) -> tuple[np.ndarray, np.ndarray]:
    (line,) = [line for line in axes.lines if str(line.get_label()).startswith(label)]
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


@pytest.mark.parametrize("draw", ALL)
def test_every_plot_says_which_run_it_shows(make_run: MakeRun, draw: Callable[[Sequence[RunRows]], Figure]) -> None:
    figure = draw([make_run()])
    assert figure.get_suptitle()
    assert "fake · 40 nodes · seed 1 · PrioMon 0.1.0" in texts(figure)


@pytest.mark.parametrize("draw", ALL)
def test_every_plot_without_rows_says_so(make_run: MakeRun, draw: Callable[[Sequence[RunRows]], Figure]) -> None:
    full = make_run()
    empty = RunRows(
        replace(full.run, summary={}, status="failed"), lambda table: {name: values[:0] for name, values in full.rows(table).items()}
    )
    figure = draw([empty])
    assert not figure.axes
    assert "stored" in texts(figure) or "followed" in texts(figure) or "come to its end" in texts(figure)
    assert "not complete" in texts(figure)


def test_pictures_are_the_same_byte_for_byte_in_another_process(make_run: MakeRun, tmp_path: Path) -> None:
    make_run()
    script = f"""
import sys
import matplotlib
matplotlib.rcParams["font.size"] = float(sys.argv[2])  # the reader's own settings must not matter
from pathlib import Path
from priomon_results.plots.run import draw_all
from priomon_results.store import Store
with Store({str(tmp_path / "fake.sqlite")!r}, readonly=True) as store:
    draw_all(store, [1], Path(sys.argv[1]))
"""
    folders = {tmp_path / "one": "10", tmp_path / "two": "25"}
    processes = [subprocess.Popen([sys.executable, "-c", script, str(folder), size]) for folder, size in folders.items()]
    assert [process.wait() for process in processes] == [0, 0]
    digests = [{path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()} for folder in folders]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 2 * (len(PLOTS) - 1)
    assert len(set(digests[0].values())) == len(digests[0])


def test_all_plots_are_drawn_and_strategies_compared_where_there_are_two(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run(scenario="base", strategy="demon").run.id, make_run().run.id]
    with Store(tmp_path / "fake.sqlite", readonly=True) as store:
        paths = draw_all(store, runs, tmp_path / "a" / "b")
    assert [path.name for path in paths] == [f"{plot.name}.{kind}" for plot in PLOTS for kind in ("svg", "png")]
    assert all(path.stat().st_size > 1_000 for path in paths)


def test_convergence_marks_the_time_and_leaves_out_the_flat_rest(make_run: MakeRun) -> None:
    figure = convergence([make_run(seconds=60)])
    (axes,) = figure.axes
    times, coverage = curve(axes, "fake (scuttlebutt): complete at 14 s")
    assert coverage[times == 14.0] == 1.0
    assert [tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() == "o"] == [(14.0, 1.0)]
    assert axes.get_xlim() == (0.0, 13.0 * 1.5)


def test_convergence_never_reached_has_no_mark(make_run: MakeRun) -> None:
    fake = make_run(seconds=12)
    run = replace(fake.run, summary={**fake.run.summary, "convergence_seconds": None})
    (axes,) = convergence([RunRows(run, fake.rows)]).axes
    assert [line.get_label() for line in axes.lines] == ["fake (scuttlebutt): not complete", "crash"]
    assert axes.get_xlim() == (0.0, 12.0)


def test_seeds_become_a_median_with_a_band(make_run: MakeRun) -> None:
    runs = [make_run(seed=seed) for seed in (1, 2, 3)]
    (axes,) = convergence(runs).axes
    times, median = curve(axes, "fake (scuttlebutt): complete at 14 s, 3 seeds")
    stacked = np.array([run.rows("sample")["coverage"] for run in runs])
    assert np.allclose(median, np.median(stacked, axis=0))
    band = axes.collections[0].get_paths()[0].vertices
    at_eight = band[band[:, 0] == 8.0][:, 1]
    assert np.allclose([at_eight.min(), at_eight.max()], np.quantile(stacked[:, times == 8.0], [0.25, 0.75]))


def test_curves_over_seeds_end_with_the_shortest() -> None:
    long = (np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, 2.0, 4.0, 6.0]))
    short = (np.array([0.0, 1.5]), np.array([0.0, 0.0]))
    times, (lower, median, upper) = over_seeds([long, short])
    assert times.tolist() == [0.0, 1.0, 1.5]
    assert median.tolist() == [0.0, 1.0, 1.5]
    assert np.allclose(upper - lower, [0.0, 1.0, 1.5])


def test_traffic_is_the_slope_of_the_bytes_per_node(make_run: MakeRun) -> None:
    run = make_run(nodes=10)
    (axes,) = traffic([run]).axes
    times, rate = curve(axes, "fake")
    sent = run.rows("sample")["bytes_sent"]
    assert times.tolist() == list(range(1, 31))
    assert np.allclose(rate, np.diff(sent) / 10)
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() < rate.min() < rate.max() < band.max()


@pytest.mark.parametrize(("factor", "scale"), [(15, "linear"), (25, "log")])
def test_traffic_far_apart_gets_a_log_axis(make_run: MakeRun, factor: int, scale: str) -> None:
    runs = [make_run(), make_run(scenario="base", strategy="demon", bytes_per_second=1_000.0 * factor)]
    assert traffic(runs).axes[0].get_yscale() == scale
    assert traffic_by_strategy(runs).axes[0].get_xscale() == scale


def test_strategies_are_compared_by_median_and_quartiles(make_run: MakeRun) -> None:
    runs = [make_run(seed=seed, bytes_per_second=1_000.0 * seed) for seed in (1, 2, 3, 4, 10)]
    runs.append(make_run(scenario="base", strategy="demon", bytes_per_second=5_000.0))
    figure = traffic_by_strategy(runs)
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [3_000.0, 5_000.0]
    whiskers = next(lines for lines in axes.collections if isinstance(lines, LineCollection))
    assert [segment[:, 0].tolist() for segment in whiskers.get_segments()] == [[2_000.0, 4_000.0], [5_000.0, 5_000.0]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fake (scuttlebutt)\n5 seeds", "base (demon)"]
    assert "3 kB/s" in texts(figure)


def test_runs_with_other_settings_are_kept_apart(make_run: MakeRun) -> None:
    runs = [make_run(), make_run(seed=2), make_run(scenario_hash="other"), make_run(scenario="base", mode="live")]
    groups = by_scenario(runs)
    assert {label: len(members) for label, members in groups.items()} == {
        "fake (scuttlebutt)": 2,
        "fake (scuttlebutt) other 0.1.0": 1,
        "base (scuttlebutt, live)": 1,
    }


def test_published_and_filtered_add_up_to_the_samples(make_run: MakeRun) -> None:
    figure = published_filtered(make_run())
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert [a + b for a, b in zip(widths[:4], widths[4:], strict=True)] == [40 * 30] * 4
    assert widths[0] == 0.2 * 40 * 30
    assert "20.0 % published" in texts(figure)


def test_published_over_time_has_a_panel_per_metric(make_run: MakeRun) -> None:
    figure = published_over_time(make_run())
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "cpu: 20.0 % published",
        "memory: 5.0 % published",
        "network: 35.0 % published",
        "storage: 1.0 % published",
    ]
    assert np.allclose(figure.axes[0].patches[0].get_data().values[1:], 0.2)  # the fake run starts without samples


@pytest.mark.parametrize("measure", ["lag", "age"])
def test_distribution_is_the_share_above_each_value(make_run: MakeRun, measure: str) -> None:
    run = make_run()
    rows = run.rows("distribution")
    mine = rows["measure"] == measure
    values, shares = distribution(run, measure).axes[0].lines[0].get_data()  # type: ignore[arg-type]
    total = rows["count"][mine].sum()
    for value in (1.0, 4.0):
        above = rows["count"][mine][rows["low"][mine] >= value - 1e-9].sum() / total
        assert np.isclose(shares[np.argmin(np.abs(values - value))], above)
    assert shares[0] == 1.0


def test_a_bin_without_width_is_an_upright_line(make_run: MakeRun) -> None:
    values, shares = distribution(make_run(), "lag").axes[0].lines[0].get_data()
    rows = make_run().rows("distribution")
    zero = 6_000 / rows["count"][rows["measure"] == "lag"].sum()
    assert values[:2].tolist() == [0.0, 0.0]
    assert np.allclose(shares[:2], [1.0, 1 - zero])


def test_the_bound_is_drawn_and_named(make_run: MakeRun) -> None:
    figure = distribution(make_run(), "error_in_bounds")
    upright = [line.get_xdata() for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert upright == [[1.0, 1.0]]
    assert "the bound" in texts(figure)


def test_errors_in_units_name_the_unit(make_run: MakeRun) -> None:
    figure = distribution(make_run(), "error")
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "error of cpu (%)",
        "error of memory (%)",
        "error of network (B/s)",
        "error of storage (%)",
    ]


@pytest.mark.parametrize(("largest", "scale"), [(150.0, "linear"), (5e6, "log")])
def test_a_wide_tail_of_errors_gets_a_log_axis(make_run: MakeRun, largest: float, scale: str) -> None:
    rows = {
        "measure": np.array(["error"] * 3),
        "metric": np.array(["network"] * 3),
        "low": np.array([0.0, 0.5, 20.0]),
        "high": np.array([0.0, 1.0, largest]),
        "count": np.array([40, 50, 10]),
    }
    (axes,) = distribution(RunRows(make_run().run, lambda table: rows), "error").axes
    assert axes.get_xscale() == scale


def test_spread_counts_updates_that_never_arrived(make_run: MakeRun) -> None:
    run = make_run()
    (axes,) = spread(run).axes
    times, shares = curve(axes, "all nodes")
    assert shares[-1] == 0.9  # every tenth fake update is still under way
    assert times[-1] == np.nanmax(run.rows("update_spread")["t100"])
    median = np.sort(run.rows("update_spread")["t50"])[99]
    assert f"half of the nodes: median {median:.3g} s" in [str(line.get_label()) for line in axes.lines]


def test_topology_colours_by_time_and_marks_the_unreached(make_run: MakeRun) -> None:
    figure = topology(make_run())
    reached, missed = [points for points in figure.axes[0].collections if isinstance(points, PathCollection)]
    assert reached.get_array().tolist() == [node / 4 for node in range(40) if node != 7]
    assert np.allclose(missed.get_offsets(), [[np.cos(2 * np.pi * 7 / 40), np.sin(2 * np.pi * 7 / 40)]])
    assert "never reached (1)" in texts(figure)
    (edges,) = [lines for lines in figure.axes[0].collections if isinstance(lines, LineCollection)]
    assert np.allclose(edges.get_segments()[0][0], [1.0, 0.0])
    assert len(edges.get_segments()) == 80


@pytest.mark.parametrize(("nodes", "rasterised"), [(LARGEST_VECTOR // 2, False), (LARGEST_VECTOR // 2 + 1, True)])
def test_many_edges_become_pixels(make_run: MakeRun, nodes: int, rasterised: bool) -> None:
    (edges,) = [lines for lines in topology(make_run(nodes=nodes, seconds=1)).axes[0].collections if isinstance(lines, LineCollection)]
    assert bool(edges.get_rasterized()) is rasterised


def test_drift_names_the_worst_error_of_each_filter(tmp_path: Path) -> None:
    times, truth = np.arange(5.0), np.array([10.0, 12.0, 14.0, 16.0, 18.0])
    figure = drift(times, truth, np.array([10.0, 10, 14, 14, 18]), np.full(5, 10.0), bound=3.0, quantity="cpu (%)")
    assert "(worst error 2)" in texts(figure)
    assert "(worst error 8)" in texts(figure)
    svg, png = save(figure, tmp_path / "drift")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert svg.read_text().rstrip().endswith("</svg>")


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (999, "999 B"), (999.9, "1 kB"), (1234, "1.23 kB"), (999_900, "1 MB"), (2.5e9, "2.5 GB")]
)
def test_bytes_read_well(value: float, text: str) -> None:
    assert in_bytes(value) == text


def test_captions_and_units(make_run: MakeRun) -> None:
    runs = [make_run(seed=seed).run for seed in (4, 2, 3)]
    assert caption(runs) == "fake · 40 nodes · 3 seeds (2 to 4) · PrioMon 0.1.0"
    assert caption([replace(runs[0], mode="live", status="interrupted")]) == (
        "fake · live · 40 nodes · seed 4 · PrioMon 0.1.0 · not complete"
    )
    run = replace(runs[0], parameters={"metrics": {"gpu": {"unit": "°C"}, "cpu": {"bound": 3}}})
    assert [unit_of(run, metric) for metric in ("gpu", "cpu", "network", "fans")] == ["°C", "%", "B/s", ""]
