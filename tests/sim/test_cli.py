"""The command line: every verb, what it prints and where, exit codes, and what it says of bad input."""

from __future__ import annotations

import csv
import json
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from priomon_results.schema import TABLES
from priomon_results.store import Store
from priomon_sim import experiment
from priomon_sim.cli.main import main
from priomon_sim.scenario.document import load, schema

ROOT = Path(__file__).parents[2]
PRIOMON = [sys.executable, "-m", "priomon_sim"]
METRICS = {"cpu", "memory", "network", "storage"}
SUMMARY = {  # what scripts may rely on, with the keys inside
    "scenario": None,
    "seed": None,
    "nodes": None,
    "trace_hash": None,
    "wall_seconds": None,
    "virtual_seconds": None,
    "events": None,
    "convergence_seconds": None,
    "convergence_rounds": None,
    "coverage_final": None,
    "bytes_per_node_per_second": None,
    "messages_per_node_per_second": None,
    "redundancy": None,
    "lag_seconds": {"p50", "p99", "max"},
    "age_seconds": {"p50", "p99"},
    "error_in_bounds": METRICS,
    "published": METRICS,
    "filtered": METRICS,
    "dissemination_seconds": {"t50", "t99", "t100"},
    "saving_vs_baseline": None,
    "faults": None,
    "detection": {"crashes", "leaves", "unnoticed", "missed", "seconds", "periods", "false_suspicions", "false_deaths"},
    "database": None,
    "report": None,
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs without pictures, which cost a second each."""
    monkeypatch.setattr(experiment, "draw", lambda *arguments: None)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder and the output of one run with all there is."""
    folder = tmp_path_factory.mktemp("results")
    scenario = folder / "small.yaml"
    crash = "start: known\ndetection: {detector: swim}\nfaults: [{kind: crash, at: 1 s, nodes: 1}]\n"
    scenario.write_text(f"nodes: 8\nduration: 6 s\nworkload: {{kind: synthetic}}\n{crash}")
    return folder, run(scenario, "-o", folder, "--json")


def test_a_scenario_without_a_verb_is_run(results: tuple[Path, Result]) -> None:
    folder, told = results
    assert (told.exit_code, told.stderr) == (0, "")
    summary = json.loads(told.stdout)
    assert summary["scenario"] == "small"
    assert Path(summary["database"]) == folder / "small.db"
    assert Path(summary["report"]).read_text().startswith("<!DOCTYPE html>")
    assert load(folder / "scenario.yaml").hash == load(folder / "small.yaml").hash
    assert {path.suffix for path in (folder / "plots").iterdir()} == {".svg"}


def test_the_summary_has_the_promised_keys(results: tuple[Path, Result]) -> None:
    summary = json.loads(results[1].stdout)
    assert summary.keys() >= SUMMARY.keys()
    for key, inner in SUMMARY.items():
        assert inner is None or summary[key].keys() >= inner
    for metric in METRICS:
        assert summary["error_in_bounds"][metric].keys() >= {"p50", "p99", "max"}


def test_show_lists_the_runs(results: tuple[Path, Result]) -> None:
    database = results[0] / "small.db"
    (listed,) = json.loads(run("show", database, "--json").stdout)
    assert (listed["scenario"], listed["seed"], listed["status"]) == ("small", 1, "complete")
    table = run("show", database)
    assert table.exit_code == 0
    assert "tree" in table.stdout


def test_plot_and_report_draw_what_is_stored(results: tuple[Path, Result], tmp_path: Path) -> None:
    folder = results[0]
    pictures = run("plot", folder / "small.db", "-o", tmp_path / "pictures")
    assert sorted(map(Path, pictures.stdout.split())) == sorted((tmp_path / "pictures").iterdir())
    for again in (tmp_path / "pictures").glob("*.svg"):
        assert again.read_bytes() == (folder / "plots" / again.name).read_bytes()
    report = run("report", folder / "small.db", "--run", 1, "-o", tmp_path)
    assert report.stdout.strip() == str(tmp_path / "report.html")
    assert (tmp_path / "report.html").is_file()


EMPTY = {"false_positive", "query"}  # nobody is accused falsely in this run, and nobody reads


@pytest.mark.parametrize("table", TABLES)
def test_export_writes_every_table(results: tuple[Path, Result], table: str, tmp_path: Path) -> None:
    database = results[0] / "small.db"
    with Store(database, readonly=True) as store:
        rows = store.rows(1, table)
    header, *written = csv.reader(run("export", database, table).stdout.splitlines())
    assert len(written) == len(next(iter(rows.values())))
    assert bool(written) == (table not in EMPTY)
    assert header == list(rows)
    told = run("export", database, table, "--format", "json", "-o", tmp_path / "rows.json")
    assert told.stderr == f"{len(written)} rows in {tmp_path / 'rows.json'}\n"
    assert len(json.loads((tmp_path / "rows.json").read_text())) == len(written)


def test_validate_tells_what_would_run(small: Path) -> None:
    told = run("validate", small, "--set", "topology={kind: ring}")
    assert told.exit_code == 0
    assert f"{small}: ok: 8 nodes, 8 edges, 6 s" in told.stdout
    assert not list(small.parent.glob("*.db"))


def test_a_scenario_without_a_workload_is_valid_but_cannot_be_simulated(small: Path) -> None:
    told = run("validate", small, "--set", "workload=none")
    assert told.exit_code == 0
    assert "note: there is no workload, so only real agents can run it" in told.stdout
    refused = run(small, "--set", "workload=none", "-o", small.parent / "results")
    assert refused.exit_code == 2
    assert "give workload: to simulate it" in refused.stderr


def test_schema_is_that_of_scenarios() -> None:
    assert json.loads(run("schema").stdout) == schema()


def test_bench_measures_the_exchange() -> None:
    figures = json.loads(run("bench", "exchange", "--nodes", 20, "--seconds", 3, "--json").stdout)
    assert figures["nodes"] == 20
    assert figures["events"] > 3 * 20


@pytest.mark.usefixtures("quickly")
def test_set_and_seed_change_the_scenario(small: Path, tmp_path: Path) -> None:
    told = run(small, "--set", "nodes=5", "--set", "gossip.fanout=2", "--seed", 7, "-o", tmp_path / "out", "--json")
    summary = json.loads(told.stdout)
    assert (summary["nodes"], summary["seed"]) == (5, 7)
    saved = load(tmp_path / "out/scenario.yaml")
    assert (saved.nodes, saved.gossip.fanout, saved.seed) == (5, 2, 7)


@pytest.mark.usefixtures("quickly")
def test_seeds_runs_each_of_a_range(small: Path, tmp_path: Path) -> None:
    told = run(small, "--seeds", "3..5", "-o", tmp_path / "out", "--json")
    summaries = json.loads(told.stdout)["runs"]
    assert [summary["seed"] for summary in summaries] == [3, 4, 5]
    assert len({summary["trace_hash"] for summary in summaries}) == 3
    assert [listed["seed"] for listed in json.loads(run("show", tmp_path / "out/small.db", "--json").stdout)] == [3, 4, 5]


@pytest.mark.usefixtures("quickly")
def test_baseline_is_run_first_and_compared(small: Path, tmp_path: Path) -> None:
    baseline = tmp_path / "old.yaml"
    baseline.write_text(small.read_text() + "filter: none\ngossip: {strategy: demon}\n")
    told = run(small, "--baseline", baseline, "-o", tmp_path / "out", "--json", "--seed", 4)
    saving = json.loads(told.stdout)["saving_vs_baseline"]
    assert saving["scenario"] == "old"
    assert saving["bytes_ratio"] > 1
    assert saving.keys() >= {"lag_seconds", "error_in_bounds"}
    listed = json.loads(run("show", tmp_path / "out/small.db", "--json").stdout)
    assert [(each["scenario"], each["seed"]) for each in listed] == [("old", 4), ("small", 4)]


@pytest.mark.usefixtures("quickly")
def test_results_are_under_the_scenarios_name_and_a_table_sums_them_up(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small.parent)
    told = run(small)
    assert told.exit_code == 0
    assert (small.parent / "results/small/small.db").is_file()
    for word in ("small: 8 nodes, 6 s, tree", "seed 1", "cpu: published", "wall time", "report: results/small/report.html"):
        assert word in told.stdout
    quiet = run(small, "--quiet")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, "", "")


