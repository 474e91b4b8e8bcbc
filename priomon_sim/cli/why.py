"""The verb `why`: what one simulated node held of another at a time, and for which reasons."""

from __future__ import annotations

import json
from pathlib import Path

import click

from priomon_core.errors import SettingError
from priomon_sim.cli.options import AS_JSON, SCENARIO, SETTINGS, pairs


@click.command()
@SCENARIO
@click.argument("node")
@SETTINGS
@click.option("--by", "observer", required=True, metavar="NODE", help="The node that is asked.")
@click.option("--at", "when", metavar="TIME", help='Time of the run, such as "30 s". [default: its end]')
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the run. [default: the scenario's]")
@AS_JSON
def why(scenario: Path, node: str, overrides: tuple[str, ...], observer: str, when: str | None, seed: int | None, as_json: bool) -> None:
    """Tell why NODE was held alive, suspect or dead by another node in a run of SCENARIO.

    The run is a function of scenario and seed, so it is simply run again, up to that time.

    \b
    python -m priomon_sim why scenarios/partition.yaml node07 --by node12 --at "30 s"
    """
    from priomon_core.why import told
    from priomon_core.why import why as reasons_of
    from priomon_sim.experiment import run_to
    from priomon_sim.scenario.document import load
    from priomon_sim.scenario.units import DURATION
    from priomon_sim.world import build

    chosen = load(scenario, pairs(overrides if seed is None else (*overrides, f"seed={seed}")))
    try:
        at = chosen.duration if when is None else int(DURATION.parse(when))
    except SettingError as error:
        raise SettingError(f"--at: {error}") from None
    if at > chosen.duration:
        raise SettingError(f"--at: found {when}, expected at most {DURATION.format(chosen.duration)}, the end of {chosen.name}")
    world = build(chosen)
    driver, names = world.driver, world.driver.lives.names
    for name in (node, observer):
        if name not in names:
            raise SettingError(f"{chosen.name}: there is no node {name!r}; expected a name from {min(names)} to {max(names)}")
    index = names.index(observer)
    run_to(world, at)
    watch = driver.nodes[index].watch
    if watch is None:
        raise SettingError(f"{chosen.name}: its nodes do not judge each other; set detection.detector, for example to swim")
    if not driver.running[index]:
        raise SettingError(f"{observer} does not run at {DURATION.format(at)}; ask another node, or at another time")
    reasons = reasons_of(watch, node, driver.clock_of(index))
    click.echo(json.dumps(reasons) if as_json else "\n".join(told(reasons)))
