"""The verb `tournament`: a sweep over strategies, and which of them wins."""

from __future__ import annotations

import json
from dataclasses import asdict
from math import isinf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from priomon_sim.cli.options import SCENARIO, SETTINGS, pairs, running, typed
from priomon_sim.cli.sweep import ran, warm_up

if TYPE_CHECKING:
    from priomon_results.tournament import Goal, Tournament
    from priomon_sim.sweep.plan import Plan


@click.command()
@SCENARIO
@SETTINGS
@running
@click.pass_context
def tournament(
    context: click.Context,
    scenario: Path,
    overrides: tuple[str, ...],
    on: str,
    jobs: int | None,
    output: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run the sweep of SCENARIO, whose points differ in their strategy, and tell which strategy wins where, and overall.

    The goal (key `sweep.goal`) says what is good enough. Of the strategies that hold it in a setting, the one with the fewest bytes wins
    there; overall, of those that hold it in every setting, the one with the fewest bytes over the winner's, as a geometric mean.
    The store is that of `sweep`, so `points` and `sweep-plot` read it, and what is stored is not run again.

    \b
    python -m priomon_sim tournament scenarios/tournament.yaml
    python -m priomon_sim tournament scenarios/tournament.yaml --set 'sweep.goal=lag_p99 <= 3 s'

    Exit codes: 0 done, 1 it could not go on (disk, cluster), 2 usage or a bad scenario, 3 done but some points failed, 130 interrupted.
    """
    warm_up(on)

    from priomon_sim.sweep.plan import plan

    planned = plan(scenario, pairs(overrides))
    wanted = _goals(planned)
    folder = output or Path("results") / planned.scenario.name
    with ran(planned, folder, on, jobs, quiet) as done:
        from priomon_results.plots.tournament import draw_tournament
        from priomon_results.report_tournament import write_tournament_report
        from priomon_results.sweep.table import read_table
        from priomon_results.tournament import read_tournament

        found = read_tournament(read_table(done.store, done.number), wanted)
        report = folder / "tournament.html"
        write_tournament_report(done.store, found, report, pictures=draw_tournament(found, folder / "plots"), command=typed())
        if as_json:
            click.echo(json.dumps(done.document() | {"report": str(report)} | _document(found), allow_nan=False))
        elif not quiet:
            _show(found)
            done.show()
            click.echo(f"report: {report}")
    done.tell_failures(context)


def _goals(planned: Plan) -> list[Goal]:
    """The goals of a tournament. Raises `ScenarioError`."""
    from priomon_core.errors import SettingError
    from priomon_results.tournament import Goal
    from priomon_sim.goals import measures, parse_goals
    from priomon_sim.scenario.problems import ScenarioError
    from priomon_sim.sweep.plan import AT

    path, text = (*AT, "goal"), planned.sweep.goal
    try:
        found = parse_goals([text] if text else [], measures(planned.scenario))
        for goal in found:
            if goal.relation != "<=":
                raise SettingError(f"goal {str(goal)!r}: expected <=, for a tournament weighs what should be small")
    except SettingError as error:
        raise ScenarioError([planned.base.source.place(path).problem(path, str(error))]) from None
    return [Goal(goal.measure.name, goal.limit, goal.measure.unit) for goal in found]


def _document(found: Tournament) -> dict[str, Any]:
    """Verdict and entries for JSON; figures are medians over the seeds."""
    entries = [
        {
            "setting": dict(zip(found.paths, entry.setting, strict=True)),
            "strategy": entry.strategy,
            "missed": entry.missed,
            "filter_saving": entry.filter_saving,
            "figures": {measure: row.median for measure, row in entry.figures.items()},
        }
        for entry in found.entries
    ]
    standings = [asdict(one) | {"excess": None if isinf(one.excess) else one.excess} for one in found.standings()]
    return {"default": found.default(), "goals": [str(goal) for goal in found.goals], "standings": standings, "entries": entries}


def _show(found: Tournament) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from priomon_results.report_tournament import cells, columns, median, setting, verdict
    from priomon_sim.cli.tables import WIDTH

    table = Table(title=f"{found.table.sweep.scenario}: medians of the seeds", title_justify="left")
    for name in (*found.paths, "strategy"):
        table.add_column(name)
    for name in columns(found):
        table.add_column(name, justify="right")
    for entry in found.entries:
        table.add_row(*map(escape, [*setting(found, entry), entry.strategy, *cells(found, entry, median)]))
    console = Console()
    Console(width=None if console.is_terminal else 2 * WIDTH).print(table)
    for sentence in verdict(found):
        click.echo(sentence)