@pytest.mark.parametrize("path", [(), *commands(main)])
def test_every_verb_explains_itself(path: tuple[str, ...]) -> None:
    told = run(*path, "--help")
    assert told.exit_code == 0
    command: Any = main
    for name in path:
        command = command.commands[name]
    assert command.help.split(".")[0] in " ".join(told.stdout.split())
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[-1] in told.stdout
            assert parameter.help


def test_help_loads_nothing_heavy() -> None:
    program = "import sys, priomon_sim.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split()
    assert "click" in loaded
    assert not {"numba", "numpy", "networkx", "matplotlib", "pydantic", "rich", "sqlite_utils"} & set(loaded)


CSV = "time_s,cpu_percent,memory_percent,network_bytes_per_second,storage_percent\n"
FAULTS = """nodes: 8
duration: 6 s
workload: {kind: synthetic}
faults:
  - {kind: pause, at: 2 s, nodes: node1}
  - {kind: crash, at: 1 s, nodes: 9}
"""
TRACE = "workload={{kind: trace, path: {}, gaps: refuse}}"


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("nodes: [8", (), "small.yaml:1:"),
        ("\0\1\2", (), "small.yaml"),
        ("- a\n- list", (), "small.yaml:1:1: "),
        ("nodes: 8\nduration: 6 s\nworkload: {kind: synthetic}\ngosip: {}", (), "small.yaml:4:1: gosip: unknown key 'gosip'; did you mean"),
        ("", ("network.loss=150 %",), "--set network.loss"),
        ("", ("duration=20 parsecs",), "--set duration"),
        ("", ("nodes=1",), "--set nodes"),
        ("", ("nodes=0",), "--set nodes"),
        ("", ("gossip.fanout=8",), "expected at most 7"),
        ("", ("gossip.fanout=2", "topology={kind: star}"), "gossip.fanout: found 2, but node"),
        ("", ("nodes=4", "topology={kind: file, path: pieces.txt}"), "falls into 2 parts"),
        ("", ("faults=[{kind: crash, at: 1 s, nodes: node9}]",), "--set faults: faults[0]: no node is called 'node9'; did you mean node"),
        ("", ("faults=[{kind: crash, at: 6 s, nodes: 1}]",), "faults[0]: found at: 6 s, expected before the end, 6 s"),
        ("", ("faults=[{kind: partition, at: 1 s, nodes: all}]",), "faults[0]: found a partition with nobody on one side"),
        (FAULTS, (), "small.yaml:6:5: faults[1]: found 9 nodes to draw, but only 8 of them run then"),
        (FAULTS, ("faults.1.nodes=x y",), "--set faults.1.nodes: faults[1].nodes: found 'x y', expected nodes such as"),
        ("", (TRACE.format("absent.csv"),), "absent.csv"),
        ("", (TRACE.format("text.csv"),), "text.csv:3: "),
        ("", (TRACE.format("nan.csv"),), "nan.csv:3: "),
        ("", (TRACE.format("gap.csv"),), "gap.csv:4: "),
    ],
)
def test_a_bad_scenario_is_one_message_and_exit_code_2(small: Path, text: str, changes: tuple[str, ...], message: str) -> None:
    folder = small.parent
    (folder / "pieces.txt").write_text("a b\nc d\n")
    for name, rows in {
        "text": "1,1,1,1,1\n2,much,1,1,1\n3,1,1,1,1\n",
        "nan": "1,1,1,1,1\n2,nan,1,1,1\n3,1,1,1,1\n",
        "gap": "1,1,1,1,1\n2,1,1,1,1\n9,1,1,1,1\n10,1,1,1,1\n",
    }.items():
        (folder / f"{name}.csv").write_text(CSV + rows)
    if text:
        small.write_text(text)
    told = run(small, *(word for change in changes for word in ("--set", change)), "-o", folder / "out")
    assert told.exit_code == 2
    assert message in told.stderr
    assert len(told.stderr.splitlines()) == 1
    assert told.stdout == ""


