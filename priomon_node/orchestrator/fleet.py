"""Agents as processes on the loopback of this machine, for one run: started together, and ended whatever happens.

Should this program be killed, they end by themselves, as they take part in one experiment only. Their key and token are in files for as
long as they start, and then in their memory alone.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from types import TracebackType
from typing import Any, Self

from priomon_core.errors import PriomonError
from priomon_core.identity import Address
from priomon_node.keys import Key, write_key
from priomon_node.orchestrator.live import Member
from priomon_node.orchestrator.remote import Remote
from priomon_node.settings import PREFIX, parse_address
from priomon_node.view import endpoint

START = 60.0  # seconds that agents have to come up; thirty on two busy cores take ten
GRACE = 5.0  # seconds that agents have to end by themselves
LAST_WORDS = 20  # lines of a log that are kept


class FleetError(PriomonError):
    """An agent did not come up."""


class Process:
    """One agent process. Its log is read as it comes, so that it never blocks on a full pipe. Raises `OSError` if it cannot start."""

    def __init__(self, arguments: Sequence[str]) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "priomon_node", "run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the program that started it, which ends it in order
        )
        self.log: list[str] = []
        self.gossip: Address | None = None
        self.http: Address | None = None
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        with self.popen.stderr as lines:
            for line in lines:
                self.log = [*self.log[1 - LAST_WORDS :], line.decode(errors="replace").rstrip()]
                with suppress(ValueError, TypeError, KeyError):  # a traceback is not JSON, and other lines name no address
                    entry: Any = json.loads(line)
                    if entry["message"] == "started":
                        self.gossip = parse_address(entry["address"])
                    elif entry["message"] == "serving HTTP":
                        self.http = parse_address(entry["address"])

    def end(self, patience: float) -> None:
        """Wait `patience` seconds for its end, then make it end."""
        try:
            self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self._reader.join()


class Fleet:
    """`size` agents. A context manager; entering it waits until all answer and raises `FleetError` if one does not."""

    def __init__(self, size: int, sealed: bool) -> None:
        self._size = size
        self._token = secrets.token_hex(16)
        self._key = Key.generate() if sealed else None
        self.processes: list[Process] = []
        self.members: list[Member] = []

    def __enter__(self) -> Self:
        try:
            with self._credentials() as arguments:
                self._start(arguments)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _credentials(self) -> Iterator[list[str]]:
        """The arguments that all agents share; the files that they name last as long as the context."""
        with TemporaryDirectory(prefix="priomon-") as folder:
            token = Path(folder) / "token"
            token.touch(0o600)
            token.write_text(self._token)
            arguments = ["--http-token-file", str(token), "--experiment", "once", "--log-format", "json"]
            if self._key is not None:
                write_key(Path(folder) / "key", self._key)
                arguments += ["--key-file", str(Path(folder) / "key")]
            yield arguments

    def _start(self, arguments: Sequence[str]) -> None:
        anywhere = Address("127.0.0.1", 0)
        for number in range(self._size):
            self.processes.append(self._process(number, arguments, anywhere, anywhere))
        deadline = time.monotonic() + START
        for number in range(self._size):
            gossip, http = self._addresses(number, deadline)
            self.members.append(Member(gossip, Remote(http, self._token), Seat(self, number)))

    def restart(self, number: int) -> None:
        """Put a new process in the place of one, at its addresses. Raises `FleetError` if it does not come up."""
        before, member = self.processes[number], self.members[number]
        before.popen.kill()
        before.end(GRACE)
        with self._credentials() as arguments:
            self.processes[number] = self._process(number, arguments, member.gossip, member.remote.address)
            self._addresses(number, time.monotonic() + START)

    def _process(self, number: int, arguments: Sequence[str], gossip: Address, http: Address) -> Process:
        try:
            return Process([*arguments, "--bind", endpoint(gossip), "--http", endpoint(http), "--name", f"agent{number}"])
        except OSError as error:
            raise FleetError(f"agent {number} of {self._size} cannot be started ({error.strerror}); set nodes to fewer") from error

    def _addresses(self, number: int, deadline: float) -> tuple[Address, Address]:
        """Wait until an agent is up; where it gossips and serves HTTP."""
        process = self.processes[number]
        while process.http is None or process.gossip is None:
            if process.popen.poll() is not None:
                process.end(GRACE)  # its last words may still be in the pipe
                raise FleetError(f"agent {number} ended with code {process.popen.returncode} before it was up: {_last(process.log)}")
            if time.monotonic() > deadline:
                raise FleetError(f"agent {number} was not up after {START:g} s: {_last(process.log)}")
            time.sleep(0.02)
        return process.gossip, process.http

    def close(self) -> None:
        """End all processes: those that do not end by themselves are told to, and then made to."""
        for member in self.members:
            member.remote.close()
        for process in self.processes:
            process.popen.terminate()
        deadline = time.monotonic() + GRACE
        for process in self.processes:
            process.end(max(0.0, deadline - time.monotonic()))


class Seat:
    """Hands (see live.py) on whichever process is agent `number` of a fleet."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        self._fleet = fleet
        self._number = number

    @property
    def _process(self) -> Process:
        return self._fleet.processes[self._number]

    def kill(self) -> None:
        """See `Hands.kill`."""
        self._process.popen.kill()
        self._process.popen.wait()

    def suspend(self) -> None:
        """See `Hands.suspend`."""
        self._process.popen.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """See `Hands.resume`."""
        self._process.popen.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """See `Hands.restart`."""
        self._fleet.restart(self._number)


def _last(log: Sequence[str]) -> str:
    return log[-1] if log else "it said nothing"
