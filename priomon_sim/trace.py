"""Recorded measurements: a CSV file, plain or gzipped, becomes one regular series per recorded machine.

A row holds what one machine measured at one time. Rows of several machines may alternate; those of one machine must be in order of
time. The interval is the median step between its rows, and a *slot* is one interval long. A recording is never quite regular, so
a step between half an interval and one and a half counts as one slot. What is further off (missing rows, rows too close together,
empty or NaN cells) is a gap: refused, or bridged by holding the last good value, and then counted.

Measured delays are such a file without times: each row is one throw of the dice.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from priomon_core.errors import PriomonError
from priomon_core.latency import Empirical

LONGEST_GAP = 10_000  # slots; a longer one is two recordings, and bridging it would invent most of the series

Gaps = Literal["refuse", "hold"]
Cells = tuple[int, list[str]]  # a row and the line on which it ends


class TraceError(PriomonError, ValueError):
    """A recording cannot be read; the text starts with the file and, where known, the line."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a metric comes from: the sum of these columns, times `scale`."""

    columns: tuple[str, ...]
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Trace:
    """`series[i]` holds what `nodes[i]` measured, float64 [steps, metrics], one row per `interval` seconds.

    `held` counts the values that repeat an earlier one because the recording had a gap; `crowded` the rows that were replaced by a
    later one of the same slot.
    """

    nodes: list[str]
    series: list[NDArray[np.float64]]
    interval: float
    held: int = 0
    crowded: int = 0


def read_trace(path: Path, metrics: Mapping[str, Source], *, time: str, node: str | None = None, gaps: Gaps = "refuse") -> Trace:
    """The recording in `path`, its metrics in the order of `metrics`.

    `time` names the column of seconds, `node` that of machine names (None: the file records one machine). Raises `TraceError`.
    """
    header, rows = _table(path)
    when = _position(path, header, time)
    owner = None if node is None else _position(path, header, node)
    sources = [([(_position(path, header, column), column) for column in source.columns], source.scale) for source in metrics.values()]

    machines: dict[str, _Machine] = {}
    for line, cells in rows:
        name = path.name if owner is None else cells[owner]
        machine = machines.setdefault(name, _Machine(name, [], [], []))
        moment = _number(path, line, time, cells[when])
        if math.isnan(moment):
            raise TraceError(f"{path}:{line}: column {time!r}: found no time, expected seconds")
        if machine.times and moment < machine.times[-1]:
            raise TraceError(
                f"{path}:{line}: column {time!r}: {moment:g} s comes after {machine.times[-1]:g} s of {name!r}; "
                "expected the rows of a machine in order of time"
            )
        machine.lines.append(line)
        machine.times.append(moment)
        machine.values.append([scale * sum(_number(path, line, column, cells[at]) for at, column in columns) for columns, scale in sources])

    steps = [later - sooner for m in machines.values() for sooner, later in zip(m.times, m.times[1:], strict=False)]
    interval = median(steps) if steps else 0.0
    if interval <= 0:
        raise TraceError(f"{path}: no interval to be found; expected at least two rows of one machine at different times")
    regular = [_regular(path, machine, list(metrics), interval, gaps) for machine in machines.values()]
    return Trace(
        nodes=list(machines),
        series=[series for series, _, _ in regular],
        interval=interval,
        held=sum(held for _, held, _ in regular),
        crowded=sum(crowded for _, _, crowded in regular),
    )


def read_empirical(path: Path, column: str = "latency_ms") -> Empirical:
    """The delays in a CSV file (or CSV.gz) with a header; `column` holds milliseconds. Raises `TraceError` with file and line."""
    header, rows = _table(path)
    at = _position(path, header, column)
    values = []
    for line, cells in rows:
        value = _number(path, line, column, cells[at])
        if not value >= 0:
            raise TraceError(f"{path}:{line}: column {column!r}: found {cells[at]!r}, expected milliseconds of at least 0")
        values.append(round(value * 1e6))
    if len(values) < 2:
        raise TraceError(f"{path}: found {len(values)} delay; expected at least two")
    return Empirical(tuple(values))


