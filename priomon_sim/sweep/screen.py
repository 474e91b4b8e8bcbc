"""Sweeps on the screen: progress, plans, points, failures and comparisons."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from priomon_results.sweep.compare import EVERYWHERE, Difference, SweepComparison
from priomon_results.sweep.table import Row, SweepTable, shown

if TYPE_CHECKING:
    from priomon_sim.sweep.plan import Plan
    from priomon_sim.sweep.run import State

MOST_LISTED = 20  # lines of a list that may be long


@contextmanager
def sweep_progress(name: str, quiet: bool) -> Iterator[Callable[[State], None]]:
    """A function to call with the state of a sweep. Nothing is shown where stderr is no terminal, or `quiet` is true."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failures]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(name, total=None, failures="")

        def update(state: State) -> None:
            bar.update(task, total=state.total, completed=state.done, failures=f"{state.failed} failed" if state.failed else "")

        yield update


def plan_table(plan: Plan) -> None:
    """Print the points of a plan, the first ones of many."""
    table = Table(title=f"{plan.scenario.name}: seeds {plan.seeds.start} to {plan.seeds.stop - 1}", title_justify="left")
    table.add_column("point", justify="right")
    table.add_column("values")
    for point in plan.points[:MOST_LISTED]:
        table.add_row(str(point.number), escape(str(point)) + (" (baseline)" if point.is_baseline else ""))
    _print(table)
    if len(plan.points) > MOST_LISTED:
        click.echo(f"... and {len(plan.points) - MOST_LISTED:,} more")


def point_table(table: SweepTable) -> None:
    """Print the points of a sweep with the main measures."""
    from priomon_results.report_sweep import cell  # it draws, which a sweep need not wait for

    measures = shown(table)
    units = {row.measure: row.unit for row in table.rows}
    screen = Table(title=f"{table.sweep.scenario}: medians of the seeds [quartiles]", title_justify="left")
    paths = table.dimensions() or table.paths
    for path in paths:
        screen.add_column(path)
    for measure in measures:
        screen.add_column(f"{measure} ({units[measure]})" if units[measure] else measure, justify="right")
    points: dict[int, dict[str, Row]] = {}
    for row in table.rows:
        points.setdefault(row.point, {})[row.measure] = row
    for by_measure in points.values():
        row = next(iter(by_measure.values()))
        axes = [f"{value:g}" if isinstance(value := row.axes.get(path, "baseline"), float) else str(value) for path in paths]
        screen.add_row(*map(escape, axes), *(escape(cell(by_measure.get(measure))) for measure in measures))
    _print(screen)


def show_failures(failures: Sequence[Mapping[str, Any]]) -> None:
    """Print on stderr what failed and why, the first ones of many."""
    click.echo(f"{len(failures):,} runs failed; they are kept as failed, and --only-failed repeats them:", err=True)
    for failure in failures[:MOST_LISTED]:
        axes = ", ".join(f"{path}={value}" for path, value in failure["axes"].items())
        click.echo(f"  {axes}, seed {failure['seed']}: {failure['error']}", err=True)
    if len(failures) > MOST_LISTED:
        click.echo(f"  ... and {len(failures) - MOST_LISTED:,} more; the report has all", err=True)


def show_comparison(comparison: SweepComparison, as_json: bool) -> bool:
    """Print what differs by more than chance explains; returns whether anything does."""
    exceeding = [difference for difference in comparison.differences if difference.exceeds]
    if as_json:
        sides = {
            name: {"scenario": side.scenario, "code_version": side.code_version}
            for name, side in (("a", comparison.a), ("b", comparison.b))
        }
        rows = [{key: None if value is math.nan else value for key, value in asdict(one).items()} for one in exceeding]
        click.echo(json.dumps(sides | {"points": comparison.points, "runs": comparison.runs, "differences": rows}))
        return bool(exceeding)
    click.echo(
        f"A: {comparison.a.scenario}, PrioMon {comparison.a.code_version}; B: {comparison.b.scenario}, PrioMon {comparison.b.code_version}"
    )
    click.echo(f"{comparison.points:,} points and {comparison.runs:,} runs are in both")
    whole = [one for one in exceeding if one.point == EVERYWHERE]
    single = sorted((one for one in exceeding if one.point != EVERYWHERE), key=lambda one: -abs(one.relative))
    if not exceeding:
        click.echo("no measure differs by more than chance explains")
    for title, differences in (("over all points", whole), ("at single points", single[:MOST_LISTED])):
        if differences:
            _print(_difference_table(title, differences))
    if len(single) > MOST_LISTED:
        click.echo(f"... and {len(single) - MOST_LISTED:,} more at single points; --json has all")
    return bool(exceeding)


def _difference_table(title: str, differences: Sequence[Difference]) -> Table:
    table = Table(title=f"Differences {title}", title_justify="left")
    for name in ("measure", "point"):
        table.add_column(name)
    for name in ("mean of A", "mean of B", "difference", "by chance"):
        table.add_column(name, justify="right")
    for one in differences:
        chance = "unknown" if one.limit is None else f"up to {one.limit * 100:.2g} %"
        never = f" ({one.never} only on one side)" if one.never else ""
        table.add_row(one.measure, escape(one.point), f"{one.a:.4g}", f"{one.b:.4g}", f"{one.relative * 100:+.3g} %{never}", chance)
    return table


def duration(seconds: float) -> str:
    """Wall time as a person would say it."""
    for worth, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * worth:
            return f"{seconds / worth:.2g} {unit}"
    return f"{seconds:.2g} s"


def _print(table: Table) -> None:
    from priomon_sim.cli.tables import WIDTH  # as above

    console = Console()
    Console(width=None if console.is_terminal else WIDTH).print(table)
