"""The verb `tune`: searches for settings that meet goals at the least cost."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import click

from priomon_sim.cli.options import SCENARIO, SETTINGS, make_folder, pairs, running, seed_range, typed

MISSED = 3  # exit code
SEEDS = 3


def _duration(context: click.Context, parameter: click.Parameter, value: str | None) -> float:
    """Seconds, infinitely many if nothing was given."""
    from priomon_core.errors import SettingError
    from priomon_sim.scenario.units import POSITIVE_DURATION, SECOND

    try:
        return math.inf if value is None else POSITIVE_DURATION.parse(value) / SECOND
    except SettingError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@SCENARIO
@SETTINGS
@click.option(
    "--goal", "goals", multiple=True, required=True, metavar="GOALS", help="What has to hold, such as 'lag_p99 <= 3 s'. May be repeated."
)
@click.option("--minimise", default="bytes", show_default=True, metavar="MEASURE", help="What is to be as small as the goals allow.")
@click.option("--keep", "kept", multiple=True, metavar="AXIS", help="An axis that is not searched, such as strategy. May be repeated.")
@click.option("--trials", type=click.IntRange(min=1), default=48, show_default=True, help="How many candidates are tried.")
@click.option("--seeds", metavar="FIRST..LAST", help=f"Seeds of the best candidates. [default: {SEEDS}, from the scenario's on]")
@click.option(
    "--sampler", type=click.Choice(["tpe", "latin"]), help="Where candidates come from. [default: tpe if Optuna is installed, else latin]"
)
@click.option(
    "--time-limit", metavar="TIME", callback=_duration, help="Try nothing new after this wall time, such as 10min. [default: none]"
)
@running
@click.pass_context
def tune(
    context: click.Context,
    scenario: Path,
    overrides: tuple[str, ...],
    goals: tuple[str, ...],
    minimise: str,
    kept: tuple[str, ...],
    trials: int,
    seeds: str | None,
    sampler: str | None,
    time_limit: float,
    on: str,
    jobs: int | None,
    output: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Search for settings of SCENARIO that meet all goals and cost least.

    Shows the frontier, and writes the chosen settings as a scenario and as a settings file of agents. Every trial is stored at once: after
    an interruption the same command goes on.

    \b
    python -m priomon_sim tune scenarios/quick.yaml --goal 'lag_p99 <= 3 s, error_max <= 1 bound' --minimise bytes
    python -m priomon_sim tune scenarios/quick.yaml --goal 'bytes <= 300 B/s' --minimise lag_p99 --keep strategy

    Exit codes: 0 done, 1 it could not go on, 2 usage or a bad scenario, 3 done but no trial met all goals, 130 interrupted.
    """
    began = time.monotonic()
    if on == "processes":
        from priomon_sim.sweep.pools import start_server

        start_server()  # it loads the simulator while this process does the same

    from priomon_results.store import Store
    from priomon_sim.sweep.run import job_of, make_pool
    from priomon_sim.sweep.screen import sweep_progress
    from priomon_sim.tune.plan import plan
    from priomon_sim.tune.report import Found, show_found
    from priomon_sim.tune.run import Tuning
    from priomon_sim.tune.sampler import make_sampler

    problem = plan(scenario, pairs(overrides), goals, minimise, kept, None if seeds is None else seed_range(seeds), SEEDS)
    source = make_sampler(sampler, problem.space, trials, problem.plan.scenario.seed)
    name = problem.plan.scenario.name
    folder = output or Path("results") / name
    make_folder(folder)
    with Store(folder / f"{name}-tune.db") as store, sweep_progress(name, quiet) as progress:
        pool = make_pool(job_of(problem.plan), on, 1 if on == "serial" else jobs or len(os.sched_getaffinity(0)))
        try:
            tuning = Tuning(problem, store, pool, progress)
            ranked = tuning.search(source, lambda: time.monotonic() - began < time_limit)
        finally:
            pool.close()
    found = Found(problem, ranked, typed())
    files = found.write(folder)
    if as_json:
        click.echo(
            json.dumps(found.document() | {"runs": tuning.runs, "database": str(store.path), "files": [str(file) for file in files]})
        )
    elif not quiet:
        show_found(found)
        click.echo(f"{len(ranked)} trials, {tuning.runs:,} runs done now")
        for file in files:
            click.echo(file)
    if not found.best.feasible:
        click.echo(found.misses(), err=True)
        context.exit(MISSED)