def _table(path: Path) -> tuple[list[str], Iterator[Cells]]:
    """The column names of a CSV file and its rows, each as wide as the header. Raises `TraceError`, also while rows are drawn."""
    records = _records(path)
    header = [name.strip() for name in next(records, (1, []))[1]]
    if not any(header):
        raise TraceError(f"{path}:1: the file is empty; expected a line of column names")
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise TraceError(f"{path}:1: column {repeated[0]!r} appears twice; expected each name once")

    def rows() -> Iterator[Cells]:
        count = 0
        for line, cells in records:
            if not cells:
                continue  # a blank line
            if len(cells) != len(header):
                raise TraceError(f"{path}:{line}: found {len(cells)} cells, expected {len(header)} as in the header")
            count += 1
            yield line, cells
        if not count:
            raise TraceError(f"{path}: the file has a header but no rows; expected one row per sample")

    return header, rows()


def _position(path: Path, header: list[str], column: str) -> int:
    """Where a column stands. Raises `TraceError` if the file has none of this name."""
    if column not in header:
        raise TraceError(f"{path}:1: there is no column {column!r}; the file has {', '.join(map(repr, header))}")
    return header.index(column)


def _number(path: Path, line: int, column: str, cell: str) -> float:
    """The finite number in a cell, NaN if it is empty or says so. Raises `TraceError` for anything else."""
    try:
        value = float(cell) if "_" not in cell else math.inf
    except ValueError:
        if not cell.strip():
            return math.nan
        value = math.inf
    if math.isinf(value):
        raise TraceError(f"{path}:{line}: column {column!r}: found {cell!r}, expected a finite number")
    return value


@dataclass(slots=True)
class _Machine:
    name: str
    lines: list[int]
    times: list[float]
    values: list[list[float]]


def _regular(path: Path, machine: _Machine, metrics: list[str], interval: float, gaps: Gaps) -> tuple[NDArray[np.float64], int, int]:
    """One row per slot, how many values were held, and how many rows shared a slot with a later one."""
    out: list[list[float]] = []
    held = crowded = 0
    opened = machine.times[0] - interval  # when the newest slot began: measuring from there keeps jitter from adding up
    for line, moment, values in zip(machine.lines, machine.times, machine.values, strict=True):
        slots = (moment - opened) / interval
        if gaps == "refuse" and not 0.5 <= slots <= 1.5:
            raise TraceError(
                f"{path}:{line}: {machine.name!r} has a step of {slots * interval:g} s, expected {interval:g} s; "
                "repair the recording or set gaps to hold"
            )
        if slots > LONGEST_GAP:
            raise TraceError(f"{path}:{line}: {machine.name!r} has a gap of {slots * interval:g} s; expected at most {LONGEST_GAP} samples")
        values, repeated = _filled(path, line, machine.name, metrics, values, out[-1] if out else None, gaps)
        held += repeated
        if slots < 0.5:
            out[-1] = values
            crowded += 1
            continue
        if slots > 1.5:
            missing = round(slots) - 1
            out.extend([out[-1]] * missing)
            held += missing * len(metrics)
        out.append(values)
        opened = moment
    return np.array(out, dtype=np.float64), held, crowded


def _filled(
    path: Path, line: int, name: str, metrics: list[str], values: list[float], before: list[float] | None, gaps: Gaps
) -> tuple[list[float], int]:
    """`values` with the previous value in place of every NaN, and how many those were."""
    holes = [at for at, value in enumerate(values) if math.isnan(value)]
    for at in holes:
        if gaps == "refuse":
            raise TraceError(
                f"{path}:{line}: {metrics[at]} of {name!r} is empty or NaN, expected a number; repair the recording or set gaps to hold"
            )
        if before is None:
            raise TraceError(f"{path}:{line}: {metrics[at]} of {name!r} starts empty or NaN: no earlier value to hold; remove the row")
        values[at] = before[at]
    return values, len(holes)


def _records(path: Path) -> Iterator[Cells]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise TraceError(f"{path}:{reader.line_num}: not CSV ({error}); expected cells separated by commas") from error


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TraceError(f"{path}: cannot be read ({error.strerror}); expected a CSV or CSV.gz file") from error
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except EOFError as error:
            raise TraceError(f"{path}: the gzip file ends too early; copy it again") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise TraceError(f"{path}: not a gzip file or a damaged one ({error}); expected one because of its name") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TraceError(f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; expected text in UTF-8") from error
