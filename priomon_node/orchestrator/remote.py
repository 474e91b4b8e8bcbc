"""An agent's HTTP interface, as an orchestrator uses it: one connection that is kept, opened again when it broke."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection, HTTPException
from threading import Lock
from typing import Any

from priomon_core.errors import PriomonError
from priomon_core.identity import Address
from priomon_node.view import endpoint

Json = dict[str, Any]

PATIENCE = 5.0  # seconds for an answer
KEPT = 3.0  # seconds that an idle connection is trusted; agents close theirs after five


class AgentError(PriomonError):
    """An agent does not answer, or refuses; the message says which."""


class SilentError(AgentError):
    """An agent does not answer: it is stopped, gone, or not there yet."""


class Remote:
    """The agent that answers at `address`. Threads that ask at one time take turns."""

    def __init__(self, address: Address, token: str, patience: float = PATIENCE) -> None:
        self.address = address
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection = HTTPConnection(address.host, address.port, timeout=patience)
        self._answered = 0.0  # when, by the monotonic clock
        self._turn = Lock()

    def ask(self, method: str, path: str, document: Json | None = None) -> Json:
        """The JSON object that the agent answers. Raises `SilentError`, or `AgentError` with the agent's own words."""
        with self._turn:
            return self._ask(method, path, None if document is None else json.dumps(document))

    def _ask(self, method: str, path: str, body: str | None) -> Json:
        where = f"the agent at {endpoint(self.address)}"
        if time.monotonic() - self._answered > KEPT:
            self._connection.close()
        try:
            self._connection.request(method, path, body, self._headers)
            response = self._connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, HTTPException) as error:
            self._connection.close()  # whatever is half said must not be taken for the next answer
            raise SilentError(f"{where} does not answer ({error or type(error).__name__})") from error
        except ValueError:
            answer = None
        self._answered = time.monotonic()
        if not isinstance(answer, dict):
            raise AgentError(f"{where} answers, but not as a PrioMon agent does")
        if response.status >= 400:
            raise AgentError(f"{where}: {answer.get('error', response.reason)}")
        return answer

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        with self._turn:
            self._connection.close()
