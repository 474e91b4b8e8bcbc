"""The store keeps what was committed, replaces only when it has something better, and refuses clearly."""

from __future__ import annotations

import gzip
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from priomon_results.schema import APPLICATION_ID, MIGRATIONS, TABLES, RunHeader, RunRows
from priomon_results.store import BATCH_ROWS, Store, StoreError

MakeHeader = Callable[..., RunHeader]
VERSION = len(MIGRATIONS)
END = {"wall_seconds": 2.5, "virtual_seconds": 60.0, "trace_hash": "abc"}


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


def complete(store: Store, header: RunHeader, edges: int = 1) -> int:
    with store.begin(header) as writer:
        writer.add("edge", [(0, index) for index in range(edges)])
        writer.finish("complete", summary={"nodes": header.nodes}, **END)
    return writer.run


def statuses(store: Store) -> list[tuple[int, str]]:
    return [(run.id, run.status) for run in store.runs()]


def test_a_run_comes_back_as_it_was_stored(path: Path, make_header: MakeHeader) -> None:
    header = make_header(seed=7, notes=["a", "b"])
    with Store(path) as store:
        number = complete(store, header)
    with Store(path, readonly=True) as store:
        run = store.run()
    assert run.id == number
    assert {name: getattr(run, name) for name in RunHeader.__dataclass_fields__} == {
        name: getattr(header, name) for name in RunHeader.__dataclass_fields__
    }
    assert (run.status, run.wall_seconds, run.virtual_seconds, run.trace_hash) == ("complete", 2.5, 60.0, "abc")
    assert run.summary == {"nodes": 40}


@given(
    rows=st.lists(
        st.tuples(
            st.floats(0, 1e6, allow_nan=False),
            st.text(alphabet="abcdé'\"", max_size=5),
            st.integers(0, 2**63 - 1),
            st.integers(0, 2**40),
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
        ),
        unique_by=lambda row: row[:2],
        max_size=30,
    )
)
def test_rows_come_back_in_key_order_with_nan_for_null(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, str, int, int, float | None]]
) -> None:
    header = RunHeader(
        mode="sim", scenario="s", scenario_hash="h", seed=1, code_version="1", strategy="x", nodes=2, parameters={}, machine={}
    )
    with Store(tmp_path_factory.mktemp("rows") / "runs.sqlite") as store:
        with store.begin(header) as writer:
            writer.add("metric_sample", [(*row, 0.5, None) for row in rows])
        got = store.rows(writer.run, "metric_sample")
    expected = sorted(rows, key=lambda row: (row[0], row[1].encode()))
    assert [got["t"].dtype, got["published"].dtype, got["error_p50"].dtype] == [np.float64, np.int64, np.float64]
    assert got["t"].tolist() == [row[0] for row in expected]
    assert got["metric"].tolist() == [row[1] for row in expected]
    assert got["published"].tolist() == [row[2] for row in expected]
    assert [None if np.isnan(value) else value for value in got["error_p50"]] == [row[4] for row in expected]
    assert np.isnan(got["error_max"]).all()


def test_every_table_takes_and_gives_rows(make_run: Callable[..., RunRows]) -> None:
    fake = make_run(nodes=10)
    for table in TABLES:
        columns = fake.rows(table)
        assert len({len(column) for column in columns.values()}) == 1, table
        assert len(next(iter(columns.values()))) > 0, table


def test_batches_follow_the_clock_and_the_number_of_rows(path: Path, make_header: MakeHeader) -> None:
    clock = FakeClock()
    with Store(path) as store, Store(path, readonly=True) as reader, store.begin(make_header(), clock=clock) as writer:
        seen = lambda: len(reader.rows(writer.run, "edge")["a"])  # noqa: E731
        writer.add("edge", [(0, 0)])
        clock.now += 0.9
        writer.add("edge", [(0, 1)])
        assert (writer.commits, seen()) == (0, 0)
        clock.now += 0.2
        writer.add("edge", [(0, 2)])
        assert (writer.commits, seen()) == (1, 3)
        writer.add("edge", ((1, index) for index in range(BATCH_ROWS - 1)))
        assert (writer.commits, seen()) == (1, 3)
        writer.add("node", [(0, "n", 0.0, 0.0, None)])
        assert (writer.commits, seen()) == (2, BATCH_ROWS + 2)


