"""The command line of a node. Heavy imports happen inside the commands, so that `--help` answers at once."""

from __future__ import annotations

import json
import math
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from priomon_core.config import SECOND
from priomon_core.errors import PriomonError
from priomon_node.cli.ask import healthcheck, leave, members, query, state, status, watch, why
from priomon_node.cli.cluster import cluster
from priomon_node.cli.config import config
from priomon_node.cli.keys import keygen, keys
from priomon_node.cli.orchestrate import orchestrate
from priomon_node.cli.run import run

if TYPE_CHECKING:
    from priomon_node.recorder import Recording


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run PrioMon on this machine."""


for _verb in (run, cluster, orchestrate, config, keygen, keys, members, state, why, query, watch, status, leave, healthcheck):
    main.add_command(_verb)


@main.command(
    epilog="""\b
Examples:
  python -m priomon_node record --every 1 --seconds 600 out.csv
  python -m priomon_node record --seconds 10 - | head -3"""
)
@click.argument("file")
@click.option("--every", type=click.FloatRange(min=0.01), default=1.0, show_default=True, help="Seconds between two rows.")
@click.option("--seconds", type=click.FloatRange(min=0.01), default=600.0, show_default=True, help="How long to record.")
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
@click.option("--json", "as_json", is_flag=True, help="At the end print {rows, seconds, skipped, file} on stdout.")
def record(file: str, every: float, seconds: float, force: bool, as_json: bool) -> None:
    """Record this machine's cpu, memory, network and storage into FILE.

    FILE is CSV, compressed if its name ends in .gz; "-" is standard output. Ctrl-C ends the recording early and keeps its rows.
    """
    for length in (every, seconds):
        if not math.isfinite(length):
            raise click.UsageError(f"{length} is not a length of time")
    if seconds < every:
        raise click.UsageError(f"--seconds {seconds:g} leaves no room for a row --every {every:g} s")
    if as_json and file == "-":
        raise click.UsageError("--json and the rows cannot both go to standard output; name a file")

    from priomon_node import recorder

    clock = recorder.StoppableClock()
    try:
        with recorder.open_sink(file, force) as sink, _stopped_by_signals(clock.stop), _progress(seconds, every) as progress:
            done = recorder.record(sink, round(every * SECOND), round(seconds * SECOND), clock, progress=progress)
    except PriomonError as error:
        raise click.ClickException(str(error)) from error
    late = f", {done.skipped} skipped because their time had passed" if done.skipped else ""
    click.echo(f"{done.rows} rows over {done.seconds:.1f} s in {file}{late}", err=True)
    if as_json:
        click.echo(json.dumps({"rows": done.rows, "seconds": done.seconds, "skipped": done.skipped, "file": file}))


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM call `stop` instead of ending the process."""
    before = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(seconds: float, every: float) -> Iterator[Callable[[Recording], None]]:
    """A bar on a terminal, one line otherwise; both on stderr, because stdout may carry the rows."""
    label = f"recording a row every {every:g} s for {seconds:g} s"
    with click.progressbar(length=int(seconds / every), label=label, file=sys.stderr) as bar:
        yield lambda done: bar.update(done.rows + done.skipped - bar.pos)
