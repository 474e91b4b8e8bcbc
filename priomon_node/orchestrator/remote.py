"""An agent's HTTP interface, as an orchestrator uses it: one connection that is kept, opened again when it broke."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from typing import Any

from priomon_core.errors import PriomonError
from priomon_core.identity import Address
from priomon_node.view import endpoint

Json = dict[str, Any]

PATIENCE = 5.0  # seconds for an answer


class AgentError(PriomonError):
    """An agent does not answer, or refuses; the message says which."""


class SilentError(AgentError):
    """An agent does not answer: it is stopped, gone, or not there yet."""


class Remote:
    """The agent that answers at `address`. For one thread at a time."""

    def __init__(self, address: Address, token: str, patience: float = PATIENCE) -> None:
        self.address = address
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection = HTTPConnection(address.host, address.port, timeout=patience)

    def ask(self, method: str, path: str, document: Json | None = None) -> Json:
        """The JSON object that the agent answers. Raises `SilentError`, or `AgentError` with the agent's own words."""
        body = None if document is None else json.dumps(document)
        where = f"the agent at {endpoint(self.address)}"
        try:
            self._connection.request(method, path, body, self._headers)
            response = self._connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, HTTPException) as error:
            self.close()  # whatever is half said must not be taken for the next answer
            raise SilentError(f"{where} does not answer ({error or type(error).__name__})") from error
        except ValueError as error:
            raise AgentError(f"{where} answers, but not as a PrioMon agent does") from error
        if response.status >= 400:
            raise AgentError(f"{where}: {answer.get('error', response.reason)}")
        return dict(answer)

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        self._connection.close()
