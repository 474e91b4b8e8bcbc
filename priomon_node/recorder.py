"""Records this machine into a CSV file that scenarios can replay.

The schedule is absolute: row k is due at start + k * interval, whatever earlier rows cost, so a recording does not drift. A row
whose time has passed before it could be taken is skipped and counted; it is never taken late and passed off as punctual.
"""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TextIO

from priomon_core.config import SECOND
from priomon_core.errors import PriomonError
from priomon_core.metrics import CPU, MEMORY, NETWORK, STORAGE
from priomon_node.sampler import Reading, Sampler, read_machine

FLUSH_INTERVAL = 5 * SECOND  # a crash loses at most this much
STOP_LATENCY = 0.2  # seconds between a request to stop and its effect
STDOUT = "-"

# column of the file -> metric and format
COLUMNS = {
    "cpu_percent": (CPU.name, ".2f"),
    "memory_percent": (MEMORY.name, ".2f"),
    "network_bytes_per_second": (NETWORK.name, ".0f"),
    "storage_percent": (STORAGE.name, ".3f"),
}


class RecordingError(PriomonError):
    """A recording could not be started or went no further; rows written before it are kept."""


class Clock(Protocol):
    """What the recorder needs of time."""

    def now(self) -> int:
        """Monotonic nanoseconds."""

    def wait_until(self, deadline: int) -> bool:
        """Wait; False when the recording was asked to stop."""


class StoppableClock:
    """The machine's monotonic clock, with a wait that `stop` ends. `stop` only sets a flag, so a signal handler may call it."""

    def __init__(self) -> None:
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    def now(self) -> int:
        return time.monotonic_ns()

    def wait_until(self, deadline: int) -> bool:
        # Slices, because Python resumes a sleep after a signal handler; raising from the handler instead could tear a row.
        while not self._stopped and (left := deadline - self.now()) > 0:
            time.sleep(min(left / SECOND, STOP_LATENCY))
        return not self._stopped


@dataclass(frozen=True, slots=True)
class Recording:
    """What a recording has written so far: rows, rows skipped because their time had passed, and the time it spans."""

    rows: int
    skipped: int
    seconds: float


def record(
    sink: TextIO,
    interval: int,
    duration: int,
    clock: Clock,
    read: Callable[[], Reading] = read_machine,
    progress: Callable[[Recording], None] = lambda _: None,
) -> Recording:
    """Write a header and one row per `interval` (ns) to `sink` until `duration` (ns) is over or the clock says stop.

    Raises `OSError` when the sink takes no more or the machine cannot be read.
    """
    start = clock.now()
    sampler = Sampler(start, read)
    print("time_s", *COLUMNS, sep=",", file=sink)
    sink.flush()
    flushed, due, done = start, 1, Recording(0, 0, 0.0)
    while due * interval <= duration and clock.wait_until(start + due * interval):
        now = clock.now()
        values = sampler.sample(now)
        cells = (format(values[metric], style) for metric, style in COLUMNS.values())
        print(f"{(now - start) / SECOND:.3f}", *cells, sep=",", file=sink)
        if now - flushed >= FLUSH_INTERVAL:
            sink.flush()
            flushed = now
        following = (clock.now() - start) // interval + 1
        missed = min(following, duration // interval + 1) - due - 1
        done = Recording(done.rows + 1, done.skipped + missed, (now - start) / SECOND)
        due = following
        progress(done)
    return done


@contextmanager
def open_sink(name: str, overwrite: bool) -> Iterator[TextIO]:
    """Open a recording's file: gzip when the name ends in .gz, standard output for "-".

    Raises `RecordingError`, in one sentence with the file's name, for every `OSError` on opening, inside the block and on closing.
    """
    try:
        with (
            _open(name, overwrite) as raw,
            # No name and no time inside: equal rows give equal files.
            gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if name.endswith(".gz") else raw as plain,
            io.TextIOWrapper(plain, encoding="ascii", newline="\n") as sink,
        ):
            yield sink
    except OSError as error:
        raise RecordingError(f"cannot record to {name}: {error.strerror or error}; rows written so far are kept") from error


def _open(name: str, overwrite: bool) -> BinaryIO:
    if name == STDOUT:
        return open(1, "wb", closefd=False)
    path = Path(name)
    if path.is_dir():
        raise RecordingError(f"{name} is a folder; name a file in it")
    try:
        return path.open("wb" if overwrite else "xb")
    except FileExistsError:
        raise RecordingError(f"{name} exists; choose another name, or replace it with --force") from None
    except FileNotFoundError:
        raise RecordingError(f"there is no folder {path.parent} for {path.name}; create it first") from None