def test_all_problems_are_told_at_once(small: Path) -> None:
    small.write_text("nodes: 1\nduration: 6 parsecs\nworkload: {kind: synthetic}\ngosip: {}\n")
    told = run(small)
    assert told.exit_code == 2
    assert [line.split(": ")[1] for line in told.stderr.splitlines()] == ["nodes", "duration", "gosip"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("absent.yaml",), "absent.yaml"),
        (("validate", "absent.yaml"), "absent.yaml"),
        (("small.yaml", "--seed", "1", "--seeds", "1..2"), "exclude each other"),
        (("small.yaml", "--seeds", "5..1"), "expected FIRST..LAST"),
        (("small.yaml", "--seeds", "five"), "expected FIRST..LAST"),
        (("small.yaml", "--set", "fanout"), "expected PATH=VALUE"),
        (("small.yaml", "--set", "gossip.fanuot=2"), "did you mean 'fanout'?"),
        (("small.yaml", "--baseline", "absent.yaml"), "absent.yaml"),
        (("small.yaml", "--jsn"), "--jsn"),
        (("export", "small.yaml"), "TABLE"),
    ],
)
def test_bad_usage_is_exit_code_2(small: Path, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(small.parent)
    told = run(*arguments)
    assert told.exit_code == 2
    assert message in told.stderr
    assert told.stdout == ""


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()


def not_a_database(path: Path) -> None:
    path.write_text("My notes, which nobody should overwrite.\n" * 20)


@pytest.mark.parametrize(("make", "message"), [(foreign, "not made by PrioMon"), (not_a_database, "not an SQLite database")])
def test_a_foreign_database_is_left_alone(small: Path, make: Any, message: str) -> None:
    make(small.parent / "small.db")
    before = (small.parent / "small.db").read_bytes()
    for told in (run(small, "-o", small.parent), run("show", small.parent / "small.db")):
        assert told.exit_code == 1
        assert message in told.stderr
        assert len(told.stderr.splitlines()) == 1
    assert (small.parent / "small.db").read_bytes() == before


def test_a_database_in_use_is_refused(small: Path) -> None:
    with Store(small.parent / "small.db"):
        told = run(small, "-o", small.parent)
    assert told.exit_code == 1
    assert "another program is writing to it" in told.stderr
    assert len(told.stderr.splitlines()) == 1


@pytest.mark.parametrize("folder", ["file", "file/below", "/proc/priomon"])
def test_a_folder_that_cannot_be_made_is_refused_before_the_run(small: Path, folder: str) -> None:
    (small.parent / "file").touch()
    told = run(small, "-o", small.parent / folder)
    assert told.exit_code == 1
    assert "choose another with -o" in told.stderr
    assert len(told.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "absent.db"), "there is no such file"),
        (("export", "small.db", "smaple"), "there is no table 'smaple'; tables are sample,"),
        (("export", "small.db", "sample", "--run", "9"), "holds no run 9; runs in it: 1 (complete)"),
        (("report", "small.db", "--run", "9"), "holds no run 9"),
        (("plot", "small.db", "--run", "9"), "holds no run 9"),
        (("export", "small.db", "sample", "-o", "absent/rows.csv"), "absent/rows.csv"),
    ],
)
def test_what_is_not_there_is_one_message_and_exit_code_1(
    results: tuple[Path, Result], arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results[0])
    told = run(*arguments)
    assert told.exit_code == 1
    assert message in told.stderr
    assert len(told.stderr.splitlines()) == 1


