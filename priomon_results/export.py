"""Rows of a run, or any columns, as CSV, JSON or Parquet, for whatever a reader likes to work with."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from priomon_results.files import OutputError, replace_file
from priomon_results.store import Store

Format = Literal["csv", "json", "parquet"]
Columns = dict[str, list[Any]]


def export(store: Store, run: int, table: str, form: Format, target: str) -> int:
    """Write a table of a run to the file `target`, or to standard output for `-`, and return the number of rows.

    Numbers keep every digit; a missing value is an empty cell in CSV and null elsewhere. A file is replaced whole or not at all.
    Raises `StoreError` for an unknown run or table, `OutputError` when the target cannot be written or Parquet is not installed.
    """
    rows = store.rows(store.run(run).id, table)
    columns = {name: [None if value != value else value for value in values.tolist()] for name, values in rows.items()}
    write_columns(columns, form, target)
    return len(next(iter(columns.values())))


def write_columns(columns: Columns, form: Format, target: str) -> None:
    """Write columns of equal length to the file `target`, or to standard output for `-`. Raises `OutputError`."""
    content = _WRITERS[form](columns)
    if target == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    else:
        replace_file(Path(target), content)


def _csv(columns: Columns) -> bytes:
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _json(columns: Columns) -> bytes:
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return (json.dumps(rows, ensure_ascii=False, indent=1) + "\n").encode()


def _parquet(columns: Columns) -> bytes:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise OutputError("Parquet needs pyarrow, which is not installed: pip install 'priomon[parquet]', or export CSV") from error
    sink = arrow.BufferOutputStream()
    parquet.write_table(arrow.table(columns), sink)
    return bytes(sink.getvalue().to_pybytes())


_WRITERS: dict[Format, Callable[[Columns], bytes]] = {"csv": _csv, "json": _json, "parquet": _parquet}
