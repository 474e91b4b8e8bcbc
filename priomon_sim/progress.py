"""The progress of a run on stderr: virtual time, rate, and how long it will still take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from priomon_sim.scenario import Scenario
    from priomon_sim.world import World


@contextmanager
def show_progress(scenario: Scenario, quiet: bool) -> Iterator[Callable[[World], None]]:
    """A function to call now and then with the running world. Nothing is shown where stderr is no terminal, or `quiet` is true."""
    console = Console(stderr=True)
    duration = scenario.duration / 1e9
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:g} s"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(f"{scenario.name} (seed {scenario.seed})", total=duration, rate="")

        def update(world: World) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            rate = f"{world.driver.clock.events / elapsed:,.0f} events/s" if elapsed else ""
            bar.update(task, completed=world.driver.now / 1e9, rate=rate)

        yield update
