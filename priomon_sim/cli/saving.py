"""The verb `saving`: how many times fewer bytes than the prototype a scenario sends, and which part of that comes from what."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from priomon_sim.cli.options import AS_JSON, SCENARIO, SETTINGS, make_folder, pairs

if TYPE_CHECKING:
    from priomon_results.saving import Rung, Saving


@click.command()
@SCENARIO
@SETTINGS
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the results. [default: results/NAME]")
@AS_JSON
@click.option("--quiet", is_flag=True, help="No progress and no table; errors still show.")
def saving(scenario: Path, overrides: tuple[str, ...], output: Path | None, as_json: bool, quiet: bool) -> None:
    """Run SCENARIO and, on the same workload and seed, what it is measured against: its protocol without a filter, digests, the prototype.

    Prints what each idea saves, with lag and error beside it. Runs that the store has are not run again, and the scenario's report has
    the same table from then on.

    \b
    python -m priomon_sim saving scenarios/loss20.yaml
    python -m priomon_sim saving scenarios/loss20.yaml --set gossip.strategy=tree
    """
    from priomon_sim.saving import ladder

    scenarios = ladder(scenario, pairs(overrides))
    folder = output or Path("results") / scenarios[-1].name
    make_folder(folder)

    from priomon_sim.cli.progress import show_progress
    from priomon_sim.experiment import run_beside

    command = ["python", "-m", "priomon_sim", *sys.argv[1:]]
    found, report = run_beside(scenarios, folder, lambda one: show_progress(one, quiet), command)
    if as_json:
        click.echo(json.dumps(_document(found) | {"report": str(report)}, allow_nan=False))
    elif not quiet:
        _show(found)
        click.echo(f"report: {report}")


def _document(found: Saving) -> dict[str, Any]:
    rungs = [_rung(rung) | {"factor": factor} for rung, factor in zip(found.rungs, found.factors(), strict=True)]
    unfiltered = None if found.unfiltered is None else _rung(found.unfiltered)
    return {"total": found.total, "by_filter": found.by_filter, "rungs": rungs, "unfiltered": unfiltered}


def _rung(rung: Rung) -> dict[str, Any]:
    figures = {"bytes_per_node_per_second": rung.bytes, "lag_seconds": rung.lag, "error_in_bounds": rung.error}
    return {"name": rung.name, "ideas": rung.ideas, "computed": rung.summary is None} | figures


def _show(found: Saving) -> None:
    from rich.console import Console
    from rich.table import Table

    from priomon_results.report_saving import HEADINGS, lines, sentence
    from priomon_sim.cli.tables import WIDTH

    table = Table(title="What saves how much", title_justify="left")
    for number, name in enumerate(HEADINGS):
        table.add_column(name, justify="left" if number in (0, 2) else "right")
    for line in lines(found):
        table.add_row(*line)
    console = Console()
    Console(width=None if console.is_terminal else WIDTH).print(table)
    click.echo(sentence(found))
