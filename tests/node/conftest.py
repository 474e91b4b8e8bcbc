"""An agent as its readers see it, without sockets: a replica that tests fill, and a clock that they set; and a loop without waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterator, Sequence
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
