"""The verbs of sweeps: `sweep` runs one, `points` writes its table, `sweep-plot` draws it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from priomon_sim.cli.options import DATABASE, SCENARIO, SETTINGS, make_folder, pairs, running, typed

if TYPE_CHECKING:
    from priomon_results.store import Store
    from priomon_sim.sweep.plan import Plan

FAILURES = 3  # exit code
SWEEP = click.option("--sweep", "number", type=int, help="Id of a sweep in the store. [default: the one that was begun last]")


@click.command()
@SCENARIO
@SETTINGS
@click.option("--dry-run", is_flag=True, help="List the points and estimate the time from one pilot run; store nothing.")
@click.option("--only-failed", is_flag=True, help="Run the points again that failed, and no others.")
@click.option("--limit", type=click.IntRange(min=1), help="Plan this many points at most, drawn evenly from all.")
@running
@click.pass_context
def sweep(
    context: click.Context,
    scenario: Path,
    overrides: tuple[str, ...],
    dry_run: bool,
    only_failed: bool,
    limit: int | None,
    on: str,
    jobs: int | None,
    output: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run the variants of SCENARIO that its key `sweep` describes, each with several seeds.

    What is stored is not run again: after an interruption, a crash or a change of the values the same command goes on.

    \b
    python -m priomon_sim sweep scenarios/fanout-loss.yaml --dry-run
    python -m priomon_sim sweep scenarios/fanout-loss.yaml
    python -m priomon_sim sweep scenarios/fanout-loss.yaml --on dask://10.0.0.1:8786

    Exit codes: 0 done, 1 it could not go on (disk, cluster), 2 usage or a bad scenario, 3 done but some points failed, 130 interrupted.
    """
    if not dry_run:
        warm_up(on)

    from priomon_sim.sweep.plan import plan

    planned = plan(scenario, pairs(overrides), limit)
    if dry_run:
        _dry_run(planned, _workers(on, jobs), as_json)
        return
    folder = output or Path("results") / planned.scenario.name
    with ran(planned, folder, on, jobs, quiet, only_failed) as done:
        report = _draw(done.store, done.number, folder)
        if as_json:
            click.echo(json.dumps(done.document() | {"report": str(report)}))
        elif not quiet:
            done.show()
            click.echo(f"report: {report}")
    done.tell_failures(context)


def warm_up(on: str) -> None:
    """Start the server of worker processes, if that is where runs will be: it loads the simulator while this process does the same."""
    if on == "processes":
        from priomon_sim.sweep.pools import start_server

        start_server()


@dataclass(frozen=True, slots=True)
class Ran:
    """A sweep that was run: its plan, its store and number there, how many runs that took, and what failed."""

    planned: Plan
    store: Store
    number: int
    runs: int
    failures: list[dict[str, Any]]

    def document(self) -> dict[str, Any]:
        """What JSON says of it."""
        points = len([point for point in self.planned.points if not point.is_baseline])
        known = {"sweep": self.number, "points": points, "runs": self.runs, "failures": self.failures}
        return known | {"database": str(self.store.path)}

    def show(self) -> None:
        """Print how much was to do."""
        stored = len(self.planned.points) * len(self.planned.seeds) - self.runs
        click.echo(f"{self.runs:,} runs done now, {stored:,} were stored already")

    def tell_failures(self, context: click.Context) -> None:
        """Print what failed and end the program with the exit code for it, if anything did."""
        if self.failures:
            from priomon_sim.sweep.screen import show_failures

            show_failures(self.failures)
            context.exit(FAILURES)


@contextmanager
def ran(planned: Plan, folder: Path, on: str, jobs: int | None, quiet: bool, only_failed: bool = False) -> Iterator[Ran]:
    """Run what is missing of a sweep, or what failed; its store stays open for who reads the results. Raises what `run_sweep` does."""
    make_folder(folder)
    from priomon_results.store import Store
    from priomon_results.sweep.store import planned_points
    from priomon_sim.sweep.run import job_of, make_pool, run_sweep, store_plan
    from priomon_sim.sweep.screen import sweep_progress

    with Store(folder / f"{planned.scenario.name}-sweep.db") as store:
        number = store_plan(planned, store)
        pool = make_pool(job_of(planned), on, _workers(on, jobs))
        with sweep_progress(planned.scenario.name, quiet) as progress:
            state = run_sweep(planned, number, store, pool, progress, only_failed=only_failed)
        failed = planned_points(store, number, ["failed"])
        failures = [{"axes": point.axes, "seed": point.seed, "error": point.error} for point in failed]
        yield Ran(planned, store, number, state.total, failures)


