"""The recorder keeps an absolute schedule and never loses a row it has taken."""

import csv
import errno
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_core.config import SECOND
from priomon_node.recorder import FLUSH_INTERVAL, Recording, RecordingError, StoppableClock, open_sink, record
from priomon_node.sampler import Reading


class FakeClock:
    """Time moves only when the recorder waits, or when `delays` (ns, one per wait) makes it wake late."""

    def __init__(self, delays: list[int] | None = None, stop_at: int | None = None) -> None:
        self.time = 1_000 * SECOND
        self.start = self.time
        self.delays = iter(delays or [])
        self.stop_at = stop_at

    def now(self) -> int:
        return self.time

    def wait_until(self, deadline: int) -> bool:
        if self.stop_at is not None and deadline > self.start + self.stop_at:
            return False
        self.time = max(self.time, deadline) + next(self.delays, 0)
        return True


def reading() -> Reading:
    return Reading(1.0, 2.0, memory_percent=12.345, interface_bytes={"eth0": 10}, storage_percent=50.0)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_recording_has_the_columns_that_scenarios_read() -> None:
    sink = io.StringIO()
    assert record(sink, SECOND, 2 * SECOND, FakeClock(), reading) == Recording(rows=2, skipped=0, seconds=2.0)
    assert sink.getvalue() == (
        "time_s,cpu_percent,memory_percent,network_bytes_per_second,storage_percent\n1.000,0.00,12.35,0,50.000\n2.000,0.00,12.35,0,50.000\n"
    )


def test_small_delays_do_not_add_up() -> None:
    sink = io.StringIO()
    done = record(sink, SECOND, 100 * SECOND, FakeClock(delays=[10_000_000] * 100), reading)
    assert done.rows == 100
    assert rows(sink.getvalue())[-1]["time_s"] == "100.010"


def test_a_row_that_is_too_late_is_skipped_and_counted() -> None:
    sink = io.StringIO()
    done = record(sink, SECOND, 8 * SECOND, FakeClock(delays=[0, 3_500_000_000]), reading)
    assert [row["time_s"] for row in rows(sink.getvalue())] == ["1.000", "5.500", "6.000", "7.000", "8.000"]
    assert done == Recording(rows=5, skipped=3, seconds=8.0)


@given(st.integers(1, 5 * SECOND), st.integers(0, 40), st.lists(st.integers(0, 20 * SECOND), max_size=40))
def test_rows_and_skips_add_up_to_the_schedule(interval: int, due: int, delays: list[int]) -> None:
    sink = io.StringIO()
    done = record(sink, interval, due * interval, FakeClock(delays), reading)
    assert done.rows + done.skipped == due
    assert done.rows == len(rows(sink.getvalue()))


def test_a_stop_keeps_the_rows_so_far() -> None:
    sink = io.StringIO()
    done = record(sink, SECOND, 100 * SECOND, FakeClock(stop_at=3 * SECOND), reading)
    assert done == Recording(rows=3, skipped=0, seconds=3.0)
    assert len(rows(sink.getvalue())) == 3


def test_progress_is_told_after_every_row() -> None:
    told: list[Recording] = []
    record(io.StringIO(), SECOND, 3 * SECOND, FakeClock(), reading, told.append)
    assert [one.rows for one in told] == [1, 2, 3]


def test_at_most_one_flush_interval_is_unflushed(tmp_path: Path) -> None:
    path = tmp_path / "out.csv.gz"
    lag: list[float] = []

    def look(done: Recording) -> None:
        # What a crash would leave: the file without its gzip trailer.
        with gzip.open(path, "rt") as file:
            text = ""
            try:
                while character := file.read(1):
                    text += character
            except EOFError:
                pass
        lag.append(done.seconds - (len(text.splitlines()) - 1))

    with open_sink(str(path), overwrite=False) as sink:
        record(sink, SECOND, 23 * SECOND, FakeClock(), reading, look)
    assert max(lag) < FLUSH_INTERVAL / SECOND
    assert len(lag) == 23


def test_a_compressed_file_depends_on_its_rows_alone(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "b.csv.gz"):
        with open_sink(str(tmp_path / name), overwrite=False) as sink:
            record(sink, SECOND, 3 * SECOND, FakeClock(), reading)
    first = (tmp_path / "a.csv.gz").read_bytes()
    assert first == (tmp_path / "b.csv.gz").read_bytes()
    assert first[4:8] == bytes(4)  # the gzip header's time
    assert len(gzip.decompress(first).splitlines()) == 4


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("precious")
    with pytest.raises(RecordingError, match=r"out\.csv exists.*--force"), open_sink(str(path), overwrite=False):
        pass
    assert path.read_text() == "precious"
    with open_sink(str(path), overwrite=True) as sink:
        sink.write("new\n")
    assert path.read_text() == "new\n"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(RecordingError, match=r"no folder .*absent for out.csv; create it"),
        open_sink(str(tmp_path / "absent/out.csv"), False),
    ):
        pass


@pytest.mark.parametrize("name", ["full.csv", "full.csv.gz"])
def test_a_full_disk_is_one_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(RecordingError, match="No space left on device"), open_sink(str(tmp_path / name), overwrite=True) as sink:
        record(sink, SECOND, 60 * SECOND, FakeClock(), reading)


def test_a_machine_that_cannot_be_read_is_one_error_and_keeps_the_rows(tmp_path: Path) -> None:
    readings = iter([reading(), reading(), reading()])

    def fail_on_the_fourth() -> Reading:
        try:
            return next(readings)
        except StopIteration:
            raise OSError(errno.EACCES, "Permission denied", "/proc/stat") from None

    path = tmp_path / "out.csv"
    with pytest.raises(RecordingError, match="Permission denied"), open_sink(str(path), overwrite=False) as sink:
        record(sink, SECOND, 60 * SECOND, FakeClock(), fail_on_the_fourth)
    assert len(rows(path.read_text())) == 2


def test_a_stopped_clock_does_not_wait() -> None:
    clock = StoppableClock()
    assert clock.wait_until(clock.now() - 1)
    clock.stop()
    assert not clock.wait_until(clock.now() + 3600 * SECOND)
