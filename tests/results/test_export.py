"""Exported rows are the stored rows, in every format."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from priomon_results.export import export
from priomon_results.files import OutputError
from priomon_results.schema import RunHeader
from priomon_results.store import Store, StoreError

ROWS = [(0, 'náme, with "quotes"', 0.1, 1e-300, None), (1, "line\nbreak", -0.0, 123456.789012345, 2.5)]


@pytest.fixture
def store(tmp_path: Path, make_header: Callable[..., RunHeader]) -> Iterator[Store]:
    with Store(tmp_path / "runs.sqlite") as store:
        with store.begin(make_header()) as writer:
            writer.add("node", ROWS)
        yield store


def test_csv_gives_back_every_digit(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "node.csv"
    assert export(store, 1, "node", "csv", str(path)) == 2
    with path.open(encoding="utf-8", newline="") as file:
        head, *lines = csv.reader(file)
    assert head == ["node", "name", "x", "y", "reached_t"]
    assert [(int(a), b, float(c), float(d), float(e) if e else None) for a, b, c, d, e in lines] == ROWS


def test_json_has_null_for_what_is_missing(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "node.json"
    export(store, 1, "node", "json", str(path))
    assert [tuple(row.values()) for row in json.loads(path.read_text(encoding="utf-8"))] == ROWS


def test_a_dash_is_standard_output(store: Store, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert export(store, 1, "edge", "csv", "-") == 0
    assert capfdbinary.readouterr().out == b"a,b\n"


def test_parquet_without_pyarrow_says_what_to_install(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OutputError, match=r"pip install 'priomon\[parquet\]'"):
        export(store, 1, "node", "parquet", str(tmp_path / "node.parquet"))
    assert not list(tmp_path.glob("*.parquet"))


def test_parquet_gets_columns_with_null(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrow, parquet = ModuleType("pyarrow"), ModuleType("pyarrow.parquet")
    written: list[Any] = []

    class Sink:
        def getvalue(self) -> Sink:
            return self

        def to_pybytes(self) -> bytes:
            return b"PAR1"

    vars(arrow).update(BufferOutputStream=Sink, table=dict)
    vars(parquet).update(write_table=lambda table, sink: written.append(table))
    monkeypatch.setitem(sys.modules, "pyarrow", arrow)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", parquet)
    path = tmp_path / "node.parquet"
    assert export(store, 1, "node", "parquet", str(path)) == 2
    assert written[0]["reached_t"] == [None, 2.5]
    assert path.read_bytes() == b"PAR1"


def test_a_file_that_cannot_be_replaced_stays(store: Store, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OutputError, match=r"folder\.csv: it could not be written"):
        export(store, 1, "node", "csv", str(tmp_path / "folder.csv"))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("run", "table", "message"), [(9, "node", "holds no run 9; runs in it: 1"), (1, "nodes", "no table 'nodes'")])
def test_unknown_runs_and_tables_are_refused(store: Store, tmp_path: Path, run: int, table: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        export(store, run, table, "csv", str(tmp_path / "out.csv"))
    assert not (tmp_path / "out.csv").exists()
