"""The verbs that ask a running agent over HTTP. They need the standard library only, and say what to do when nobody answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from priomon_core.errors import PriomonError

if TYPE_CHECKING:
    from http.client import HTTPResponse

URL = "http://127.0.0.1:7947"
PATIENCE = 5.0  # seconds for an answer
SILENCE = 40.0  # seconds without even a heartbeat until a stream counts as dead


class AskError(PriomonError):
    """The agent gave no answer, or refused; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Agent:
    """Where an agent answers, and the token it wants. Methods raise `AskError`."""

    url: str
    token: str | None

    def ask(self, path: str, field: str, method: str = "GET", patience: float = PATIENCE) -> dict[str, Any]:
        """The JSON object at a path. Only a PrioMon agent's has this `field`."""
        with self._open(method, path, patience) as response, self._faults():
            answer = json.loads(response.read())
            if not isinstance(answer, dict) or field not in answer:
                raise ValueError("an answer of another program")
            return answer

    def events(self) -> Iterator[dict[str, Any]]:
        """What happens at the agent, each as {event, ...its fields}, until the agent ends the stream."""
        with self._open("GET", "/v1/events", SILENCE) as response, self._faults():
            kind = ""
            for line in response:
                field, _, content = line.decode().rstrip("\n").partition(": ")
                if field == "event":
                    kind = content
                elif field == "data":
                    yield {"event": kind, **json.loads(content)}

    @contextmanager
    def _open(self, method: str, path: str, patience: float) -> Iterator[HTTPResponse]:
        from urllib.error import HTTPError
        from urllib.request import HTTPDefaultErrorHandler, HTTPErrorProcessor, HTTPHandler, HTTPSHandler, OpenerDirector, Request

        # Neither proxies (the agent is near) nor redirects (they would carry the token elsewhere) nor file: URLs.
        opener = OpenerDirector()
        for handler in (HTTPHandler(), HTTPSHandler(), HTTPDefaultErrorHandler(), HTTPErrorProcessor()):
            opener.add_handler(handler)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        with self._faults():
            try:
                response = opener.open(Request(self.url + path, method=method, headers=headers), timeout=patience)
            except HTTPError as error:
                with error:
                    raise AskError(self._refusal(error.code, error.read())) from None
        with response:
            yield response

    def _refusal(self, status: int, body: bytes) -> str:
        try:
            reason = str(json.loads(body)["error"])
        except (ValueError, KeyError, TypeError):
            raise AskError(f"{self.url} answered {status}, but not as a PrioMon agent does; is --url right?") from None
        return f"{self.url}: {reason}" + ("; name the file that holds it with --token-file" if status == 401 else "")

    @contextmanager
    def _faults(self) -> Iterator[None]:
        from http.client import HTTPException

        try:
            yield
        except TimeoutError:
            raise AskError(f"the agent at {self.url} does not answer in time; is it stopped or overloaded?") from None
        except OSError as error:  # a URLError is one
            reason = getattr(error, "reason", None) or error
            raise AskError(
                f"no agent answers at {self.url} ({getattr(reason, 'strerror', None) or reason}); "
                "start one with `python -m priomon_node run`, or say where it is with --url"
            ) from None
        except (ValueError, HTTPException):
            raise AskError(f"what answers at {self.url} is no PrioMon agent; is --url right?") from None