def _workers(on: str, jobs: int | None) -> int:
    return 1 if on == "serial" else jobs or len(os.sched_getaffinity(0))


def _dry_run(planned: Plan, workers: int, as_json: bool) -> None:
    from priomon_sim.sweep.estimate import estimate
    from priomon_sim.sweep.screen import duration, plan_table

    runs = len(planned.points) * len(planned.seeds)
    expected = estimate(planned, runs, workers)
    if as_json:
        points = [{"point": p.number, "is_baseline": p.is_baseline, "parameters": p.parameters} for p in planned.points]
        figures = {"runs": runs, "workers": workers, "pilot_seconds": expected.pilot_seconds, "seconds": expected.seconds}
        click.echo(json.dumps({"points": points, "seeds": list(planned.seeds)} | figures))
        return
    plan_table(planned)
    click.echo(f"{len(planned.points):,} points, {len(planned.seeds)} seeds each: {runs:,} runs")
    click.echo(
        f"about {duration(expected.seconds)} on {workers} workers: the pilot ({expected.pilot}) took {expected.pilot_seconds:.2g} s, "
        "the others are scaled by nodes, rounds and fan-out"
    )


def _draw(store: Store, number: int, folder: Path) -> Path:
    """Draw the overview and write the report of a sweep; returns its path."""
    from priomon_results.plots.sweep import draw_sweep
    from priomon_results.report_sweep import write_sweep_report
    from priomon_results.sweep.table import read_table

    table = read_table(store, number)
    report = folder / "sweep.html"
    write_sweep_report(store, table, report, pictures=draw_sweep(table, folder / "plots"), command=typed())
    return report


@click.command()
@DATABASE
@SWEEP
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    show_default=True,
    help="Format: a table on the screen has the main measures, the others all.",
)
@click.option("-o", "--output", default="-", show_default="standard output", help="File to write.")
def points(database: Path, number: int | None, form: Any, output: str) -> None:
    """Write the points of a sweep: a row per point and measure, with median and quartiles over the seeds.

    \b
    python -m priomon_sim points results/fanout-loss/fanout-loss-sweep.db
    python -m priomon_sim points results/fanout-loss/fanout-loss-sweep.db --format csv -o points.csv
    """
    from priomon_results.export import write_columns
    from priomon_results.store import Store
    from priomon_results.sweep.table import columns, read_table
    from priomon_sim.sweep.screen import point_table

    if form == "table" and output != "-":
        raise click.UsageError("a table is for the screen; choose --format csv, json or parquet for a file")
    with Store(database, readonly=True) as store:
        table = read_table(store, number)
    if form == "table":
        point_table(table)
    else:
        write_columns(columns(table), form, output)


@click.command("sweep-plot")
@DATABASE
@SWEEP
@click.option("--x", metavar="PATH", help="The setting along the axis; with --y, one picture of these instead of the overview.")
@click.option("--y", metavar="MEASURE", help="The measure, as `points` names it, such as 'lag p99'.")
@click.option("--by", metavar="PATH", help="A second setting: a line for each of its values, or a heat map where they are many.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the pictures. [default: plots beside the store]")
def sweep_plot(database: Path, number: int | None, x: str | None, y: str | None, by: str | None, output: Path | None) -> None:
    """Draw a sweep as PNG and SVG: an overview that suits its shape, or a measure over the settings that you choose.

    \b
    python -m priomon_sim sweep-plot results/fanout-loss/fanout-loss-sweep.db
    python -m priomon_sim sweep-plot results/fanout-loss/fanout-loss-sweep.db --x network.loss --y "lag p99" --by gossip.fanout
    """
    from priomon_results.plots.style import save
    from priomon_results.plots.sweep import chosen, draw_sweep
    from priomon_results.store import Store
    from priomon_results.sweep.table import read_table

    if (x is None) != (y is None) or (by is not None and x is None):
        raise click.UsageError("--x and --y go together, and --by needs both")
    folder = output or database.parent / "plots"
    make_folder(folder)
    with Store(database, readonly=True) as store:
        table = read_table(store, number)
    if x is None or y is None:
        pictures = draw_sweep(table, folder)
    else:
        words = ["sweep", y, "over", x, *(["by", by] if by else [])]
        pictures = save(chosen(table, x, y, by), folder / re.sub(r"[^\w-]+", "-", " ".join(words)))
    for picture in pictures:
        click.echo(picture)
