"""Agents as processes on the loopback of this machine, for one run: started together, and ended whatever happens.

Should this program be killed, they end by themselves, as they take part in one experiment only. Their key and token are in files for as
long as they start, and then in their memory alone.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
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
        self._sealed = sealed
        self.processes: list[Process] = []
        self.members: list[Member] = []

    def __enter__(self) -> Self:
        try:
            with TemporaryDirectory(prefix="priomon-") as folder:
                self._start(Path(folder))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _start(self, folder: Path) -> None:
        token, token_file = secrets.token_hex(16), folder / "token"
        token_file.touch(0o600)
        token_file.write_text(token)
        arguments = ["--bind", "127.0.0.1:0", "--http", "127.0.0.1:0", "--http-token-file", str(token_file)]
        arguments += ["--experiment", "once", "--log-format", "json"]
        if self._sealed:
            write_key(folder / "key", Key.generate())
            arguments += ["--key-file", str(folder / "key")]
        for number in range(self._size):
            try:
                self.processes.append(Process([*arguments, "--name", f"agent{number}"]))
            except OSError as error:
                raise FleetError(f"agent {number} of {self._size} cannot be started ({error.strerror}); set nodes to fewer") from error
        deadline = time.monotonic() + START
        for number, process in enumerate(self.processes):
            while process.http is None or process.gossip is None:
                if process.popen.poll() is not None:
                    raise FleetError(f"agent {number} ended with code {process.popen.returncode} before it was up: {_last(process.log)}")
                if time.monotonic() > deadline:
                    raise FleetError(f"agent {number} was not up after {START:g} s: {_last(process.log)}")
                time.sleep(0.02)
            self.members.append(Member(process.gossip, Remote(process.http, token)))

    def close(self) -> None:
        """End all processes: those that do not end by themselves are told to, and then made to."""
        for member in self.members:
            member.remote.close()
        for process in self.processes:
            process.popen.terminate()
        deadline = time.monotonic() + GRACE
        for process in self.processes:
            process.end(max(0.0, deadline - time.monotonic()))


def _last(log: Sequence[str]) -> str:
    return log[-1] if log else "it said nothing"
