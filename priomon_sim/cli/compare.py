"""The verb `compare`: two groups of runs in overlaid pictures and in a table with tolerances."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from priomon_results.compare import Group, Quartiles, Row
    from priomon_results.sweep.compare import SweepComparison

OUTSIDE = 1  # exit code


@click.command()
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path), required=False)
@click.option("--run", "numbers", type=int, multiple=True, help="Id of a run of the only store; repeated: compare no others.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the pictures. [default: compare beside the first store]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout instead of a table.")
@click.pass_context
def compare(context: click.Context, first: Path, second: Path | None, numbers: tuple[int, ...], output: Path | None, as_json: bool) -> None:
    """Compare the runs of two groups, in one store or with those of a SECOND one.

    In one store, live runs are compared with simulated ones of the same scenario if it has both, else the two scenarios or code
    versions that were run last. Of two stores, each gives the scenario that was run last. A group is all complete runs that differ
    in the seed alone. Of two stores of sweeps, the sweeps that were begun last are compared run by run: what differs by more than
    chance explains is shown.

    \b
    python -m priomon_sim compare results/loss20/loss20.db
    python -m priomon_sim compare results/before/quick.db results/after/quick.db --json

    Exit codes: 0 all measures inside their tolerances, 1 one is outside, 2 there is nothing that can be compared.
    """
    if second is not None and numbers:
        raise click.UsageError("--run chooses runs of one store; with two stores leave it out")
    if second is not None and second.resolve() == first.resolve():
        raise click.UsageError(f"{second}: both stores are the same; give it once to compare the runs in it")
    if second is not None and (sweeps := sweep_comparison(first, second)):
        from priomon_sim.sweep.screen import show_comparison

        context.exit(OUTSIDE if show_comparison(sweeps, as_json) else 0)
    found = comparison(first, second, numbers, output or first.parent / "compare")
    if as_json:
        click.echo(json.dumps(found.document(), allow_nan=False))
    else:
        found.show()
    context.exit(0 if found.inside else OUTSIDE)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two groups of runs, their names and databases, their measures beside each other, and the pictures that were drawn."""

    names: tuple[str, str]
    databases: tuple[Path, Path]
    groups: tuple[Group, Group]
    rows: Sequence[Row]
    pictures: Sequence[Path]

    @property
    def inside(self) -> bool:
        """Whether all measures lie inside their tolerances."""
        return all(row.inside is not False for row in self.rows)

    def document(self) -> dict[str, Any]:
        """The comparison for JSON."""
        a, b = (_side(*side) for side in zip(self.names, self.databases, self.groups, strict=True))
        rows = [_plain(row) for row in self.rows]
        return {"a": a, "b": b, "rows": rows, "inside": self.inside, "pictures": [str(path) for path in self.pictures]}

    def show(self) -> None:
        """Print the comparison as a table."""
        _print(self.rows, self.names, self.groups)
        click.echo(f"pictures: {self.pictures[0].parent}")


def comparison(first: Path, second: Path | None, numbers: Sequence[int], folder: Path) -> Comparison:
    """Compare groups of one store, of the runs with these `numbers` if there are any, or of two; pictures go to `folder`.

    Raises `PriomonError`.
    """
    from priomon_results.compare import check_comparable, chosen_groups, compare, labels, latest_group, two_groups
    from priomon_results.plots.compare import draw_comparison
    from priomon_results.store import Store

    with ExitStack() as opened:
        stores = [opened.enter_context(Store(path, readonly=True)) for path in (first, second) if path is not None]
        if len(stores) == 2:
            a, b = (latest_group(store.runs(), str(store.path)) for store in stores)
        elif numbers:
            a, b = chosen_groups([stores[0].run(number) for number in numbers], str(first))
        else:
            a, b = two_groups(stores[0].runs(), str(first))
        check_comparable(a, b)
        names = labels(a, b, (str(first), str(second or first)))
        rows = compare([run.summary for run in a], [run.summary for run in b])
        groups = {
            name: [store.load(run.id) for run in group] for name, store, group in zip(names, (stores[0], stores[-1]), (a, b), strict=True)
        }
        return Comparison(names, (first, second or first), (a, b), rows, draw_comparison(groups, folder))


def sweep_comparison(first: Path, second: Path) -> SweepComparison | None:
    """What differs between the sweeps of two stores, or None if they are not both stores of sweeps. Raises `PriomonError`."""
    from priomon_results.store import Store
    from priomon_results.sweep.compare import compare_sweeps, holds_sweeps

    with Store(first, readonly=True) as a, Store(second, readonly=True) as b:
        return compare_sweeps(a, b) if holds_sweeps(a) and holds_sweeps(b) else None


def _print(rows: Sequence[Row], names: tuple[str, str], groups: tuple[Group, Group]) -> None:
    """A table of all rows; quartiles are shown for groups of more than one run."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from priomon_sim.cli.tables import WIDTH

    table = Table(title=f"{groups[0][0].nodes:,} nodes, {groups[0][0].virtual_seconds:g} s", title_justify="left")
    table.add_column("measure", no_wrap=True)
    for name, group in zip(names, groups, strict=True):
        heading = name if len(group) == 1 else f"{name}\nmedian of {len(group)} runs [quartiles]"
        table.add_column(escape(heading), justify="right")
    for name in ("difference", "tolerance"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        cells = [_cell(side, len(group) > 1) for side, group in zip((row.a, row.b), groups, strict=True)]
        difference = "-" if row.difference is None else f"{row.difference * 100:+.1f} %"
        verdict = "" if row.inside is None else "inside" if row.inside else "OUTSIDE"
        unit = f" ({row.measure.unit})" if row.measure.unit else ""
        table.add_row(row.measure.name + unit, *map(escape, cells), difference, str(row.measure.tolerance or ""), verdict)
    console = Console()
    Console(width=None if console.is_terminal else WIDTH).print(table)
    outside = ", ".join(row.measure.name for row in rows if row.inside is False)
    click.echo(f"outside: {outside}" if outside else "all measures with a tolerance are inside it")


def _cell(side: Quartiles, several: bool) -> str:
    return _number(side.median) + (f" [{_number(side.low)} {_number(side.high)}]" if several and side.low != side.high else "")


def _number(value: float) -> str:
    return "never" if math.isinf(value) else f"{float(f'{value:.3g}'):,.12g}"


def _side(name: str, database: Path, group: Group) -> dict[str, Any]:
    run = group[0]
    described = {key: getattr(run, key) for key in ("scenario", "scenario_hash", "mode", "strategy", "code_version", "nodes")}
    return {"label": name, "database": str(database), **described, "runs": [each.id for each in group]}


def _plain(row: Row) -> dict[str, Any]:
    """A row for JSON, which knows no infinity: null stands for what never happened."""
    sides = {
        key: {name: None if math.isinf(getattr(side, name)) else getattr(side, name) for name in ("low", "median", "high")}
        for key, side in (("a", row.a), ("b", row.b))
    }
    tolerance = row.measure.tolerance
    return {
        "measure": row.measure.name,
        "unit": row.measure.unit,
        **sides,
        "difference": row.difference,
        "tolerance": None if tolerance is None else {"limit": tolerance.limit, "unit": tolerance.unit},
        "inside": row.inside,
    }
