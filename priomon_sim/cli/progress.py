"""The progress of a run on stderr: its time, and how long it will still take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from priomon_sim.scenario.document import Scenario


@contextmanager
def count_progress(what: str, total: int, quiet: bool) -> Iterator[Callable[[], None]]:
    """A function to call whenever one more of `total` is done. Nothing is shown where stderr is no terminal, or `quiet` is true."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,} of {task.total:,}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def show_progress(scenario: Scenario, quiet: bool, doing: str = "") -> Iterator[Callable[[int], None]]:
    """A function to call now and then with the run's time (ns). Nothing is shown where stderr is no terminal, or `quiet` is true."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} of {task.total:g} s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(f"{scenario.name} (seed {scenario.seed}) {doing}".rstrip(), total=scenario.duration / 1e9)
        yield lambda now: bar.update(task, completed=now / 1e9)
