"""One SQLite file per experiment: one writer, any number of readers.

WAL with `synchronous=NORMAL` syncs at checkpoints only, and rows are committed about once a second, so a run costs the disk little
more than its rows. A power cut may lose the last seconds but never leaves a damaged or half-written file.

The writer holds an SQLite lock on the empty file `NAME-lock` from open to close. The kernel drops it when the process dies, however
it dies, so whoever gets it next knows that every run still marked `running` was left by a process that was killed.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from sqlite_utils import Database

from priomon_core.errors import PriomonError
from priomon_results.schema import APPLICATION_ID, MIGRATIONS, TABLES, Rows, Run, RunHeader, RunRows, Status

BUSY_SECONDS = 5.0
BATCH_ROWS = 20_000
BATCH_SECONDS = 1.0
JSON_COLUMNS = ("parameters", "machine", "notes", "summary")
DTYPES = {"INTEGER": np.int64, "REAL": np.float64, "TEXT": np.str_}

_ADVICE = {
    sqlite3.SQLITE_BUSY: "another program is writing to it; wait until that has finished, or choose another file",
    sqlite3.SQLITE_READONLY: "it cannot be written; check the permissions of the file and its folder, or choose another folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened or created; check that its folder exists and can be written",
    sqlite3.SQLITE_FULL: "the disk is full; the rows stored so far are kept; free some space, then run again",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write it; the rows stored so far are kept; check the disk, then run again",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite database; choose another file",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore it from a snapshot, or choose another file",
}


class StoreError(PriomonError):
    """The store could not be opened, read or written. What was committed before stays as it is."""


class Store:
    """The database at `path`, created when it is missing. A context manager.

    Raises `StoreError` when the file is missing (readonly), foreign, damaged, of a newer version, or cannot be written.
    """

    def __init__(self, path: Path | str, *, readonly: bool = False) -> None:
        self.path = Path(path)
        self.readonly = readonly
        if readonly and not self.path.is_file():
            raise StoreError(f"{self.path}: there is no such file; run a scenario first, or give the path of a store")
        with self._explained(), ExitStack() as opened:
            self.connection = opened.enter_context(closing(self._connect()))
            self._check_owner()
            if readonly:
                # SQLite's own read-only mode would leave its helper files behind.
                self.connection.execute("PRAGMA query_only=ON")
            else:
                lock = opened.enter_context(closing(sqlite3.connect(f"{self.path}-lock", timeout=0, isolation_level=None)))
                lock.execute("BEGIN EXCLUSIVE")
                self._prepare()
            self._opened = opened.pop_all()
        self._tables = Database(self.connection, recursive_triggers=False, execute_plugins=False)

    def _connect(self) -> sqlite3.Connection:
        mode = "rw" if self.readonly else "rwc"
        # A WAL database needs helper files beside it, which a read-only folder refuses. Nobody can be writing there, so do without.
        if self.readonly and not os.access(self.path.parent, os.W_OK) and not Path(f"{self.path}-wal").exists():
            mode = "ro&immutable=1"
        uri = f"{self.path.resolve().as_uri()}?mode={mode}"
        return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)

    def _check_owner(self) -> None:
        version, newest = self._pragma("user_version"), len(MIGRATIONS)
        is_new = self._pragma("page_count") == 0 and not self.readonly
        if not is_new and self._pragma("application_id") != APPLICATION_ID:
            raise StoreError(f"{self.path}: this SQLite database was not made by PrioMon; it was left alone; choose another file")
        if version > newest:
            raise StoreError(
                f"{self.path}: schema version {version} is newer than {newest}, the newest that this PrioMon knows;"
                " update PrioMon, or choose another file"
            )
        if self.readonly and version < newest:
            raise StoreError(f"{self.path}: schema version {version} is older than {newest}; open it once for writing to update it")

    def _prepare(self) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            self.connection.execute(f"PRAGMA {pragma}")
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            for statements in MIGRATIONS[self._pragma("user_version") :]:
                for statement in statements:
                    self.connection.execute(statement)
            self.connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            self.connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            self.connection.execute("UPDATE run SET status = 'interrupted' WHERE status = 'running'")

    def _pragma(self, name: str) -> int:
        return int(self.connection.execute(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn SQLite's errors into a `StoreError` that says where, what and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary code
            raise StoreError(f"{self.path}: {_ADVICE.get(code, f'the database refused: {error}')}") from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements of which all or none are stored. Raises `StoreError`."""
        with self._explained(), self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            yield self.connection

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows that a SELECT gives. Raises `StoreError`."""
        return list(self.each(sql, *values))

    def each(self, sql: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The same rows one by one, for more of them than should be in memory. Raises `StoreError`."""
        with self._explained():
            yield from self.connection.execute(sql, values)

    def begin(self, header: RunHeader, *, clock: Callable[[], float] = time.monotonic) -> RunWriter:
        """Store a new run as `running`. `clock` gives seconds and decides when batches are committed."""
        values = {field.name: getattr(header, field.name) for field in fields(RunHeader)}
        values |= {name: json.dumps(value) for name, value in values.items() if name in JSON_COLUMNS}
        values |= {"started": datetime.now(UTC).isoformat(timespec="seconds"), "status": "running"}
        with self._explained():
            cursor = self.connection.execute(
                f"INSERT INTO run ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", tuple(values.values())
            )
        return RunWriter(self, int(cursor.lastrowid or 0), clock)

    def runs(self) -> list[Run]:
        """All runs, oldest first."""
        with self._explained():
            rows = list(self._tables.table("run").rows_where(order_by="id"))
        return [Run(**{name: json.loads(value) if name in JSON_COLUMNS else value for name, value in row.items()}) for row in rows]

    def run(self, number: int | None = None) -> Run:
        """The run with this id, or the latest complete one. Raises `StoreError` if there is none."""
        runs = self.runs()
        if number is None:
            found = [run for run in runs if run.status == "complete"]
            missing = "holds no complete run"
        else:
            found = [run for run in runs if run.id == number]
            missing = f"holds no run {number}"
        if not found:
            there = ", ".join(f"{run.id} ({run.status})" for run in runs) or "none"
            raise StoreError(f"{self.path}: {missing}; runs in it: {there}")
        return found[-1]

    def columns(self, table: str) -> dict[str, str]:
        """Column -> INTEGER, REAL or TEXT of a table of rows, without the column `run`. Raises `StoreError` for another table."""
        if table not in TABLES:
            raise StoreError(f"{self.path}: there is no table {table!r}; tables are {', '.join(TABLES)}")
        return {column.name: column.type for column in self._tables.table(table).columns if column.name != "run"}

    def rows(self, run: int, table: str) -> Rows:
        """Column -> array of all rows of a run, in the order of the table's key. `NULL` becomes nan."""
        columns = self.columns(table)
        order = ", ".join(self._tables.table(table).pks)
        with self._explained():
            cursor = self.connection.execute(f"SELECT {', '.join(columns)} FROM {table} WHERE run = ? ORDER BY {order}", (run,))
            values = list(zip(*cursor, strict=True)) or [()] * len(columns)
        return {name: np.array(column, dtype=DTYPES[columns[name]]) for name, column in zip(columns, values, strict=True)}

    def load(self, number: int | None = None) -> RunRows:
        """A run (as `run` finds it) with its rows, each table read when it is first asked for."""
        run = self.run(number)
        return RunRows(run, cache(partial(self.rows, run.id)))

    def snapshot(self, path: Path | str) -> None:
        """Write a compact copy to `path`, which must not exist; safe while a run writes."""
        if Path(path).exists():
            raise StoreError(f"{path}: the file exists already; a snapshot replaces nothing, so choose another name")
        with self._explained():
            self.connection.execute("VACUUM INTO ?", (str(path),))

    def close(self) -> None:
        """Fold the log into the file and let go of it."""
        if not self.readonly:
            # A reader or a full disk may prevent it. Nothing is lost: the log stays beside the file and counts as part of it.
            with suppress(sqlite3.OperationalError):
                self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class RunWriter:
    """Takes the rows of one run and commits them in batches: one transaction per second of `clock` or per 20,000 rows.

    A context manager: left before `finish`, the run keeps its rows and is marked `interrupted`, or `failed` after an error.
    """

    def __init__(self, store: Store, run: int, clock: Callable[[], float]) -> None:
        self.run = run
        self.commits = 0
        self._store = store
        self._clock = clock
        self._started = self._committed = clock()
        self._pending: dict[str, list[tuple[Any, ...]]] = {}
        self._finished = False

    def add(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Take rows of plain Python values in the order of the table's columns, without `run`. Raises `StoreError`."""
        if table not in self._pending:
            self._store.columns(table)
        self._pending.setdefault(table, []).extend(rows)
        if sum(map(len, self._pending.values())) >= BATCH_ROWS or self._clock() - self._committed >= BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Commit what is pending. Raises `StoreError`; the rows committed before are kept."""
        if not self._pending:
            return
        connection = self._store.connection
        with self._store._explained():
            connection.execute("BEGIN IMMEDIATE")
            try:
                for table, rows in self._pending.items():
                    places = ", ".join("?" * len(self._store.columns(table)))
                    connection.executemany(f"INSERT INTO {table} VALUES ({self.run}, {places})", rows)
                connection.execute("COMMIT")
            finally:
                # Ctrl-C may land on either side of COMMIT; only SQLite knows whether these rows are stored or still pending.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                else:
                    self._pending.clear()
        self.commits += 1
        self._committed = self._clock()

    def finish(
        self, status: Status, *, wall_seconds: float, virtual_seconds: float | None, trace_hash: str, summary: Mapping[str, Any]
    ) -> None:
        """Store the end of the run. A complete run replaces all earlier ones of its mode, scenario hash, seed and code version."""
        self.flush()
        connection = self._store.connection
        with self._store._explained(), connection:
            connection.execute("BEGIN IMMEDIATE")
            if status == "complete":
                connection.execute(
                    "DELETE FROM run WHERE id < ?1 AND (mode, scenario_hash, seed, code_version) ="
                    " (SELECT mode, scenario_hash, seed, code_version FROM run WHERE id = ?1)",
                    (self.run,),
                )
            connection.execute(
                "UPDATE run SET status = ?, wall_seconds = ?, virtual_seconds = ?, trace_hash = ?, summary = ? WHERE id = ?",
                (status, wall_seconds, virtual_seconds, trace_hash, json.dumps(summary), self.run),
            )
        self.commits += 1
        self._finished = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._finished:
            return
        if isinstance(error, StoreError):
            self._pending.clear()  # they were refused once; the run still has to be marked
        self.flush()
        seconds = self._store.connection.execute("SELECT max(t) FROM sample WHERE run = ?", (self.run,)).fetchone()[0]
        status: Status = "failed" if isinstance(error, Exception) else "interrupted"
        self.finish(status, wall_seconds=self._clock() - self._started, virtual_seconds=seconds, trace_hash="", summary={})
