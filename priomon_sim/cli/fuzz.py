"""The verbs of the checkers: `check` examines a scenario, `fuzz` the random scenarios of many seeds."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from priomon_sim.cli.options import AS_JSON, SCENARIO, SETTINGS, make_folder, pairs, seed_range

if TYPE_CHECKING:
    from priomon_sim.fuzz.campaign import Failure

FAILED = 1  # exit code


@click.command()
@SCENARIO
@SETTINGS
@AS_JSON
@click.pass_context
def check(context: click.Context, scenario: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Run SCENARIO before the eyes of all checkers, and store nothing.

    The run ends early where the cluster has converged after its last fault and stayed so for a while. A scenario whose calm is too
    short for that, or that ends amid faults, is checked for everything but convergence.

    Exit codes: 0 all is well, 1 a checker objects, 2 usage or a bad scenario.
    """
    from priomon_sim.examine import examine
    from priomon_sim.scenario.document import load

    examination = examine(load(scenario, pairs(overrides)))
    if as_json:
        click.echo(json.dumps(examination.document()))
    else:
        click.echo(f"{scenario}: {examination}")
    if examination.finding is not None:
        context.exit(FAILED)


@click.command()
@click.option("--seeds", metavar="FIRST..LAST", default="1..100", show_default=True, help="Seeds of the scenarios, such as 1..1000.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes. [default: one per core]")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("results/fuzz"), show_default=True, help="Folder for what fails."
)
@AS_JSON
@click.option("--quiet", is_flag=True, help="No progress.")
@click.pass_context
def fuzz(context: click.Context, seeds: str, jobs: int | None, output: Path, as_json: bool, quiet: bool) -> None:
    """Examine random scenarios, one per seed: random graphs, networks, settings and faults, a phase of chaos, then calm.

    For each failure it prints the seed and what was found, and writes a small scenario that fails alike, for `check`.

    \b
    python -m priomon_sim fuzz --seeds 1..1000
    python -m priomon_sim check results/fuzz/seed-17.yaml

    Exit codes: 0 all is well, 1 a checker objects, 2 usage, 130 interrupted.
    """
    from priomon_sim.cli.progress import count_progress
    from priomon_sim.fuzz.campaign import fuzz as examine_all

    chosen = seed_range(seeds)
    began = time.perf_counter()
    failures: list[dict[str, Any]] = []
    took: list[float] = []
    messages = 0
    with count_progress("seeds", len(chosen), quiet or as_json) as progress:
        for outcome in examine_all(chosen, jobs or len(os.sched_getaffinity(0))):
            progress()
            messages += outcome.examination.messages
            if outcome.examination.converged_after is not None:
                took.append(outcome.examination.converged_after)
            if outcome.failure is not None:
                written = _write(outcome.seed, outcome.failure, output)
                failures.append({"seed": outcome.seed, **asdict(outcome.failure.finding), "scenario": str(written)})
                if not as_json:
                    click.echo(f"seed {outcome.seed}: {outcome.failure.finding}\n  smallest: {outcome.failure.shrunk_finding}\n  {written}")
    seconds = time.perf_counter() - began
    if as_json:
        figures = {"median_s": median(took) if took else None, "most_s": max(took, default=None)}
        click.echo(
            json.dumps(
                {"seeds": len(chosen), "failures": failures, "messages": messages, "converged_after": figures, "wall_seconds": seconds}
            )
        )
    else:
        click.echo(f"{len(chosen):,} seeds in {seconds:.0f} s, {messages:,} messages: {len(failures) or 'none'} failed")
        if took:
            click.echo(f"converged after the last fault: median {median(took):.1f} s, most {max(took):.1f} s")
    if failures:
        context.exit(FAILED)


def _write(seed: int, failure: Failure, folder: Path) -> Path:
    """Write the smallest scenario that fails, and what is found in it."""
    import yaml

    from priomon_results.files import replace_file

    make_folder(folder)
    path = folder / f"seed-{seed}.yaml"
    text = yaml.safe_dump(failure.shrunk, sort_keys=False)
    replace_file(path, f"# python -m priomon_sim check {path.name}\n# {failure.shrunk_finding}\n{text}".encode())
    return path
