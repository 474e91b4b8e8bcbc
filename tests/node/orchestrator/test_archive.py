"""What runs left is found, and nothing that lies elsewhere is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from priomon_node.orchestrator.archive import AbsentError, Archive, Comparison
from priomon_results.schema import RunHeader
from priomon_results.store import Store

SUMMARY_OF = {"live": 1.0, "sim": 1.02}


def summary(scale: float) -> dict[str, Any]:
    quantiles = {"p50": scale, "p99": 2 * scale}
    return {
        "convergence_seconds": scale,
        "convergence_rounds": scale,
        "coverage_final": 1.0,
        "bytes_per_node_per_second": 100 * scale,
        "messages_per_node_per_second": scale,
        "bytes_per_message": 100.0,
        "redundancy": scale,
        "lag_seconds": quantiles,
        "age_seconds": quantiles,
        "dissemination_seconds": {"t50": scale, "t99": scale, "t100": scale},
        "published": {},
        "filtered": {},
        "error_in_bounds": {},
    }


def leave_run(folder: Path, mode: Any, status: Any = "complete") -> None:
    header = RunHeader(
        mode=mode,
        scenario=folder.name,
        scenario_hash="abc",
        seed=1,
        code_version="1",
        strategy="scuttlebutt",
        nodes=3,
        parameters={"name": folder.name},
        machine={},
    )
    folder.mkdir(parents=True, exist_ok=True)
    with Store(folder / f"{folder.name}.db") as store, store.begin(header) as writer:
        writer.finish(status, wall_seconds=1.0, virtual_seconds=10.0, trace_hash="", summary=summary(SUMMARY_OF[mode]))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of one scenario, live and simulated, with a report and a picture; and secrets beside the folder of results."""
    folder = tmp_path / "results" / "three"
    leave_run(folder, "live")
    leave_run(folder, "sim")
    (folder / "report.html").write_text("<p>report</p>")
    (folder / "compare").mkdir()
    (folder / "compare" / "lag.svg").write_text("<svg/>")
    (tmp_path / "secret.html").write_text("secret")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "report.html").write_text("secret")
    leave_run(tmp_path / "other" / "outside", "live")
    return tmp_path / "results"


def test_what_runs_left_is_listed(results: Path) -> None:
    (shelf,) = Archive(results).shelves()
    assert (shelf.name, shelf.problem) == ("three", None)
    assert [(run.id, run.mode) for run in shelf.runs] == [(2, "sim"), (1, "live")]
    assert shelf.files == {"report.html", "compare/lag.svg"}


def test_live_and_simulated_are_compared(results: Path) -> None:
    archive = Archive(results)
    compared = archive.comparison(archive.shelf("three"))
    assert isinstance(compared, Comparison)
    assert compared.names == ("simulated", "live")
    rows = {row.measure.name: row for row in compared.rows}
    assert (rows["bytes per node"].a.median, rows["bytes per node"].b.median) == (102.0, 100.0)
    assert compared.outside == [name for name, row in rows.items() if row.inside is False]


def test_one_group_of_runs_is_not_compared(tmp_path: Path) -> None:
    leave_run(tmp_path / "results" / "alone", "live")
    archive = Archive(tmp_path / "results")
    assert "there is only one group" in str(archive.comparison(archive.shelf("alone")))


def test_a_store_that_is_none_is_told_and_hides_no_other(results: Path) -> None:
    (results / "broken").mkdir()
    (results / "broken" / "broken.db").write_text("this is no database" * 100)
    broken, three = Archive(results).shelves()
    assert broken.problem is not None and "it is not an SQLite database" in broken.problem
    assert three.problem is None and len(three.runs) == 2


def test_files_are_served_by_kind(results: Path) -> None:
    archive = Archive(results)
    assert archive.file("three", "report.html") == (results / "three/report.html", "text/html")
    assert archive.file("three", "compare/lag.svg")[1] == "image/svg+xml"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("three", "three.db"),  # a live database is not for copying
        ("three", "three.db-lock"),
        ("three", "nothing.html"),
        ("three", "compare"),
        ("three", "../../secret.html"),
        ("..", "secret.html"),
        ("..", "elsewhere/report.html"),
        ("three", "/etc/hostname"),
        ("three", "linked.html"),
        ("three", "folder/report.html"),
        ("doorway", "report.html"),
        ("three", "\0.html"),
        ("three", "x" * 5000 + ".html"),
    ],
)
def test_nothing_outside_of_the_results_is_served(results: Path, name: str, path: str) -> None:
    outside = results.parent
    (results / "three" / "linked.html").symlink_to(outside / "secret.html")
    (results / "three" / "folder").symlink_to(outside / "elsewhere")
    (results / "doorway").symlink_to(outside / "elsewhere")
    with pytest.raises(AbsentError, match="there is no report or picture"):
        Archive(results).file(name, path)


def test_a_link_that_stays_inside_is_followed(results: Path) -> None:
    (results / "three" / "again.html").symlink_to(results / "three" / "report.html")
    assert Archive(results).file("three", "again.html")[0].read_text() == "<p>report</p>"


@pytest.mark.parametrize("name", ["..", ".", "", "four", "doorway", "../other/outside", "x" * 5000, "\0"])
def test_a_folder_elsewhere_is_no_shelf(results: Path, name: str) -> None:
    (results / "doorway").symlink_to(results.parent / "other" / "outside")
    archive = Archive(results)
    with pytest.raises(AbsentError, match="there are no results called"):
        archive.shelf(name)
    assert [shelf.name for shelf in archive.shelves()] == ["three"]


def test_a_store_beside_the_results_that_is_linked_is_not_read(results: Path) -> None:
    (results / "three" / "stranger.db").symlink_to(results.parent / "other" / "outside" / "outside.db")
    shelf = Archive(results).shelf("three")
    assert {run.scenario for run in shelf.runs} == {"three"}


def test_runs_that_did_not_end_well_are_listed_too(tmp_path: Path) -> None:
    leave_run(tmp_path / "results" / "cut", "live", "interrupted")
    (shelf,) = Archive(tmp_path / "results").shelves()
    assert [run.status for run in shelf.runs] == ["interrupted"]
