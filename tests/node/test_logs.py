"""Logs: both forms, one line each, and a flood that is counted instead of written."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest

from priomon_node.logs import BURST, MOST_KINDS, REFILL, Log, RateLimit


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers, root.level = handlers, level


class Logged:
    """A log with a clock that stands until it is moved."""

    def __init__(self, form: str = "json", level: str = "info") -> None:
        self.now = 0.0
        self.stream = io.StringIO()
        self.log = Log(form, level, self.stream, lambda: self.now)

    @property
    def entries(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def test_json_has_the_fields_beside_the_message() -> None:
    logged = Logged()
    logged.log.warning("peer lost", name="edge7", port=7946, why=OSError("gone"))
    (entry,) = logged.entries
    time = entry.pop("time")
    assert entry == {
        "level": "warning", "logger": "priomon_node", "message": "peer lost", "name": "edge7", "port": 7946, "why": "gone",
    }  # fmt: skip
    assert str(time).endswith("Z")


def test_text_is_one_line_whatever_a_peer_sends() -> None:
    logged = Logged("text")
    logged.log.error("bad\nname", name="x\r\n2026-01-01 error: forged\x1b[31m")
    (line,) = logged.stream.getvalue().splitlines()
    assert line.split("Z ", 1)[1] == "error priomon_node: bad\\nname name=x\\r\\n2026-01-01 error: forged\\x1b[31m"


def test_what_is_logged_says_is_not_overruled_by_a_field() -> None:
    logged = Logged()
    logged.log.info("real", message="false", level="false")
    assert (logged.entries[0]["message"], logged.entries[0]["level"]) == ("real", "info")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_kept(form: str) -> None:
    logged = Logged(form)
    try:
        raise ValueError("inside")
    except ValueError:
        logging.getLogger("library").exception("failed %d times", 2)
    text = logged.stream.getvalue()
    assert "failed 2 times" in text
    assert "Traceback" in text
    assert "inside" in text


def test_levels() -> None:
    logged = Logged(level="warning")
    say: list[Callable[..., None]] = [logged.log.debug, logged.log.info, logged.log.warning, logged.log.error]
    for number, at in enumerate(say):
        at(f"message {number}")
    assert [entry["message"] for entry in logged.entries] == ["message 2", "message 3"]


def test_a_flood_is_counted_and_does_not_silence_others() -> None:
    logged = Logged()
    for number in range(BURST + 7):
        logged.log.info("datagram dropped", source=number)
    logged.log.info("joined")
    assert [entry.get("source", entry["message"]) for entry in logged.entries] == [*range(BURST), "joined"]
    logged.now = REFILL
    logged.log.info("datagram dropped", source=99)
    logged.log.info("datagram dropped", source=100)
    logged.now = 2 * REFILL
    logged.log.info("datagram dropped", source=101)
    told = [(entry["source"], entry["suppressed"]) for entry in logged.entries if "suppressed" in entry]
    assert told == [(99, 7), (101, 1)]


def test_a_long_rest_fills_the_bucket_and_no_more() -> None:
    logged = Logged()
    for now in (0.0, 1000 * REFILL):
        logged.now = now
        for _ in range(3 * BURST):
            logged.log.info("again")
    assert len(logged.entries) == 2 * BURST


def test_messages_of_one_kind_share_a_bucket_and_loggers_do_not() -> None:
    logged = Logged()
    for number in range(BURST + 1):
        logging.getLogger("a").warning("failed %d times", number)
        logging.getLogger("b").warning("failed %d times", number)
    assert [entry["logger"] for entry in logged.entries] == ["a", "b"] * BURST


def test_the_memory_of_kinds_is_bounded() -> None:
    limit = RateLimit(lambda: 0.0, burst=1)

    def passes(message: str) -> bool:
        return limit.filter(logging.makeLogRecord({"name": "x", "msg": message}))

    assert passes("first")
    assert not passes("first")
    for number in range(MOST_KINDS - 1):
        assert passes(f"other {number}")
    assert not passes("first")  # still among the newest
    assert all(passes(f"more {number}") for number in range(MOST_KINDS))
    assert passes("first")  # forgotten


def test_a_report_reaches_listeners_though_its_line_is_suppressed() -> None:
    logged = Logged()
    heard: list[tuple[str, dict[str, object]]] = []
    logged.log.listeners.append(lambda kind, **fields: heard.append((kind, fields)))
    for number in range(BURST + 1):
        logged.log.report("members changed", name=number)
    assert heard == [("members changed", {"name": number}) for number in range(BURST + 1)]
    assert len(logged.entries) == BURST


def test_starting_again_replaces_what_was() -> None:
    first, second = Logged(), Logged()
    second.log.info("once")
    assert first.entries == []
    assert len(second.entries) == 1
