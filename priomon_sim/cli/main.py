"""The command line: `python -m priomon_sim SCENARIO` runs a scenario; verbs look at what runs have stored.

Modules that need numba or matplotlib are imported by the verbs that use them, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from priomon_core import __version__
from priomon_core.errors import PriomonError
from priomon_sim.cli.compare import compare
from priomon_sim.cli.fuzz import check, fuzz
from priomon_sim.cli.options import AS_JSON, DATABASE, SCENARIO, SETTINGS, make_folder, pairs, seed_range
from priomon_sim.cli.saving import saving
from priomon_sim.cli.sweep import points, sweep, sweep_plot
from priomon_sim.cli.tournament import tournament
from priomon_sim.cli.tune import tune
from priomon_sim.cli.why import why

if TYPE_CHECKING:
    from priomon_sim.scenario.document import Scenario

FAILED, USAGE, INTERRUPTED = 1, 2, 130
EXIT_CODES = {  # by name, so that no module is imported for an error that did not happen
    "CompareError": USAGE,
    "OtherCodeError": USAGE,
    "ScenarioError": USAGE,
    "SettingError": USAGE,
    "SweepError": USAGE,
    "TopologyError": USAGE,
    "SamplerError": USAGE,
    "TraceError": USAGE,
    "InterruptedRunError": INTERRUPTED,
}


class Verbs(click.Group):
    """A group of verbs in which a first word that is no verb means `run` that scenario."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Put `run` before what is neither a verb nor an option of the group."""
        if args and args[0] not in self.commands and args[0] not in ("--help", "--version", "--debug"):
            args.insert(0, "run")
        return super().parse_args(context, args)

    def invoke(self, context: click.Context) -> Any:
        """Tell errors of ours in one line and with their exit code; a traceback is for `--debug`."""
        try:
            return super().invoke(context)
        except PriomonError as error:
            if context.params["debug"]:
                raise
            click.echo(f"error: {error}" if "\n" not in str(error) else str(error), err=True)
            context.exit(EXIT_CODES.get(type(error).__name__, FAILED))
        except OSError as error:
            if context.params["debug"]:
                raise
            click.echo(f"error: {error}; check the file or pipe that this command reads or writes", err=True)
            context.exit(FAILED)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            context.exit(INTERRUPTED)


RUN = click.option("--run", "number", type=int, help="Id of a run in the store, as `show` lists them. [default: the latest complete one]")


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="priomon-sim")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Simulate how a cluster's nodes come to know each other's metrics by gossip.

    \b
    python -m priomon_sim scenarios/quick.yaml           run a scenario, results in results/quick/
    python -m priomon_sim scenarios/quick.yaml --seeds 1..5 --set gossip.fanout=2
    python -m priomon_sim show results/quick/quick.db    list the runs in a store

    A first word that is no verb is a scenario to run. Exit codes: 0 done, 1 failed, 2 usage or a bad scenario, 130 interrupted.
    """


@main.command()
@SCENARIO
@SETTINGS
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the run. [default: the scenario's]")
@click.option("--seeds", metavar="FIRST..LAST", help="Run once for each seed of a range, such as 1..5.")
@click.option("--baseline", type=click.Path(path_type=Path), help="Scenario to compare bytes, lag and error with; run if it was not yet.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the results. [default: results/NAME]")
@AS_JSON
@click.option("--quiet", is_flag=True, help="No progress and no table; errors still show.")
def run(
    scenario: Path,
    overrides: tuple[str, ...],
    seed: int | None,
    seeds: str | None,
    baseline: Path | None,
    output: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run SCENARIO (the default verb): rows into a store, plots, a report, and a summary on the screen.

    \b
    python -m priomon_sim scenarios/loss20.yaml
    python -m priomon_sim run scenarios/loss20.yaml --baseline scenarios/baseline-demon.yaml
    """
    if seed is not None and seeds is not None:
        raise click.UsageError("--seed and --seeds exclude each other")
    chosen = chosen_scenarios(scenario, overrides if seed is None else (*overrides, f"seed={seed}"), seeds)
    baselines = [] if baseline is None else [_load(baseline, [("seed", str(one.seed))]) for one in chosen]
    folder = output or Path("results") / chosen[0].name
    make_folder(folder)

    from priomon_sim.cli.progress import show_progress
    from priomon_sim.cli.tables import summary_table
    from priomon_sim.experiment import run_all

    command = ["python", "-m", "priomon_sim", *sys.argv[1:]]
    summaries = run_all(chosen, baselines, folder, lambda one: show_progress(one, quiet), command)
    if as_json:
        click.echo(json.dumps(summaries[0] if seeds is None else {"runs": summaries}, allow_nan=False))
    elif not quiet:
        summary_table(summaries)
        click.echo(f"report: {summaries[0]['report']}")


@main.command()
@SCENARIO
@SETTINGS
def validate(scenario: Path, overrides: tuple[str, ...]) -> None:
    """Check SCENARIO and what it refers to (graph, trace) without running it."""
    from priomon_sim.world import draft

    checked = _load(scenario, pairs(overrides))
    plan = draft(checked)
    edges = plan.graph.number_of_edges()
    click.echo(f"{scenario}: ok: {checked.nodes:,} nodes, {edges:,} edges, {checked.duration / 1e9:g} s, hash {checked.hash}")
    for note in plan.notes:
        click.echo(f"note: {note}")


