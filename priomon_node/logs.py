"""Logs on stderr, as text for people or one JSON object per line for machines, and never a flood.

Messages that differ only in their arguments share a token bucket, so a peer that sends garbage costs a few lines, not a disk. The
first message that passes again says how many did not.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

BURST = 5  # messages of one kind that pass at once
REFILL = 10.0  # seconds until one more may pass
MOST_KINDS = 256  # of which the bucket is remembered


class RateLimit(logging.Filter):
    """Drops what exceeds the bucket of its kind; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, burst: int = BURST, refill: float = REFILL) -> None:
        super().__init__()
        self._clock = clock
        self._burst = burst
        self._refill = refill
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float, int]] = OrderedDict()  # tokens, when, suppressed since

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = (record.name, str(record.msg)), self._clock()
        tokens, then, suppressed = self._buckets.pop(kind, (float(self._burst), now, 0))
        tokens = min(tokens + (now - then) / self._refill, self._burst)
        passes = tokens >= 1
        self._buckets[kind] = (tokens - 1, now, 0) if passes else (tokens, now, suppressed + 1)
        if len(self._buckets) > MOST_KINDS:
            self._buckets.popitem(last=False)
        record.suppressed = suppressed
        return passes


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z warning priomon_node.agent: message`, on one line unless there is a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{_time(record)} {record.levelname.lower()} {record.name}: {_one_line(record.getMessage())}"
        fields = "".join(f" {name}={_one_line(str(value))}" for name, value in _fields(record).items())
        return head + fields + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


class JsonFormatter(logging.Formatter):
    """An object with time, level, logger and message; its fields stand beside them."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps({**_fields(record), **entry}, default=str)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = getattr(record, "fields", {})
    suppressed = getattr(record, "suppressed", 0)
    return {**fields, "suppressed": suppressed} if suppressed else fields


def _one_line(text: str) -> str:
    """Text that comes from a peer must not look like a line of ours."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class Log:
    """What an agent says: a message that is always the same for the same thing, and fields that tell one case from another.

    Everything from `level` up goes to `stream` (stderr), as `form` "text" or "json", and so does what libraries log.
    """

    def __init__(self, form: str, level: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        handler = logging.StreamHandler(stream or sys.stderr)
        handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
        handler.addFilter(RateLimit(clock))
        logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
        self._logger = logging.getLogger("priomon_node")
        self.listeners: list[Callable[..., None]] = []

    def debug(self, message: str, /, **fields: object) -> None:
        self._logger.debug(message, extra={"fields": fields})

    def info(self, message: str, /, **fields: object) -> None:
        self._logger.info(message, extra={"fields": fields})

    def warning(self, message: str, /, **fields: object) -> None:
        self._logger.warning(message, extra={"fields": fields})

    def error(self, message: str, /, **fields: object) -> None:
        self._logger.error(message, extra={"fields": fields})

    def report(self, kind: str, /, **fields: object) -> None:
        """An event: a line of the level info, and a call `(kind, **fields)` of every listener, however many there are of it."""
        self.info(kind, **fields)
        for listener in self.listeners:
            listener(kind, **fields)
