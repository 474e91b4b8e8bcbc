"""The verb `orchestrate`: runs with real agents, started and watched from a browser."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import click

from priomon_core.errors import PriomonError, SettingError
from priomon_core.identity import Address
from priomon_node.cli.cluster import LOCAL_NODES
from priomon_node.settings import HTTP_PORT, is_loopback, parse_address, show

if TYPE_CHECKING:
    from priomon_node.orchestrator.live import Member
    from priomon_node.orchestrator.runs import Recruit, Say
    from priomon_sim.scenario.document import Scenario

PORT = 4000


@click.command(
    epilog="""\b
Examples:
  python -m priomon_node orchestrate
  python -m priomon_node orchestrate scenarios/live10.yaml --agents edge1 --agents edge2:7950 --token-file http.token"""
)
@click.argument("scenario", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option(
    "--agents",
    multiple=True,
    metavar="HOST:PORT",
    help="HTTP address of agents; a name: all its addresses. May be repeated. [default: processes here]",
)
@click.option("--token-file", type=click.Path(path_type=Path), help="File with the token of the agents' HTTP, asked of visitors too.")
@click.option("--http", "place", default=f"127.0.0.1:{PORT}", show_default=True, metavar="HOST:PORT", help="Where the pages are served.")
@click.option("--open", "unguarded", is_flag=True, help="Ask visitors for no token: for a container whose port only its host can reach.")
@click.option(
    "--scenarios",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default="scenarios",
    show_default=True,
    help="Folder of the scenarios to choose from.",
)
@click.option("--results", type=click.Path(path_type=Path), default="results", show_default=True, help="Folder of the results.")
def orchestrate(
    scenario: Path | None,
    agents: tuple[str, ...],
    token_file: Path | None,
    place: str,
    unguarded: bool,
    scenarios: Path,
    results: Path,
) -> None:
    """Serve pages on which runs with real agents are started, watched and compared with their simulation.

    SCENARIO is begun at once; without it, a visitor chooses one. Agents that run already, with the setting `experiment`, take part
    where --agents names them; otherwise each run starts its own on this machine. Needs the extra `sim`.

    Ends on SIGTERM or Ctrl-C; the run that goes on then is kept as interrupted. Exit codes: 0 ended, 1 could not start, 2 usage.
    """
    try:
        import priomon_node.orchestrator.server  # noqa: F401
    except ImportError as error:
        raise click.ClickException(f"{error}; install the simulator as well: pip install 'priomon[sim,node]'") from None
    try:
        http = parse_address(place, PORT, lowest_port=0)
        places = [parse_address(one, HTTP_PORT) for one in agents]
    except SettingError as error:
        raise click.UsageError(str(error)) from None
    if places and token_file is None:
        raise click.UsageError("--agents: agents let nobody experiment without their token; name its file with --token-file")
    if unguarded is False and token_file is None and not is_loopback(http.host):
        raise click.UsageError(f"--http {place} can be reached from other machines, but there is no token; name one with --token-file")
    try:
        asyncio.run(_serve(scenario, places, token_file, http, unguarded, scenarios, results))
    except PriomonError as error:
        raise click.ClickException(str(error)) from None


async def _serve(
    scenario: Path | None,
    places: Sequence[Address],
    token_file: Path | None,
    http: Address,
    unguarded: bool,
    scenarios: Path,
    results: Path,
) -> None:
    from priomon_node.access import read_token
    from priomon_node.events import EventSource
    from priomon_node.http_api import serve
    from priomon_node.orchestrator.runs import Runs, check_writable
    from priomon_node.orchestrator.server import create_app, tell

    check_writable(results)
    token = None if token_file is None else read_token(token_file)
    runs = Runs(results, _recruit(places, token), lambda line: click.echo(line, err=True))
    if scenario is not None:
        runs.start(scenario)
    stop, events = asyncio.Event(), EventSource()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    guard = None if unguarded or is_loopback(http.host) else token
    app = create_app(runs, scenarios, results, events, guard)
    telling = asyncio.create_task(tell(runs, events))
    try:
        await serve(app, *http, stop, lambda bound: click.echo(f"pages at http://{show(bound)}", err=True))
    finally:
        telling.cancel()
        await asyncio.to_thread(runs.close)


def _recruit(places: Sequence[Address], token: str | None) -> Recruit:
    """Agents of a run: those at `places`, or, if there are none, processes of this machine."""
    from priomon_node.orchestrator.fleet import Fleet
    from priomon_node.orchestrator.recruit import RecruitError, recruit

    @contextmanager
    def find(scenario: Scenario, say: Say, stop: Event) -> Iterator[Sequence[Member]]:
        yield recruit(places, token or "", scenario.nodes, say, stop)

    @contextmanager
    def start(scenario: Scenario, say: Say, stop: Event) -> Iterator[Sequence[Member]]:
        if scenario.nodes > LOCAL_NODES:
            raise RecruitError(f"{scenario.nodes} agents are too many for one machine; set nodes to at most {LOCAL_NODES}")
        with Fleet(scenario.nodes, scenario.gossip.sealed) as fleet:
            yield fleet.members

    return find if places else start