def asking(command: Callable[..., None]) -> Callable[..., None]:
    """Options that all verbs share. The command gets an `Agent` and `as_json`; an `AskError` becomes a message and exit code 1."""
    from functools import wraps

    @click.option("--url", default=URL, envvar="PRIOMON_URL", show_default=True, show_envvar=True, help="Where the agent answers.")
    @click.option("--token-file", type=click.Path(path_type=Path), envvar="PRIOMON_HTTP_TOKEN_FILE", show_envvar=True, help="Its token.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @wraps(command)
    def wrapped(url: str, token_file: Path | None, **arguments: Any) -> None:
        from urllib.parse import urlsplit

        from priomon_node.access import read_token

        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
            raise click.UsageError(f"--url {url}: expected something like {URL}")
        try:
            command(Agent(url.rstrip("/"), read_token(token_file) if token_file else None), **arguments)
        except PriomonError as error:
            raise click.ClickException(str(error)) from None

    return wrapped


@click.command(epilog="\b\nExample:\n  python -m priomon_node members --json | jq '.[].name'")
@asking
def members(agent: Agent, as_json: bool) -> None:
    """List the nodes that the agent knows; * marks the agent itself."""
    nodes = agent.ask("/v1/nodes", "nodes")["nodes"]
    if as_json:
        click.echo(json.dumps(nodes))
        return
    rows = [
        (
            "*" if node["self"] else "",
            node["name"],
            node["address"],
            str(node["generation"]),
            str(node["version"]),
            _age(node["age_seconds"]),
            node["state"] or "-",
            _age(node["state_seconds"]),
        )
        for node in nodes
    ]
    _table(("", "name", "address", "generation", "version", "age", "state", "for"), rows)


@click.command(epilog="\b\nExamples:\n  python -m priomon_node state\n  python -m priomon_node state web-3 --json")
@click.argument("node", required=False)
@asking
def state(agent: Agent, node: str | None, as_json: bool) -> None:
    """Show the values of NODE, or of all nodes, as this agent knows them.

    "between" is where the true value lies, unless a newer publication has not arrived yet.
    """
    from urllib.parse import quote

    nodes = agent.ask(f"/v1/nodes/{quote(node, safe='')}" if node else "/v1/state", "nodes")["nodes"]
    if as_json:
        click.echo(json.dumps(nodes))
        return
    rows = [
        (known["name"], metric, f"{value['value']:.4g}", value["unit"], _between(value["low"], value["high"]), _age(value["age_seconds"]))
        for known in nodes
        for metric, value in known["metrics"].items()
    ]
    _table(("node", "metric", "value", "unit", "between", "age"), rows)


@click.command(epilog="\b\nExamples:\n  python -m priomon_node why web-3\n  python -m priomon_node why web-3 --json | jq .accusers")
@click.argument("node")
@asking
def why(agent: Agent, node: str, as_json: bool) -> None:
    """Tell why the agent holds NODE alive, suspect or dead: who accused it, and when it was heard last."""
    from urllib.parse import quote

    answer = agent.ask(f"/v1/why/{quote(node, safe='')}", "why")
    click.echo(json.dumps(answer["why"]) if as_json else "\n".join(answer["told"]))


@click.command(epilog="\b\nExamples:\n  python -m priomon_node query web-3\n  python -m priomon_node query web-3 --level 'agree(3)' --json")
@click.argument("node")
@click.option("--level", default="majority", show_default=True, help="local, from(N), majority, all or agree(N).")
@click.option("--deadline", type=click.FloatRange(0, 60, min_open=True), default=2.0, show_default=True, help="Seconds to try for.")
@asking
def query(agent: Agent, node: str, level: str, deadline: float, as_json: bool) -> None:
    """Read the values of NODE through other nodes; the freshest that they hold.

    Ends with 1 if the level was not met in time; what is then shown is partial.
    """
    from urllib.parse import quote, urlencode

    asked = urlencode({"level": level, "deadline": deadline})
    answer = agent.ask(f"/v1/query/{quote(node, safe='')}?{asked}", "query", patience=PATIENCE + deadline)["query"]
    if as_json:
        click.echo(json.dumps(answer))
    else:
        rows = [
            (metric, f"{value['value']:.4g}", value["unit"], _between(value["low"], value["high"]), _age(value["age_seconds"]))
            for metric, value in answer["metrics"].items()
        ]
        _table(("metric", "value", "unit", "between", "age"), rows)
        click.echo(f"version {answer['version']}, from {answer['from']}, after {answer['latency_seconds'] * 1e3:.1f} ms")
        _table(("answered", "version", "age"), [(o["name"], str(o["version"]), _age(o["age_seconds"])) for o in answer["responders"]])
    if answer["partial"]:
        count = len(answer["responders"])
        raise click.ClickException(f"partial: {count} other nodes answered, which does not meet the level {answer['level']}")


@click.command(epilog="\b\nExample:\n  python -m priomon_node watch --json")
@asking
def watch(agent: Agent, as_json: bool) -> None:
    """Print what happens at the agent, line by line, until Ctrl-C. With --json, one object per line."""
    try:
        for event in agent.events():
            kind = event["event"]
            click.echo(json.dumps(event) if as_json else " ".join([kind, *(f"{k}={v}" for k, v in event.items() if k != "event")]))
    except KeyboardInterrupt:
        return
    raise AskError(f"the agent at {agent.url} ended the stream: it stops, or this reader was too slow")


@click.command(epilog="\b\nExample:\n  python -m priomon_node status --json | jq .counters")
@asking
def status(agent: Agent, as_json: bool) -> None:
    """Show the agent itself: who it is, how long it runs, and what it counted."""
    found = agent.ask("/v1/status", "counters")
    if as_json:
        click.echo(json.dumps(found))
        return
    counters = found.pop("counters")
    unready = found.pop("unready")
    found["uptime_seconds"] = f"{found['uptime_seconds']:.0f}"
    found["ready"] = "yes" if unready is None else f"no: {unready}"
    _table(("", ""), [(name.replace("_", " "), str(content)) for name, content in (found | counters).items()])


@click.command(epilog="\b\nExample:\n  python -m priomon_node leave --url http://127.0.0.1:7947")
@asking
def leave(agent: Agent, as_json: bool) -> None:
    """Let the agent leave the cluster and end."""
    answer = agent.ask("/v1/leave", "leaving", "POST")
    click.echo(json.dumps(answer) if as_json else f"the agent at {agent.url} is leaving")


@click.command(epilog="\b\nExample:\n  python -m priomon_node healthcheck --url http://127.0.0.1:7947")
@asking
def healthcheck(agent: Agent, as_json: bool) -> None:
    """Exit with 0 if the agent answers, else with 1; for container runtimes."""
    answer = agent.ask("/healthz", "healthy")
    click.echo(json.dumps(answer) if as_json else "healthy")


COMMANDS = (members, state, why, query, watch, status, leave, healthcheck)


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"


def _between(low: float | None, high: float | None) -> str:
    return "-" if low is None else f"{low:.4g} to {high:.4g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns under a heading, which is left out if it is empty."""
    shown = [head, *rows] if any(head) else rows
    widths = [max(len(row[i]) for row in shown) for i in range(len(head))]
    for row in shown:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