@main.command()
@DATABASE
@AS_JSON
def show(database: Path, as_json: bool) -> None:
    """List the runs in a store."""
    from priomon_results.store import Store
    from priomon_sim.cli.tables import run_table

    with Store(database, readonly=True) as store:
        runs = store.runs()
    if as_json:
        click.echo(json.dumps([asdict(run) for run in runs]))
    else:
        run_table(runs)


@main.command()
@DATABASE
@click.option("--run", "numbers", type=int, multiple=True, help="Id of a run; repeated: compare them. [default: the latest complete one]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the pictures. [default: plots beside the store]")
def plot(database: Path, numbers: tuple[int, ...], output: Path | None) -> None:
    """Draw the plots of stored runs as PNG and SVG."""
    from priomon_results.plots.run import draw_all
    from priomon_results.store import Store

    folder = output or database.parent / "plots"
    make_folder(folder)
    with Store(database, readonly=True) as store:
        for picture in draw_all(store, numbers or [store.run().id], folder):
            click.echo(picture)


@main.command()
@DATABASE
@click.option("--run", "numbers", type=int, multiple=True, help="Id of a run; repeated: compare them. [default: the latest complete one]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the report. [default: the store's]")
def report(database: Path, numbers: tuple[int, ...], output: Path | None) -> None:
    """Draw the plots of stored runs and write their report, one self-contained HTML file."""
    from priomon_results.store import Store
    from priomon_sim.experiment import draw

    folder = output or database.parent
    make_folder(folder)
    with Store(database, readonly=True) as store:
        click.echo(draw(store, numbers or [store.run().id], folder, ["python", "-m", "priomon_sim", *sys.argv[1:]]))


@main.command()
@DATABASE
@click.argument("table")
@RUN
@click.option(
    "--format", "form", type=click.Choice(["csv", "json", "parquet"]), default="csv", show_default=True, help="Format of the rows."
)
@click.option("-o", "--output", default="-", show_default="standard output", help="File to write.")
def export(database: Path, table: str, number: int | None, form: Any, output: str) -> None:
    """Write a TABLE of a run as CSV, JSON or Parquet.

    \b
    python -m priomon_sim export results/loss20/loss20.db sample -o sample.csv
    """
    from priomon_results.export import export as write
    from priomon_results.store import Store

    with Store(database, readonly=True) as store:
        rows = write(store, store.run(number).id, table, form, output)
    if output != "-":
        click.echo(f"{rows} rows in {output}", err=True)


for verb in (compare, sweep, points, sweep_plot, tournament, tune, saving, check, fuzz, why):
    main.add_command(verb)


@main.command()
def schema() -> None:
    """Print the JSON Schema of a scenario file, for editors."""
    from priomon_sim.scenario.document import schema as describe

    click.echo(json.dumps(describe(), indent=2))


@main.group()
def bench() -> None:
    """Measure how fast the simulator is."""


def _benchmark(verb: Callable[..., None]) -> click.Command:
    for option in (
        AS_JSON,
        click.option("--loss", type=click.FloatRange(0, 1), default=0.2, show_default=True, help="Share of datagrams that are lost."),
        click.option("--seconds", type=click.IntRange(min=1), default=60, show_default=True, help="Virtual time."),
        click.option("--nodes", type=click.IntRange(min=2), default=1000, show_default=True, help="Number of nodes."),
    ):
        verb = option(verb)
    return bench.command()(verb)


@_benchmark
def exchange(nodes: int, seconds: int, loss: float, as_json: bool) -> None:
    """Time bare exchanges: every node publishes in every round, nothing is filtered, measured or stored."""
    from priomon_sim.bench import exchange as measure

    _figures(measure(nodes, seconds, loss), as_json)


@_benchmark
def clock(nodes: int, seconds: int, loss: float, as_json: bool) -> None:
    """Time the same events with nothing in them: what SimPy costs before the protocol runs."""
    from priomon_sim.bench import clock as measure

    _figures(measure(nodes, seconds, loss), as_json)


@bench.command()
@click.option("--nodes", type=click.IntRange(min=2), default=1000, show_default=True, help="Rows per second.")
@click.option("--seconds", type=click.IntRange(min=1), default=60, show_default=True, help="Virtual time.")
@AS_JSON
def store(nodes: int, seconds: int, as_json: bool) -> None:
    """Time the store: one row per node and second, in batches as runs do it, and with a commit for each."""
    from tempfile import TemporaryDirectory

    from priomon_sim.bench import store as measure

    with TemporaryDirectory() as folder:
        _figures(measure(nodes, seconds, Path(folder)), as_json)


def _figures(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        click.echo(f"{name.replace('_', ' '):26} {f'{value:,.4g}' if isinstance(value, float) else value}")


def chosen_scenarios(path: Path, overrides: Sequence[str], seeds: str | None) -> list[Scenario]:
    """The scenario at `path`, once for each seed of a range FIRST..LAST if there is one. Raises `ScenarioError`, `click.UsageError`."""
    settings = pairs(overrides)
    return [_load(path, [*settings, ("seed", str(seed))]) for seed in seed_range(seeds)] if seeds else [_load(path, settings)]


def _load(path: Path, overrides: Sequence[tuple[str, str]]) -> Scenario:
    from priomon_sim.scenario.document import load

    return load(path, overrides)
