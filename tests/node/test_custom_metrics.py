"""Custom metrics: what is read, and that no source can stop, flood or outlive the agent."""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from math import isnan
from pathlib import Path

import pytest

from priomon_core.metrics import Metric
from priomon_node import custom_metrics
from priomon_node.custom_metrics import LARGEST_ANSWER, MetricSource

METRIC = Metric("jobs", "jobs", 1.0)


def command(*words: str, timeout: float = 20.0, factor: float = 1.0) -> MetricSource:
    return MetricSource(METRIC, "command", words, timeout=timeout, factor=factor)


def shell(script: str, timeout: float = 20.0) -> MetricSource:
    return command("/bin/sh", "-c", script, timeout=timeout)


def value(source: MetricSource) -> float:
    return asyncio.run(source.read())


def problem(source: MetricSource) -> str:
    assert isnan(value(source))
    assert source.failures == 1
    assert source.problem is not None
    return source.problem


def test_a_command_prints_the_value() -> None:
    assert value(command("/bin/echo", "1500", "ms", factor=0.001)) == 1.5
    assert "'$HOME'" in problem(command("/bin/echo", "$HOME"))  # no shell unless asked
    assert value(shell("printf 'a\\nb\\n' | wc -l")) == 2


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo broken >&2; exit 3", "/bin/sh: exit code 3 broken"),
        ("true", "expected a number, found nothing"),
        ("echo twelve", "expected a number, found 'twelve'"),
        ("echo inf", "expected a finite number, found inf"),
        ("yes", f"more than {LARGEST_ANSWER} bytes"),
        ("yes >&2", f"more than {LARGEST_ANSWER} bytes"),
    ],
)
def test_a_command_that_gives_no_number_says_why(script: str, why: str) -> None:
    assert why in problem(shell(script))


def test_a_program_that_does_not_exist() -> None:
    assert problem(command("/no/such/program")) == "/no/such/program: No such file or directory"


def test_a_command_that_hangs_is_given_up() -> None:
    assert problem(shell("sleep 1000", timeout=0.05)) == "no answer within 0.05 s from /bin/sh"


def test_a_command_is_killed_with_its_children(tmp_path: Path) -> None:
    """Both hold the other end of a pipe; its end of file proves that they are gone."""
    pipe = tmp_path / "alive"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert "no answer within 1 s" in problem(shell(f"exec 9>'{pipe}'; echo >&9; sleep 1000 & sleep 1000", timeout=1.0))
        assert os.read(reading, 10) == b"\n"
        assert os.read(reading, 10) == b""  # BlockingIOError while anyone still holds it
    finally:
        os.close(reading)


def test_a_command_is_not_told_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRIOMON_KEY", "12")
    monkeypatch.setenv("PRIOMON_KEYS", "34")
    monkeypatch.setenv("PRIOMON_NAME", "56")
    assert value(shell("echo $PRIOMON_KEY$PRIOMON_KEYS$PRIOMON_NAME")) == 56


def test_a_file_holds_the_value(tmp_path: Path) -> None:
    path = tmp_path / "temp"
    path.write_text("48500\n")
    assert value(MetricSource(METRIC, "file", (str(path),), factor=0.001)) == 48.5


def test_files_without_a_number(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_bytes(b"1" * (LARGEST_ANSWER + 1))
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("empty", "nothing"), ("large", "more than"), ("pipe", "nothing"), ("none", "No such file"), (".", "directory")):
        assert why in problem(MetricSource(METRIC, "file", (str(tmp_path / name),), timeout=20.0))


def test_a_read_that_hangs_holds_one_thread_and_not_more(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    calls: list[str] = []

    def hang(path: str) -> bytes:
        calls.append(path)
        free.wait()
        return b"7"

    monkeypatch.setattr(custom_metrics, "_content", hang)
    source = MetricSource(METRIC, "file", ("slow",), timeout=0.01)

    async def twice() -> None:
        for _ in range(2):
            assert isnan(await source.read())

    try:
        asyncio.run(twice())
        assert calls == ["slow"]
        assert source.problem == "slow: the reading before still hangs"
    finally:
        free.set()


@contextmanager
def served(body: bytes, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/status"
        thread.join()


@pytest.mark.parametrize(
    ("body", "field", "found"),
    [(b'{"queue": {"length": 7}}', "queue.length", 7.0), (b'{"disks": [{"used": 1.5}]}', "disks.0.used", 1.5), (b"[1, 2]", "1", 2.0)],
)
def test_a_field_of_json_holds_the_value(body: bytes, field: str, found: float) -> None:
    with served(body) as url:
        assert value(MetricSource(METRIC, "http", (url,), field=field, timeout=20.0)) == found


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (b'{"a": 1}', 200, "a.b: there is no 'b'"),
        (b'{"a": {"b": "7"}}', 200, "a.b: expected a number, found '7'"),
        (b'{"a": {"b": true}}', 200, "a.b: expected a number"),
        (b'{"a": {"b": NaN}}', 200, "expected a finite number"),
        (b"<html>", 200, "Expecting value"),
        (b'{"a": {"b": 1}}', 503, "expected status 200, found 503"),
        (b" " * (LARGEST_ANSWER + 1), 200, "more than"),
    ],
)
def test_an_answer_without_the_value_says_why(body: bytes, status: int, why: str) -> None:
    with served(body, status) as url:
        assert why in problem(MetricSource(METRIC, "http", (url,), field="a.b", timeout=20.0))


def test_nobody_answers() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening, so that nobody else can be
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert problem(MetricSource(METRIC, "http", (url,), field="a", timeout=20.0)) == f"{url}: [Errno 111] Connection refused"


def test_failure_and_recovery_are_each_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "value"
    source = MetricSource(METRIC, "file", (str(path),), timeout=20.0)
    for _ in range(3):
        assert isnan(value(source))
    path.write_text("5")
    assert [value(source), value(source)] == [5.0, 5.0]
    assert (source.failures, source.problem) == (3, None)
    path.unlink()
    assert isnan(value(source))
    assert [(record.levelname, record.getMessage()) for record in caplog.records if record.name.startswith("priomon")] == [
        ("WARNING", f"metric jobs cannot be measured: {path}: No such file or directory"),
        ("INFO", "metric jobs is measured again, after 3 failures in all"),
        ("WARNING", f"metric jobs cannot be measured: {path}: No such file or directory"),
    ]
