"""The verb `cluster`: a scenario run by real agents on this machine, then simulated, then compared."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from priomon_core.errors import PriomonError, SettingError

if TYPE_CHECKING:
    from priomon_node.orchestrator.live import Member
    from priomon_sim.scenario.document import Scenario

OUTSIDE, INTERRUPTED = 1, 130
LOCAL_NODES = 200  # agents that one machine is asked to carry at most; 40 MB each


@click.command(
    epilog="""\b
Examples:
  python -m priomon_node cluster scenarios/live10.yaml
  python -m priomon_node cluster scenarios/live10.yaml --seeds 1..5 --set network.loss=20%"""
)
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option("--set", "overrides", multiple=True, metavar="PATH=VALUE", help="Change a setting, such as nodes=20. May be repeated.")
@click.option("--seeds", metavar="FIRST..LAST", help="Run once for each seed of a range, such as 1..5.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the results. [default: results/NAME]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout instead of tables.")
@click.option("--quiet", is_flag=True, help="No progress and no table; errors still show.")
@click.pass_context
def cluster(
    context: click.Context,
    scenario: Path,
    overrides: tuple[str, ...],
    seeds: str | None,
    output: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run SCENARIO with real agents, simulate it, and compare.

    Every node of the scenario is an agent process on the loopback of this machine. It samples what the scenario's workload says, or this
    machine if it names none, and its datagrams meet the latency and loss of the scenario's network. Needs the extra `sim`.

    When the run is over, the checkers of `python -m priomon_sim check` look at what the agents recorded.

    Exit codes: 0 all is well, 1 a measure is outside its tolerance, a checker objects or the run failed, 2 usage or a bad scenario,
    130 interrupted.
    """
    try:
        from priomon_sim.cli.main import EXIT_CODES, chosen_scenarios
    except ImportError as error:
        raise click.ClickException(f"{error}; install the simulator as well: pip install 'priomon[sim,node]'") from None
    try:
        sound = _run(chosen_scenarios(scenario, overrides, seeds), output, as_json, quiet)
    except PriomonError as error:
        click.echo(f"error: {error}" if "\n" not in str(error) else str(error), err=True)
        context.exit(EXIT_CODES.get(type(error).__name__, OUTSIDE))
    except KeyboardInterrupt:
        click.echo("interrupted; no agent is left", err=True)
        context.exit(INTERRUPTED)
    context.exit(0 if sound else OUTSIDE)


def _run(scenarios: Sequence[Scenario], output: Path | None, as_json: bool, quiet: bool) -> bool:
    """Run, compare and tell; returns whether all measures are inside their tolerances and no checker objects."""
    from priomon_node.orchestrator.fleet import Fleet
    from priomon_node.orchestrator.live import check
    from priomon_node.orchestrator.validation import database, validate
    from priomon_sim.cli.compare import comparison
    from priomon_sim.cli.options import make_folder
    from priomon_sim.cli.progress import show_progress

    if scenarios[0].nodes > LOCAL_NODES:
        raise SettingError(f"nodes: found {scenarios[0].nodes}, but one machine carries at most {LOCAL_NODES} agents")
    check(scenarios[0])  # before there is a folder; others differ in the seed only
    folder = output or Path("results") / scenarios[0].name
    make_folder(folder)

    @contextmanager
    def recruit(one: Scenario) -> Iterator[Sequence[Member]]:
        with Fleet(one.nodes, one.gossip.sealed) as fleet:
            yield fleet.members

    command = ["python", "-m", "priomon_node", *sys.argv[1:]]
    pairs = validate(scenarios, recruit, folder, lambda one, mode: show_progress(one, quiet, mode), Event(), command)
    found = comparison(database(folder, scenarios[0]), None, (), folder / "compare")
    examinations = [live["examination"] for live, _ in pairs]
    report = folder / "report.html"
    if as_json:
        runs = [{"live": live, "simulated": simulated} for live, simulated in pairs]
        click.echo(json.dumps({"runs": runs, "comparison": found.document(), "report": str(report)}, allow_nan=False))
    elif not quiet:
        found.show()
        for scenario, examination in zip(scenarios, examinations, strict=True):
            click.echo(f"checkers, seed {scenario.seed}: {examination['verdict']}")
        click.echo(f"report: {report}")
    return found.inside and all(examination["finding"] is None for examination in examinations)
