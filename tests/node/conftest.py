"""An agent as its readers see it, without sockets: a replica that tests fill, and a clock that they set; a loop without waiting.

And, with all of reality, the verb `orchestrate`.
"""

from __future__ import annotations

import asyncio
import os
import re
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from priomon_core.holdings import AgentReplica
from priomon_core.identity import Address, Identity
from priomon_core.metrics import BUILT_IN, Metric
from priomon_core.priority import Change, Publisher
from priomon_core.watch import Watch
from priomon_core.wire import Introduction


class StillAgent:
    """What `priomon_node.view.Observed` asks for; `now` is its clock."""

    cluster = "test"
    started_ns = 0

    def __init__(self, metrics: Sequence[Metric] = BUILT_IN) -> None:
        self.identity = Identity("me", 5, Address("10.0.0.1", 7946))
        self.metrics = tuple(metrics)
        self.replica = AgentReplica(self.identity, metrics)
        self.publisher = Publisher(metrics)
        self.watch: Watch | None = None
        self.counters = {"datagrams_sent": 3, "dropped_forged": 1, "dropped_unknown_key": 2}
        self.peers = [Address("10.0.0.2", 7946), Address("10.0.0.3", 7946)]
        self.now = 0

    def now_ns(self) -> int:
        return self.now

    def hear(self, identity: Identity, version: int, changes: Sequence[Change], age: int = 0) -> None:
        """Take an introduction, as frames.py does, without a message around it."""
        slot = self.replica.introduce(identity)
        assert slot is not None
        self.replica.values.store(slot, Introduction(identity, version, age, tuple(changes)), self.now)
        self.replica.versions[slot] = version
        self.replica.survey()


@pytest.fixture
def still_agent() -> Callable[..., StillAgent]:
    """Makes an agent that knows nobody, of the metrics given or the built-in ones."""
    return StillAgent


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time stands still while there is something to do, and else jumps to the next timer."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = selectors.DefaultSelector()
        select = selector.select

        def jump(timeout: float | None = None) -> Any:
            assert timeout is not None, "everybody waits, and nothing will ever happen"
            self.now += timeout
            return select(0)

        selector.select = jump  # type: ignore[method-assign]
        super().__init__(selector)

    def time(self) -> float:
        return self.now

    def nanoseconds(self) -> int:
        """The time as an agent's clock."""
        return round(self.now * 1e9)


@pytest.fixture
def virtual_loop() -> Iterator[VirtualLoop]:
    """A loop in which a minute passes at once."""
    loop = VirtualLoop()
    yield loop
    loop.close()


class Pages(subprocess.Popen[str]):
    """The verb as a process that serves its pages at `port` of this machine."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "priomon_node", "orchestrate", "--http", "127.0.0.1:0", *arguments]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        super().__init__(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)
        self.port = int(self.until(r"^pages at http://127\.0\.0\.1:(\d+)$")[1])

    def until(self, pattern: str) -> re.Match[str]:
        """Read what the process says up to a line."""
        assert self.stderr is not None
        said = []
        for line in self.stderr:
            said.append(line)
            if found := re.search(pattern, line):
                return found
            if line.startswith("a fault of"):
                break
        raise AssertionError(f"it never said {pattern}, but: {''.join(said)}")


@contextmanager
def orchestrate(folder: Path, *arguments: str) -> Iterator[Pages]:
    with Pages(folder, *arguments) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="session")
def orchestrating() -> Callable[..., AbstractContextManager[Pages]]:
    """Runs the verb in a folder, with arguments, as a context."""
    return orchestrate
