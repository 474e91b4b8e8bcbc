"""Runs scenarios and keeps what they came to: rows in a store, the scenario beside it, plots and a report."""

from __future__ import annotations

import gc
import shlex
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import yaml

from priomon_core.errors import PriomonError, SettingError
from priomon_results.files import replace_file
from priomon_results.observer import Observer
from priomon_results.saving import Saving, saving_of
from priomon_results.schema import RunHeader, Status
from priomon_results.store import RunWriter, Store
from priomon_results.summary import Summary, saving, summarise
from priomon_sim import probes
from priomon_sim.provenance import code_version, machine
from priomon_sim.scenario.document import Scenario
from priomon_sim.world import Series, World, build

COMPARABLE = ("nodes", "duration", "topology", "network", "workload", "sample_every", "faults", "seed")

Progress = Callable[[int], None]  # told the run's time (ns) now and then
Watch = Callable[[Scenario], AbstractContextManager[Progress]]


class InterruptedRunError(PriomonError):
    """Ctrl-C ended a run; what it had computed is stored and marked as interrupted."""


def run_all(
    scenarios: Sequence[Scenario], baselines: Sequence[Scenario], folder: Path, watch: Watch, command: Sequence[str]
) -> list[Summary]:
    """Run scenarios one after another, each after its baseline if there are any; returns their summaries.

    Rows go to one store in `folder`, where plots and a report of all runs are drawn at the end. A baseline that this store has from the
    same code is not run again. Raises `PriomonError`.
    """
    for scenario, baseline in zip(scenarios, baselines, strict=False):
        check_baseline(scenario, baseline)
    save_scenario(scenarios[0], folder)
    report = folder / "report.html"
    summaries: list[Summary] = []
    runs: list[int] = []
    with Store(folder / f"{scenarios[0].name}.db") as store:
        for scenario, baseline in zip_longest(scenarios, baselines):
            compared = None
            if baseline is not None:
                number, compared = stored(baseline, store) or _watched(baseline, store, watch)
                runs.append(number)
            number, summary = _watched(scenario, store, watch, compared)
            runs.append(number)
            summaries.append(summary | {"database": str(store.path), "report": str(report)})
        draw(store, runs, folder, command)
    return summaries


def run_beside(scenarios: Sequence[Scenario], folder: Path, watch: Watch, command: Sequence[str]) -> tuple[Saving, Path]:
    """Run those of some scenarios that the store in `folder` does not have; returns what the last one saves, and the path of its report.

    Raises `PriomonError`.
    """
    own = scenarios[-1]
    save_scenario(own, folder)
    with Store(folder / f"{own.name}.db") as store:
        for scenario in scenarios:
            number, _ = stored(scenario, store) or _watched(scenario, store, watch)
        found = saving_of(store.run(number), store.runs())
        if found is None:
            raise PriomonError(f"{own.name}: no node sent anything, so nothing can be compared; make the run longer")
        return found, draw(store, [number], folder, command)


def _watched(scenario: Scenario, store: Store, watch: Watch, baseline: Summary | None = None) -> tuple[int, Summary]:
    with watch(scenario) as progress:
        return execute(scenario, store, progress, baseline)


def execute(
    scenario: Scenario, store: Store, progress: Progress, baseline: Summary | None = None, series: Series | None = None
) -> tuple[int, Summary]:
    """Run a scenario to its end; returns the id of the stored run and its summary. `series` replaces its workload (see `world.build`).

    Raises `PriomonError` if it cannot be built or stored, and `InterruptedRunError`.
    """
    began = time.perf_counter()
    world = build(scenario, series)
    with store.begin(describe(scenario, "sim", world.notes)) as writer:
        observer = probes.watch(world, writer, lambda: progress(world.driver.now))
        try:
            run_to(world, world.scenario.duration)
        except KeyboardInterrupt:
            _finish("interrupted", world, observer, writer, began, baseline)
            raise InterruptedRunError(
                f"{scenario.name}: interrupted at {world.driver.now / 1e9:g} s of {scenario.duration / 1e9:g} s; "
                f"what was computed is kept in {store.path} as run {writer.run}, marked as interrupted"
            ) from None
        return writer.run, _finish("complete", world, observer, writer, began, baseline)


def describe(scenario: Scenario, mode: Literal["sim", "live"], notes: Sequence[str]) -> RunHeader:
    """What is stored of a run before it starts."""
    return RunHeader(
        mode=mode,
        scenario=scenario.name,
        scenario_hash=scenario.hash,
        seed=scenario.seed,
        code_version=code_version(),
        strategy=scenario.gossip.strategy,
        nodes=scenario.nodes,
        parameters=scenario.dump(),
        machine=machine(),
        notes=notes,
    )


def run_to(world: World, horizon: int) -> None:
    """Move time to `horizon` (ns). The collector of cycles rests: events make none, and it would take a third of the time."""
    gc.collect()
    gc.disable()
    try:
        world.driver.clock.run_to(horizon)
    finally:
        gc.enable()


def _finish(status: Status, world: World, observer: Observer, writer: RunWriter, began: float, baseline: Summary | None) -> Summary:
    probes.write_ending(world, observer)
    summary = summarise(observer, probes.ending(world))
    summary["saving_vs_baseline"] = None if baseline is None else saving(summary, baseline)
    summary["wall_seconds"] = time.perf_counter() - began
    writer.finish(
        status,
        wall_seconds=summary["wall_seconds"],
        virtual_seconds=summary["virtual_seconds"],
        trace_hash=summary["trace_hash"],
        summary=summary,
    )
    return summary


def check_baseline(scenario: Scenario, baseline: Scenario) -> None:
    """Raises `SettingError` unless both scenarios put the same load on the same network, so that a comparison means something."""
    for name in COMPARABLE:
        ours, theirs = getattr(scenario, name), getattr(baseline, name)
        if ours != theirs:
            raise SettingError(
                f"--baseline {baseline.name}: its {name} differs from that of {scenario.name}; "
                "a comparison needs the same nodes, duration, topology, network, workload, sampling and faults in both"
            )


def stored(scenario: Scenario, store: Store) -> tuple[int, Summary] | None:
    """A complete run of this scenario and seed by this code, if the store has one."""
    version = code_version()
    for run in reversed(store.runs()):
        if (run.scenario_hash, run.seed, run.code_version, run.status) == (scenario.hash, scenario.seed, version, "complete"):
            return run.id, dict(run.summary)
    return None


def save_scenario(scenario: Scenario, folder: Path) -> None:
    """Write the scenario with all its settings to `folder`, so that results say what they are results of."""
    text = yaml.safe_dump(scenario.dump(), sort_keys=False, allow_unicode=True)
    replace_file(folder / "scenario.yaml", text.encode())


def draw(store: Store, runs: Sequence[int], folder: Path, command: Sequence[str]) -> Path:
    """Draw the plots and the report of these runs; returns the report's path."""
    from priomon_results.plots.run import draw_all  # matplotlib costs 0.3 s that a run without pictures need not pay
    from priomon_results.report import write_report

    pictures = draw_all(store, runs, folder / "plots", png=False)  # half of the time; the verb `plot` draws both
    report = folder / "report.html"
    write_report(store, runs, report, pictures=pictures, command=shlex.join(command))
    return report
