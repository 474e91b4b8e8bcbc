"""Recordings: what is read, how gaps are bridged, and what is said about files that cannot be read."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from priomon_core.latency import Empirical
from priomon_sim.trace import Source, TraceError, read_empirical, read_trace

CPU = {"cpu": Source(("cpu",))}


def write(folder: Path, *lines: str) -> Path:
    path = folder / "trace.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_columns_are_summed_and_scaled_in_the_order_of_the_metrics(tmp_path: Path) -> None:
    path = write(tmp_path, "t,in,out,cpu", "0,1,2,0.5", "2,3,4,0.25")
    trace = read_trace(path, {"network": Source(("in", "out"), 10.0), "cpu": Source(("cpu",), 100.0)}, time="t")
    assert trace.nodes == ["trace.csv"] and trace.interval == 2.0 and trace.held == trace.crowded == 0
    assert trace.series[0].tolist() == [[30.0, 50.0], [70.0, 25.0]]
    assert trace.series[0].dtype == np.float64


def test_rows_of_several_machines_may_alternate(tmp_path: Path) -> None:
    path = write(tmp_path, "node,t,cpu", "b,0,1", "a,5,2", "b,1,3", "a,6,4", "", "b,2,5")
    trace = read_trace(path, CPU, time="t", node="node")
    assert trace.nodes == ["b", "a"]
    assert [series[:, 0].tolist() for series in trace.series] == [[1.0, 3.0, 5.0], [2.0, 4.0]]


def test_gzip_and_a_byte_order_mark_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbft,cpu\r\n0,1\r\n1,"2"\r\n'))
    assert read_trace(path, CPU, time="t").series[0].tolist() == [[1.0], [2.0]]


def test_jitter_is_not_a_gap_however_long_it_goes_on(tmp_path: Path) -> None:
    times = np.cumsum(np.tile([1.0, 1.0, 1.0, 1.3], 100))
    trace = read_trace(write(tmp_path, "t,cpu", *(f"{t},{k}" for k, t in enumerate(times))), CPU, time="t")
    assert trace.interval == 1.0 and trace.series[0][:, 0].tolist() == list(range(400))


@pytest.mark.parametrize(
    ("rows", "held", "crowded", "series"),
    [
        (["0,1", "1,2", "2,3", "5,6"], 2, 0, [1, 2, 3, 3, 3, 6]),
        (["0,1", "1,", "2,nan", "3,4"], 2, 0, [1, 1, 1, 4]),
        (["0,1", "1,2", "1.3,9", "2,3", "3,4"], 0, 1, [1, 9, 3, 4]),
        (["0,1", "1,2", "1,9", "2,3"], 0, 1, [1, 9, 3]),
    ],
)
def test_gaps_are_refused_or_held_and_counted(tmp_path: Path, rows: list[str], held: int, crowded: int, series: list[int]) -> None:
    path = write(tmp_path, "t,cpu", *rows)
    trace = read_trace(path, CPU, time="t", gaps="hold")
    assert (trace.held, trace.crowded, trace.series[0][:, 0].tolist()) == (held, crowded, series)
    with pytest.raises(TraceError, match=r"trace\.csv:[3-5]: .*set gaps to hold"):
        read_trace(path, CPU, time="t", gaps="refuse")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["t,cpu", "0,1", "1,high"], r"trace\.csv:3: column 'cpu': found 'high', expected a finite number"),
        (["t,cpu", "0,1", "1,inf"], r"trace\.csv:3: column 'cpu': found 'inf'"),
        (["t,cpu", "0,1", "1,1_0"], r"trace\.csv:3: column 'cpu': found '1_0'"),
        (["t,cpu", "0,1", "noon,1"], r"trace\.csv:3: column 't': found 'noon'"),
        (["t,cpu", "0,1", ",1"], r"trace\.csv:3: column 't': found no time"),
        (["t,cpu", "1,1", "0,1"], r"trace\.csv:3: column 't': 0 s comes after 1 s of 'trace\.csv'"),
        (["t,load", "0,1"], r"trace\.csv:1: there is no column 'cpu'; the file has 't', 'load'"),
        (["t,cpu,cpu", "0,1,2"], r"trace\.csv:1: column 'cpu' appears twice"),
        (["t,cpu", "0,1", "1"], r"trace\.csv:3: found 1 cells, expected 2"),
        (["t,cpu"], r"trace\.csv: the file has a header but no rows"),
        ([""], r"trace\.csv:1: the file is empty"),
        (["t,cpu", "0,1"], r"trace\.csv: no interval"),
        (["t,cpu", "0,1", '1,"2'], r"trace\.csv:3: not CSV"),
        (["t,cpu", "0,", "1,2", "2,3"], r"trace\.csv:2: cpu of 'trace\.csv' starts empty or NaN"),
        (["t,cpu", "0,1", "1,2", "2,3", "99999,4"], r"trace\.csv:5: .* gap of 99997 s; expected at most 10000 samples"),
    ],
)
def test_what_cannot_be_bridged_is_an_error_with_its_place(tmp_path: Path, lines: list[str], said: str) -> None:
    with pytest.raises(TraceError, match=said):
        read_trace(write(tmp_path, *lines), CPU, time="t", gaps="hold")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"t,cpu\n0,1\n1,\xff\n", r"t\.csv:3: byte 0xff is not UTF-8"),
        ("t.csv.gz", b"t,cpu\n0,1\n", "not a gzip file"),
        ("t.csv.gz", gzip.compress(b"t,cpu\n" + b"0,1\n" * 99)[:-12], "ends too early"),
        ("t.csv.gz", gzip.compress(b"t,cpu\n0,1\n1,1\n")[:-8] + bytes(8), "a damaged one"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TraceError, match=said):
        read_trace(tmp_path / name, CPU, time="t")


def test_a_missing_file_or_node_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"none\.csv: cannot be read \(No such file"):
        read_trace(tmp_path / "none.csv", CPU, time="t")

    with pytest.raises(TraceError, match="no column 'host'"):
        read_trace(write(tmp_path, "t,cpu", "0,1"), CPU, time="t", node="host")


def test_measured_delays_are_read_from_csv(tmp_path: Path) -> None:
    path = tmp_path / "ping.csv"
    path.write_text("target,latency_ms\na,1.5\nb,0.25\n")
    assert read_empirical(path) == Empirical((1_500_000, 250_000))
    for content, said in [
        ("rtt\n1\n2\n", r"ping\.csv:1: there is no column 'latency_ms'; the file has 'rtt'"),
        ("latency_ms\n1\nfast\n", r"ping\.csv:3: column 'latency_ms': found 'fast'"),
        ("latency_ms\n1\n-2\n", r"ping\.csv:3: column 'latency_ms': found '-2'"),
        ("latency_ms\n1\n", "expected at least two"),
    ]:
        path.write_text(content)
        with pytest.raises(TraceError, match=said):
            read_empirical(path)
