"""The table of a sweep, and what is made of it: weights, files, pictures, a report."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from pyarrow import parquet

from priomon_results.export import write_columns
from priomon_results.plots.sweep import chosen, draw_sweep, heat, overview, parallel, shape_of
from priomon_results.report_sweep import write_sweep_report
from priomon_results.store import Store
from priomon_results.sweep.store import SweepError
from priomon_results.sweep.table import SweepTable, columns, grouped, read_table, shown, weights

MakeSweep = Callable[..., Path]
FANOUT, LOSS = "gossip.fanout", "network.loss"


def read(path: Path) -> SweepTable:
    with Store(path, readonly=True) as store:
        return read_table(store)


@pytest.fixture
def table(make_sweep: MakeSweep) -> SweepTable:
    """Traffic that rises with the fan-out and falls a little with loss."""
    return read(make_sweep({FANOUT: [1, 2, 3], LOSS: [0.0, 0.5]}, lambda fanout, loss, seed: 100 * fanout - 10 * loss + seed))


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_rows_have_values_units_and_seeds(table: SweepTable) -> None:
    first = table.of("bytes per node")[0]
    assert (first.axes, first.unit, first.seeds) == ({FANOUT: 1, LOSS: 0.0}, "B/s", 3)
    assert (first.low, first.median, first.high) == (101.5, 102.0, 102.5)
    assert table.of("dissemination to 100 %")[0].median is None
    assert table.of("cpu: error p99")[0].unit == "%"


def test_settings_that_change_together_are_one_dimension(make_sweep: MakeSweep) -> None:
    bound, other = "metrics.cpu.bound", "metrics.memory.bound"
    pairs = {(5, 2): 1, (10, 4): 2}
    path = make_sweep(
        {bound: [5, 10], other: [2, 4], FANOUT: [1, 2]}, lambda bound, fanout, seed: 1.0, change=lambda summary, **values: None
    )
    table = read(path)
    assert table.dimensions() == [bound, other, FANOUT]
    together = SweepTable(table.sweep, [row for row in table.rows if (row.axes[bound], row.axes[other]) in pairs])
    assert together.dimensions() == [bound, FANOUT]


def test_a_setting_with_one_value_is_no_dimension(make_sweep: MakeSweep) -> None:
    assert read(make_sweep({FANOUT: [1], LOSS: [0.0, 0.1]}, lambda fanout, loss, seed: 1.0)).dimensions() == [LOSS]


def test_points_that_are_alike_are_put_together(table: SweepTable) -> None:
    over_loss = grouped(table.of("bytes per node"), [FANOUT])
    assert over_loss[(1,)] == pytest.approx((98.25, 99.5, 100.75))
    assert grouped(table.of("bytes per node"), [FANOUT, LOSS])[(1, 0.5)] == (96.5, 97.0, 97.5)
    assert all(math.isnan(value) for value in grouped(table.of("dissemination to 100 %"), [FANOUT])[(1,)])


def test_the_setting_that_decides_has_the_weight(table: SweepTable) -> None:
    by_path = {weight.path: weight for weight in weights(table) if weight.measure == "bytes per node"}
    assert [*by_path] == [FANOUT, LOSS]
    assert by_path[FANOUT].share > 0.98
    assert by_path[LOSS].share < 0.02
    assert by_path[FANOUT].correlation == pytest.approx(0.956, abs=0.01)
    assert (by_path[LOSS].correlation or 0) < 0
    assert not any(weight.measure == "redundancy" for weight in weights(table))


def test_texts_weigh_too_but_have_no_direction(make_sweep: MakeSweep) -> None:
    table = read(make_sweep({"gossip.strategy": ["a", "b"], LOSS: [0.0, 0.1]}, lambda strategy, loss, seed: 1.0 if strategy == "a" else 9))
    (first, *_) = [weight for weight in weights(table) if weight.measure == "bytes per node"]
    assert (first.path, first.correlation) == ("gossip.strategy", None)
    assert first.share == pytest.approx(1.0)


def test_chance_has_no_weight_where_a_setting_has_many_values(make_sweep: MakeSweep) -> None:
    noise = [0.31, 0.92, 0.17, 0.55, 0.71, 0.08, 0.99, 0.43, 0.64, 0.26, 0.87, 0.02, 0.48, 0.79, 0.35, 0.6]
    table = read(make_sweep({"n": list(range(16))}, lambda n, seed: 100 + noise[n], seeds=1))
    (weight,) = [weight for weight in weights(table) if weight.measure == "bytes per node"]
    assert weight.share < 0.3


def test_files_hold_the_whole_table(table: SweepTable, tmp_path: Path) -> None:
    for form in ("csv", "json", "parquet"):
        write_columns(columns(table), form, str(tmp_path / f"points.{form}"))  # type: ignore[arg-type]
    rows = list(csv.DictReader((tmp_path / "points.csv").read_text().splitlines()))
    assert [*rows[0]] == ["point", "role", FANOUT, LOSS, "measure", "unit", "seeds", "low", "median", "high"]
    assert len(rows) == len(table.rows)
    assert {row["median"] for row in rows if row["measure"] == "dissemination to 100 %"} == {""}
    objects = json.loads((tmp_path / "points.json").read_text())
    assert [row["median"] for row in objects] == [row.median for row in table.rows]
    assert parquet.read_table(tmp_path / "points.parquet").column(LOSS).to_pylist() == [row.axes[LOSS] for row in table.rows]


def test_a_setting_of_numbers_and_texts_becomes_text(make_sweep: MakeSweep) -> None:
    table = read(make_sweep({"n": [1, "auto"]}, lambda n, seed: 1.0))
    assert set(columns(table)["n"]) == {"1", "auto"}
    assert table.levels("n") == [1, "auto"]


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ({"a": [1, 2, 3]}, "lines"),
        ({"a": [1, 2, 3], "b": ["x", "y"]}, "lines"),
        ({"a": list(range(7)), "b": list(range(7))}, "heat"),
        ({"a": [1, 2], "b": [1, 2], "c": [1, 2]}, "parallel"),
    ],
)
def test_the_shape_chooses_the_picture(make_sweep: MakeSweep, axes: dict[str, list[int]], shape: str) -> None:
    table = read(make_sweep(axes, lambda seed, **values: 10.0 + sum(hash(value) % 5 for value in values.values()) + seed, seeds=2))
    assert shape_of(table) == shape
    figure = overview(table)
    panel = figure.axes[0]
    assert {"lines": len(panel.lines) > 0, "heat": len(panel.images) > 0, "parallel": len(panel.collections) > 1}[shape]


def test_lines_are_medians_with_a_band(table: SweepTable) -> None:
    figure = chosen(table, LOSS, "bytes per node", FANOUT)
    (panel,) = figure.axes
    assert [line.get_ydata().tolist() for line in panel.lines] == [[102, 97], [202, 197], [302, 297]]  # type: ignore[union-attr]
    band = panel.collections[0].get_paths()[0].vertices
    assert {y for _, y in band.tolist()} == {101.5, 102.5, 96.5, 97.5}  # type: ignore[union-attr]
    assert (panel.get_xlabel(), panel.get_ylabel()) == (LOSS, "bytes per node (B/s)")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1", "2", "3"]


def test_a_heat_map_tells_what_never_came_from_what_was_not_run(make_sweep: MakeSweep) -> None:
    def late(summary: dict[str, object], fanout: int, loss: float, seed: int) -> str | None:
        summary["convergence_rounds"] = None if loss else 3.0
        return "left out" if fanout == 2 and loss else None

    table = read(make_sweep({FANOUT: [1, 2], LOSS: [0.0, 0.5]}, lambda fanout, loss, seed: 1.0, change=late))
    assert sorted(texts(heat(table, FANOUT, LOSS, ["convergence"])).split()) == ["3", "3", "never"]


def test_parallel_coordinates_have_a_line_per_point(make_sweep: MakeSweep) -> None:
    table = read(make_sweep({"a": [1, 2], "b": [1, 2], "c": [1, 2]}, lambda a, b, c, seed: a + b + c + 0.1 * seed))
    (axes,) = parallel(table, "bytes per node").axes
    segments = axes.collections[0].get_segments()  # type: ignore[attr-defined]
    assert len(segments) == 8
    assert {tuple(line[:, 1]) for line in segments} >= {(0, 0, 0, 0), (1, 1, 1, 1)}


def test_bounds_that_vary_are_judged_by_the_metric(make_sweep: MakeSweep) -> None:
    def errors(summary: dict[str, dict[str, dict[str, float]]], bound: int, seed: int) -> None:
        summary["error"]["cpu"]["p99"] = bound

    table = read(make_sweep({"metrics.cpu.bound": [5, 10]}, lambda bound, seed: 100.0 / bound, change=errors))
    assert shown(table) == ["bytes per node", "cpu: error p99"]


def test_what_the_sweep_does_not_have_is_named(table: SweepTable) -> None:
    with pytest.raises(SweepError, match=r"nodes: the sweep does not vary this setting; it varies gossip\.fanout, network\.loss"):
        chosen(table, "nodes", "lag p99")
    with pytest.raises(SweepError, match="lags: the sweep has no such measure; it has age p50"):
        chosen(table, FANOUT, "lags")


def test_the_report_holds_points_weights_and_failures(make_sweep: MakeSweep, tmp_path: Path) -> None:
    def fail(summary: object, fanout: int, seed: int) -> str | None:
        return "crashed <here>" if (fanout, seed) == (3, 2) else None

    path = make_sweep({FANOUT: [1, 2, 3]}, lambda fanout, seed: 100.0 * fanout + seed, change=fail)
    with Store(path, readonly=True) as store:
        table = read_table(store)
        pictures = draw_sweep(table, tmp_path / "plots")
        write_sweep_report(store, table, tmp_path / "sweep.html", pictures=pictures, command="repeat me")
    assert [picture.name for picture in pictures] == ["sweep.svg", "sweep.png"]
    html = (tmp_path / "sweep.html").read_text()
    assert "3 points, each with 3 seeds. 1 run failed; the reasons are below." in html
    assert "100 % of the variation of bytes per node is due to gossip.fanout." in html
    assert "102 [102 102]" in html or "102 [101 102]" in html
    assert "crashed &lt;here&gt;" in html
    assert "data:image/svg+xml;base64," in html
    assert "repeat me" in html


def test_a_sweep_without_results_draws_a_reason(make_sweep: MakeSweep) -> None:
    table = read(make_sweep({"a": [1, 2]}, lambda a, seed: 1.0, change=lambda summary, a, seed: "all fail"))
    assert not overview(table).axes
    assert "No measure varies" in " ".join(text.get_text() for text in overview(table).texts)