def test_a_repeated_run_replaces_the_old_one_only_once_it_is_complete(path: Path, make_header: MakeHeader) -> None:
    with Store(path) as store:
        old, other = complete(store, make_header(), edges=3), complete(store, make_header(seed=2))
        with pytest.raises(KeyboardInterrupt), store.begin(make_header()) as writer:
            writer.add("edge", [(0, 0)])
            raise KeyboardInterrupt
        assert statuses(store) == [(old, "complete"), (other, "complete"), (writer.run, "interrupted")]
        assert len(store.rows(old, "edge")["a"]) == 3
        new = complete(store, make_header(), edges=5)
        assert statuses(store) == [(other, "complete"), (new, "complete")]
        assert store.run().id == new
        assert len(store.rows(old, "edge")["a"]) == 0
        assert len(store.rows(new, "edge")["a"]) == 5


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")])
def test_a_run_left_by_an_exception_keeps_its_rows(path: Path, make_header: MakeHeader, error: type[BaseException], status: str) -> None:
    clock = FakeClock()
    with Store(path) as store:
        with pytest.raises(error), store.begin(make_header(), clock=clock) as writer:
            writer.add("sample", [(t, 0.5, 40, 0, 0, 0, 0, 0, None, None, None, None, None) for t in (0.0, 1.0, 2.0)])
            clock.now += 0.5
            raise error
        run = store.run(writer.run)
        assert (run.status, run.wall_seconds, run.virtual_seconds) == (status, 0.5, 2.0)
        assert store.rows(writer.run, "sample")["t"].tolist() == [0.0, 1.0, 2.0]
        with pytest.raises(StoreError, match=rf"holds no complete run; runs in it: 1 \({status}\)"):
            store.run()


class Interrupted:
    """A connection on which Ctrl-C arrives once, right after a statement."""

    def __init__(self, connection: sqlite3.Connection, after: str) -> None:
        self.connection = connection
        self.after: str | None = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self._run(self.connection.execute, sql, *values)

    def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
        return self._run(self.connection.executemany, sql, *values)

    def _run(self, call: Callable[..., sqlite3.Cursor], sql: str, *values: Any) -> sqlite3.Cursor:
        cursor = call(sql, *values)
        if self.after and sql.startswith(self.after):
            self.after = None
            raise KeyboardInterrupt
        return cursor


@pytest.mark.parametrize("after", ["INSERT INTO edge", "COMMIT"])
def test_an_interrupt_while_committing_loses_and_doubles_nothing(path: Path, make_header: MakeHeader, after: str) -> None:
    with Store(path) as store:
        plain = store.connection
        with pytest.raises(KeyboardInterrupt), store.begin(make_header()) as writer:
            writer.add("edge", [(0, 1), (0, 2)])
            store.connection = Interrupted(plain, after)  # type: ignore[assignment]
            try:
                writer.flush()
            finally:
                store.connection = plain
        assert store.rows(writer.run, "edge")["b"].tolist() == [1, 2]
        assert statuses(store) == [(writer.run, "interrupted")]


