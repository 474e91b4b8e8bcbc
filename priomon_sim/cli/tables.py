"""Tables on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from priomon_results.report import measures
from priomon_results.schema import Run

LARGE = 200  # nodes from which on a run without numba is worth a note
WIDTH = 120  # characters, where no terminal says how many it has


def summary_table(summaries: Sequence[dict[str, Any]]) -> None:
    """Print what runs came to: a column per seed, the measures of the report, then what the filter did and what it cost."""
    first = summaries[0]
    table = Table(
        title=f"{first['scenario']}: {first['nodes']:,} nodes, {first['virtual_seconds']:g} s, {first['strategy']}", title_justify="left"
    )
    table.add_column("measure")
    for summary in summaries:
        table.add_column(f"seed {summary['seed']}", justify="right")
    for measure in measures(summaries):
        table.add_row(measure.name, *(measure.read(summary) for summary in summaries))
    for metric in first["published"]:
        table.add_row(f"{metric}: published", *(_published(summary, metric) for summary in summaries))
        table.add_row(f"{metric}: error in bounds (p50, p99)", *(_error(summary, metric) for summary in summaries))
    if first["saving_vs_baseline"]:
        name = first["saving_vs_baseline"]["scenario"]
        table.add_row(f"bytes of {name} over ours", *(f"{s['saving_vs_baseline']['bytes_ratio']:.3g} times" for s in summaries))
    table.add_row("wall time", *(f"{summary['wall_seconds']:.3g} s" for summary in summaries))
    _print(table)
    from priomon_sim.compiled import HAS_NUMBA  # importing numba takes time, which tables that need no run are spared

    if first["nodes"] >= LARGE and not HAS_NUMBA:
        click.echo("note: numba is not installed; with it large runs take a fraction of the time: pip install 'priomon[sim]'", err=True)


def run_table(runs: Sequence[Run]) -> None:
    """Print the runs of a store, one per line."""
    table = Table()
    for name in ("run", "scenario", "seed", "strategy", "nodes", "status", "started", "code"):
        table.add_column(name, no_wrap=name != "code")
    for run in runs:
        cells = (run.id, run.scenario, run.seed, run.strategy, run.nodes, run.status, run.started.partition("+")[0], run.code_version)
        table.add_row(*map(str, cells))
    _print(table)


def _published(summary: dict[str, Any], metric: str) -> str:
    published, filtered = summary["published"][metric], summary["filtered"][metric]
    return f"{published:,} of {published + filtered:,} ({published / (published + filtered or 1):.1%})"


def _error(summary: dict[str, Any], metric: str) -> str:
    errors = summary["error_in_bounds"][metric]
    settled = summary["settled_error_in_bounds"][metric]["max"]
    if errors["p50"] is None:
        return "none known"
    return f"{errors['p50']:.2g}, {errors['p99']:.2g}" + ("" if settled is None else f"; at most {settled:.6g} where nothing is missed")


def _print(table: Table) -> None:
    console = Console()
    Console(width=None if console.is_terminal else WIDTH).print(table)
