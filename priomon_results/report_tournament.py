"""A tournament in words and cells: its verdict, a line for each strategy in each setting, and its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isinf
from pathlib import Path

from priomon_results.plots.tournament import told
from priomon_results.report_sweep import cell, write_sweep_report
from priomon_results.store import Store
from priomon_results.sweep.table import Row
from priomon_results.tournament import BYTES, LAG, Entry, Standing, Tournament
from priomon_results.words import NOTHING, number

COLUMNS = (BYTES, "bytes over the lower bound", "lag p50", LAG, "error p50", "error p99", "settled error", "alarm p50", "saving")
"""The measures that a tournament shows, as far as it has them."""
BY_FILTER = "saving by the filter"
VERDICT = "verdict"


def verdict(tournament: Tournament) -> list[str]:
    """The verdict in plain words."""
    goal = " and ".join(map(str, tournament.goals)) or "none, so that bytes alone decide"
    count = len(tournament.settings)
    settings = "the one setting" if count == 1 else f"all {count} settings"
    first, *others = tournament.standings()
    default = tournament.default()
    result = [f"Goal: {goal}."]
    if default is None:
        result.append(f"No strategy holds it in {settings}; {first.strategy} does in {first.held}.")
    else:
        result.append(f"{default} wins: it holds the goal in {settings} and sends {excess(first)} there.")
    for other in others:
        result.append(f"{other.strategy} holds it in {other.held}" + (f" and sends {excess(other)} where it does." if other.held else "."))
    nobody = sum(tournament.winner(setting) is None for setting in tournament.settings)
    if nobody and default is None:
        result.append(f"In {nobody} of {count} settings nobody holds it.")
    return result


def excess(standing: Standing) -> str:
    """A strategy's excess in words."""
    return "the fewest bytes of all" if standing.excess == 1 else f"{standing.excess:.3g} times the fewest bytes (geometric mean)"


def columns(tournament: Tournament) -> list[str]:
    """The names of the cells of an entry, with units."""
    units = {row.measure: row.unit for row in tournament.table.rows}
    result = [f"{name} ({units[name]})" if units[name] else name for name in _measures(tournament)]
    if any(entry.unfiltered is not None for entry in tournament.entries):
        result.append(f"{BY_FILTER} (times)")
    return [*result, VERDICT]


def cells(tournament: Tournament, entry: Entry, show: Callable[[Row | None], str] = cell) -> list[str]:
    """An entry's figures, each as `show` has it, and what it came to: a win, held, or the goals that it missed."""
    result = [show(entry.figures.get(name)) for name in _measures(tournament)]
    if any(each.unfiltered is not None for each in tournament.entries):
        result.append(NOTHING if entry.filter_saving is None else number(entry.filter_saving))
    if entry.missed:
        return [*result, f"misses {', '.join(entry.missed)}"]
    return [*result, "wins" if entry is tournament.winner(entry.setting) else "holds"]


def median(row: Row | None) -> str:
    """A cell without quartiles, for narrow tables."""
    return NOTHING if row is None else "never" if row.median is None else number(row.median)


def setting(tournament: Tournament, entry: Entry) -> list[str]:
    """The values of an entry's setting, for people."""
    return [told(path, value) for path, value in zip(tournament.paths, entry.setting, strict=True)]


def write_tournament_report(store: Store, tournament: Tournament, path: Path, *, pictures: Sequence[Path], command: str) -> None:
    """Write the report of a tournament to `path`, which is replaced whole or not at all. Raises `StoreError` and `OutputError`."""
    write_sweep_report(
        store,
        tournament.table,
        path,
        pictures=pictures,
        command=command,
        kind="tournament",
        verdict=verdict(tournament),
        standings=[
            (one.strategy, one.held, one.won, NOTHING if isinf(one.excess) else number(one.excess)) for one in tournament.standings()
        ],
        settings=len(tournament.settings),
        paths=tournament.paths,
        columns=columns(tournament),
        entries=[(setting(tournament, entry), entry.strategy, cells(tournament, entry)) for entry in tournament.entries],
    )


def _measures(tournament: Tournament) -> list[str]:
    there = set(tournament.table.measures)
    return [name for name in COLUMNS if name in there]
