"""Runs scenarios with real agents and then simulates the same, into one store, so that the two can be compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event

from priomon_node.orchestrator.live import LiveRun, Member, check
from priomon_results.schema import Status
from priomon_results.store import RunWriter, Store
from priomon_results.summary import Summary, summarise
from priomon_sim.experiment import InterruptedRunError, Progress, describe, draw, execute, save_scenario
from priomon_sim.scenario.document import Scenario
from priomon_sim.world import Series, draft

Watch = Callable[[Scenario, str], AbstractContextManager[Progress]]  # (scenario, "live" or "simulated")
Recruit = Callable[[Scenario], AbstractContextManager[Sequence[Member]]]


def validate(
    scenarios: Sequence[Scenario],
    recruit: Recruit,
    folder: Path,
    watch: Watch,
    stop: Event,
    command: Sequence[str],
    begun: Callable[[LiveRun], None] = lambda run: None,
) -> list[tuple[Summary, Summary]]:
    """Run each scenario live and simulated; returns both summaries of each. `recruit` provides agents for the time of one run.

    `begun` is given every live run before it starts, to look on.

    Rows go to one store in `folder`, where plots of the last pair and a report of its live run are drawn at the end. Raises
    `PriomonError`.
    """
    for scenario in scenarios:
        check(scenario)
        draft(scenario)  # a trace that is missing is better told before agents are started
    save_scenario(scenarios[0], folder)
    pairs = []
    with Store(database(folder, scenarios[0])) as store:
        for scenario in scenarios:
            with recruit(scenario) as members, watch(scenario, "live") as progress:
                number, live, series = execute_live(scenario, members, store, progress, stop, begun)
            with watch(scenario, "simulated") as progress:
                twin_number, twin = execute(scenario, store, progress, series=series)
            pairs.append((live, twin))
        draw(store, [twin_number, number], folder, command)
    return pairs


def database(folder: Path, scenario: Scenario) -> Path:
    """The store of a scenario's runs."""
    return folder / f"{scenario.name}.db"


def execute_live(
    scenario: Scenario,
    members: Sequence[Member],
    store: Store,
    progress: Progress,
    stop: Event,
    begun: Callable[[LiveRun], None] = lambda run: None,
) -> tuple[int, Summary, Series | None]:
    """Run a scenario by real agents to its end.

    Returns the id of the stored run, its summary, and what nodes measured if the scenario names no workload.

    Raises `PriomonError`, and `InterruptedRunError` on Ctrl-C or when `stop` is set.
    """
    began = time.monotonic()
    plan = draft(scenario)
    with store.begin(describe(scenario, "live", plan.notes)) as writer:
        run = LiveRun(scenario, plan, members, writer, progress)
        begun(run)
        try:
            run.run(stop)
            interrupted = stop.is_set()
        except KeyboardInterrupt:
            interrupted = True
        summary = _finish("interrupted" if interrupted else "complete", run, writer, began)
        if interrupted:
            raise InterruptedRunError(
                f"{scenario.name}: interrupted at {run.now / 1e9:g} s of {scenario.duration / 1e9:g} s; "
                f"what was observed is kept in {store.path} as run {writer.run}, marked as interrupted"
            )
    return writer.run, summary, run.diaries.measured() if plan.series is None else None


def _finish(status: Status, run: LiveRun, writer: RunWriter, began: float) -> Summary:
    run.write_ending()
    summary = summarise(run.observer, run.ending())
    summary["wall_seconds"] = time.monotonic() - began
    writer.finish(status, wall_seconds=summary["wall_seconds"], virtual_seconds=summary["virtual_seconds"], trace_hash="", summary=summary)
    return summary
