"""The verb `run`: an agent on this machine, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import click

from priomon_core.errors import PriomonError
from priomon_node.cli.config import load_or_exit
from priomon_node.settings import flags


@click.command(
    params=flags(),
    epilog="""\b
Examples:
  python -m priomon_node run
  python -m priomon_node run --bind 127.0.0.1:7950 --seeds 127.0.0.1:7946 --name second --http off
  python -m priomon_node run --config agent.yaml --key-file cluster.key --bind 0.0.0.0:7946""",
)
def run(file: Path | None, **given: object) -> None:
    """Run an agent: sample this machine, gossip with the cluster, and answer over HTTP.

    Ends on SIGTERM, Ctrl-C or the verb `leave`. Settings are flags over PRIOMON_* variables over the file of --config; `config` shows
    what they come to. Exit codes: 0 ended, 1 could not start, 2 wrong settings.
    """
    settings, _ = load_or_exit(file, given)
    from priomon_node.logs import Log
    from priomon_node.run import run as run_agent

    try:
        asyncio.run(run_agent(settings, os.environ, Log(settings.log_format, settings.log_level)))
    except PriomonError as error:
        raise click.ClickException(str(error)) from None
