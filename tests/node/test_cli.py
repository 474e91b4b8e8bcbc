"""The node's command line: arguments, exit codes, messages, and what a signal leaves behind."""

import gzip
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from priomon_node.cli.main import main

RECORD = [sys.executable, "-m", "priomon_node", "record"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_record_writes_a_file_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    result = run("record", "--every", "0.01", "--seconds", "0.03", "--json", str(path))
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert set(told) == {"rows", "seconds", "skipped", "file"}
    assert told["file"] == str(path)
    assert told["rows"] + told["skipped"] == 3
    assert len(path.read_text().splitlines()) == 1 + told["rows"]
    assert f"{told['rows']} rows" in result.stderr


def test_a_dash_writes_rows_and_nothing_else_to_stdout() -> None:
    done = subprocess.run([*RECORD, "--every", "0.01", "--seconds", "0.02", "-"], capture_output=True, text=True, check=True)
    header, *rows = done.stdout.splitlines()
    assert header == "time_s,cpu_percent,memory_percent,network_bytes_per_second,storage_percent"
    assert rows
    assert all(len(row.split(",")) == 5 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'FILE'"),
        (["--every", "0", "--seconds", "0.01", "x.csv"], "0 is not in the range"),
        (["--every", "nan", "--seconds", "0.01", "x.csv"], "nan is not a length of time"),
        (["--seconds", "inf", "x.csv"], "inf is not a length of time"),
        (["--seconds", "soon", "x.csv"], "'soon' is not a valid float"),
        (["--every", "5", "--seconds", "4", "x.csv"], "leaves no room"),
        (["--every", "0.01", "--seconds", "0.01", "--json", "-"], "name a file"),
    ],
)
def test_bad_arguments_are_usage_errors(arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("record", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "message"), [("absent/out.csv", "no folder"), (".", "is a folder"), ("old.csv", "--force")])
def test_an_unusable_path_is_one_line_and_exit_code_1(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "old.csv").touch()
    result = run("record", "--seconds", "1", str(tmp_path / name))
    assert result.exit_code == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_recording_with_its_rows(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "out.csv.gz"
    with subprocess.Popen([*RECORD, "--every", "0.01", "--seconds", "3600", str(path)], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("recording")  # the handlers are in place before this line
        process.send_signal(number)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 0
    kept = len(gzip.decompress(path.read_bytes()).splitlines()) - 1
    assert told.startswith(f"{kept} rows over")


def test_recording_restores_the_signal_handlers(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run("record", "--every", "0.01", "--seconds", "0.01", str(tmp_path / "out.csv"))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_every_verb_shows_an_example() -> None:
    for verb in main.commands:
        assert f"python -m priomon_node {verb} " in run(verb, "--help").stdout


def test_help_does_not_wait_for_psutil() -> None:
    program = "import sys, priomon_node.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "click" in loaded
    assert "psutil" not in loaded