def process(*arguments: object, **settings: Any) -> subprocess.CompletedProcess[str]:
    command = [*PRIOMON, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **settings)


def test_a_traceback_is_for_debug_only(small: Path) -> None:
    plain, debug = process(small.with_name("absent.yaml")), process("--debug", "run", small.with_name("absent.yaml"))
    assert plain.returncode == 2
    assert "Traceback" not in plain.stderr
    assert debug.returncode != 0
    assert "Traceback" in debug.stderr
    assert plain.stderr.removeprefix("error: ").strip() in debug.stderr


def test_a_full_disk_is_told_and_leaves_no_whole_run(small: Path) -> None:
    """A limit on the size of files stands for the disk."""
    limit = 300_000
    options = ("--set", "nodes=60", "--set", "duration=60 s", "--quiet", "-o", small.parent)
    told = process(small, *options, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert told.returncode == 1
    assert "small.db" in told.stderr
    assert "the rows stored so far are kept" in told.stderr
    assert len(told.stderr.splitlines()) == 1
    with Store(small.parent / "small.db") as store:
        assert [run.status for run in store.runs()] in (["failed"], ["interrupted"])


INTERRUPTIBLE = """
import sys
from contextlib import contextmanager
from priomon_sim.cli import progress
from priomon_sim.cli.main import main

@contextmanager
def show_progress(scenario, quiet):
    yield lambda now: print("probe", flush=True)

progress.show_progress = show_progress
main(sys.argv[1:])
"""


def test_ctrl_c_keeps_what_was_computed(small: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTIBLE, str(small), "--set", "duration=10 h", "-o", str(small.parent)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for _ in range(3):
            assert running.stdout.readline() == "probe\n"
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted at" in told
    assert len(told.splitlines()) == 1
    with Store(small.parent / "small.db") as store:
        (kept,) = store.runs()
        assert kept.status == "interrupted"
        seconds = store.rows(kept.id, "sample")["t"].tolist()
    assert seconds == list(range(1, len(seconds) + 1))
    assert len(seconds) >= 3