def test_a_killed_writer_leaves_an_interrupted_run_and_no_lock(path: Path) -> None:
    script = f"""
import os, signal
from priomon_results.schema import RunHeader
from priomon_results.store import Store
writer = Store({str(path)!r}).begin(RunHeader(mode="sim", scenario="s", scenario_hash="h", seed=1, code_version="1", strategy="x",
                                              nodes=2, parameters={{}}, machine={{}}))
writer.add("edge", [(0, 1)])
writer.flush()
writer.add("edge", [(0, 2)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    with Store(path, readonly=True) as store:
        assert statuses(store) == [(1, "running")]
    with Store(path) as store:
        assert statuses(store) == [(1, "interrupted")]
        assert store.rows(1, "edge")["b"].tolist() == [1]


def test_a_second_writer_is_refused_and_readers_are_not(path: Path, make_header: MakeHeader) -> None:
    with Store(path) as store, store.begin(make_header()) as writer:
        with pytest.raises(StoreError, match="another program is writing to it; wait"):
            Store(path)
        with Store(path, readonly=True) as reader:
            assert statuses(reader) == [(writer.run, "running")]
    with Store(path) as store:
        assert statuses(store) == [(writer.run, "interrupted")]


def test_a_full_disk_keeps_the_rows_so_far(path: Path, make_header: MakeHeader) -> None:
    with Store(path) as store:
        with pytest.raises(StoreError, match=r"runs\.sqlite: the disk is full; the rows stored so far are kept; free"):  # noqa: SIM117
            with store.begin(make_header()) as writer:
                writer.add("edge", [(0, 1)])
                writer.flush()
                store.connection.execute(f"PRAGMA max_page_count = {store._pragma('page_count')}")
                writer.add("edge", [(1, index) for index in range(BATCH_ROWS)])
        assert store.rows(writer.run, "edge")["b"].tolist() == [1]
        assert statuses(store) == [(writer.run, "failed")]


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE diary (day TEXT)")


def newer(path: Path) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")


@pytest.mark.parametrize("readonly", [False, True])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (foreign, "this SQLite database was not made by PrioMon; it was left alone; choose another file"),
        (newer, f"schema version {VERSION + 1} is newer than {VERSION}, the newest that this PrioMon knows; update PrioMon"),
        (lambda path: path.write_bytes(gzip.compress(b"x" * 9_000)), "it is not an SQLite database; choose another file"),
        (lambda path: path.mkdir(), "no such file|it cannot be opened or created; check that its folder exists"),
    ],
)
def test_what_is_not_our_store_is_refused_untouched(path: Path, make: Callable[[Path], None], message: str, readonly: bool) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError, match=message) as refusal:
        Store(path, readonly=readonly)
    assert str(path) in str(refusal.value)
    assert before == (path.read_bytes() if path.is_file() else None)
    assert {file.name for file in path.parent.iterdir()} <= {"runs.sqlite", "runs.sqlite-lock"}


@pytest.mark.parametrize("folder", ["missing", "/proc"])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(StoreError, match="it cannot be opened or created; check that its folder exists and can be written"):
        Store(tmp_path / folder / "runs.sqlite")


def test_a_file_that_cannot_be_written_is_refused_but_can_be_read(
    path: Path, make_header: MakeHeader, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(path) as store:
        complete(store, make_header())
    connect = sqlite3.connect
    # Permissions do not bind root, who may run the tests, so SQLite itself is told that the file is read-only.
    monkeypatch.setattr(sqlite3, "connect", lambda name, **kw: connect(str(name).replace("mode=rwc", "mode=ro"), **kw))
    with pytest.raises(StoreError, match="it cannot be written; check the permissions of the file and its folder"):
        Store(path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Store(path, readonly=True) as store:
        assert store.run().seed == 1
    assert not path.with_name("runs.sqlite-wal").exists()


def test_a_missing_file_is_not_created_for_reading(path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such file; run a scenario first"):
        Store(path, readonly=True)
    assert not path.exists()


@pytest.mark.parametrize(
    ("table", "row", "message"),
    [
        ("nodes", (1,), "there is no table 'nodes'; tables are sample, node_sample"),
        ("edge", (1,), "the database refused: .*bindings"),
        ("edge", (0, None), "the database refused: NOT NULL constraint failed: edge.b"),
        ("distribution", ("speed", "", 0.0, 1.0, 3), "the database refused: CHECK constraint failed"),
    ],
)
def test_wrong_rows_are_refused(path: Path, make_header: MakeHeader, table: str, row: tuple[object, ...], message: str) -> None:
    with Store(path) as store:
        with pytest.raises(StoreError, match=message), store.begin(make_header()) as writer:
            writer.add(table, [row])
            writer.flush()
        assert statuses(store) == [(writer.run, "failed")]


def test_an_older_schema_is_lifted_by_a_writer(path: Path, make_header: MakeHeader, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store(path) as store:
        number = complete(store, make_header())
    monkeypatch.setattr("priomon_results.store.MIGRATIONS", (*MIGRATIONS, ("ALTER TABLE edge ADD COLUMN weight REAL",)))
    with pytest.raises(StoreError, match=f"schema version {VERSION} is older than {VERSION + 1}; open it once for writing"):
        Store(path, readonly=True)
    with Store(path) as store:
        assert list(store.rows(number, "edge")) == ["a", "b", "weight"]
        assert store._pragma("user_version") == VERSION + 1


@pytest.mark.parametrize("version", range(1, VERSION))
def test_every_older_schema_is_lifted_with_its_runs(
    path: Path, make_header: MakeHeader, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("priomon_results.store.MIGRATIONS", MIGRATIONS[:version])
        with Store(path) as store:
            number = complete(store, make_header())
    with Store(path) as store:
        assert all(len(next(iter(store.rows(number, table).values()))) == (table == "edge") for table in TABLES)


def test_a_failed_migration_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(path).close()
    broken = ("ALTER TABLE edge ADD COLUMN weight REAL", "ALTER TABLE nowhere ADD COLUMN x REAL")
    with monkeypatch.context() as patch:
        patch.setattr("priomon_results.store.MIGRATIONS", (*MIGRATIONS, broken))
        with pytest.raises(StoreError, match="no such table: nowhere"):
            Store(path)
    with Store(path) as store:
        assert list(store.columns("edge")) == ["a", "b"]


def test_closing_folds_the_log_into_the_file(path: Path, make_header: MakeHeader) -> None:
    with Store(path) as store:
        complete(store, make_header())
        wal = path.with_name("runs.sqlite-wal")
        assert wal.stat().st_size > 0
        reader = Store(path, readonly=True)  # as long as somebody reads, SQLite keeps the log file, emptied
    assert wal.stat().st_size == 0
    reader.close()
    header = path.read_bytes()[:100]
    assert int.from_bytes(header[68:72], "big") == APPLICATION_ID


def test_a_snapshot_is_a_store_of_its_own(path: Path, make_header: MakeHeader) -> None:
    copy = path.with_name("copy.sqlite")
    with Store(path) as store, store.begin(make_header()) as writer:
        writer.add("edge", [(3, 4)])
        writer.flush()
        store.snapshot(copy)
        with pytest.raises(StoreError, match=r"copy\.sqlite: the file exists already"):
            store.snapshot(copy)
    with Store(copy, readonly=True) as store:
        assert store.rows(writer.run, "edge")["b"].tolist() == [4]


def test_loaded_tables_are_read_once(path: Path, make_header: MakeHeader) -> None:
    with Store(path) as store:
        number = complete(store, make_header(), edges=2)
        loaded = store.load(number)
        first = loaded.rows("edge")
        store.connection.execute("DELETE FROM edge")
        assert loaded.rows("edge") is first


def test_parameters_keep_their_order(path: Path, make_header: MakeHeader) -> None:
    with Store(path) as store:
        complete(store, make_header(parameters={"b": 1, "a": [None, 2.5]}))
        assert list(store.run().parameters.items()) == [("b", 1), ("a", [None, 2.5])]


def test_opening_a_store_leaves_matplotlib_alone() -> None:
    script = "import sys, priomon_results.store; print([name for name in ('matplotlib', 'jinja2') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
