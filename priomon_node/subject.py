"""An agent under observation: it samples what it is given, sends through modelled links, and keeps a diary for the orchestrator.

Looks happen inside the agent at the same instants in all of them, so what is measured does not depend on when somebody asks. A diary
is a list of entries, each a list that begins with its kind:

    ["published", version, ns, [[metric, level], ...]]      what this node published
    ["held", number, [key, version, ...]]                   what it holds of every origin, at each `follow_every`
    ["probe", number, {...}]                                what it has done and measured so far, at each `probe_every`
    ["sampled", [value, ...]]                               what it measured of its machine, where it was given no samples
    ["ending", 0, {...}]                                    as a probe, when the run's duration is over and it rests

Times are nanoseconds since the run's start; `number` counts intervals. A look that is late by an interval or more, because the agent
was stalled, is left out: it would tell of another time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from priomon_core.config import SECOND, UDP_IPV4_HEADERS
from priomon_core.identity import Address
from priomon_node.agent import Agent, Report
from priomon_node.assignment import Assignment
from priomon_node.peers import Peers

if TYPE_CHECKING:
    from priomon_node.seal import Seal

Sample = Callable[[int], Sequence[float]]


class Subject(Agent):
    """The agent of one assignment. `measure` samples the machine, for an assignment without samples; both clocks are in ns."""

    def __init__(
        self,
        assignment: Assignment,
        measure: Sample,
        seal: Seal | None,
        report: Report,
        monotonic: Callable[[], int] = time.monotonic_ns,
        unix: Callable[[], int] = time.time_ns,
    ) -> None:
        start = monotonic() + assignment.start - unix()
        self.assignment = assignment
        self.diary: list[list[Any]] = []
        self._measure = measure
        self._machine_time = monotonic
        self._taken = 0
        self._truth: Sequence[float] = [math.nan] * len(assignment.metrics)
        self._links = assignment.links.links()
        self._looked = 0  # the instant of the last look
        self._watch: asyncio.TimerHandle | None = None
        super().__init__(
            assignment.identity,
            assignment.metrics,
            assignment.gossip,
            assignment.run,
            Peers([assignment.identity.address], ()),
            self._next_sample,
            assignment.sample_every,
            seal,
            report,
            Random(assignment.stream),
            lambda: monotonic() - start,
            started=0,
        )
        self.node.peers = list(assignment.peers)
        self._sample_at = self.node.deadline

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the run's start, then sample, gossip and look."""
        super().connection_made(transport)
        self._plan_look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Rest; the diary stays."""
        super().connection_lost(exc)
        if self._watch is not None:
            self._watch.cancel()

    def _next_sample(self, now: int) -> Sequence[float]:
        rows = self.assignment.samples
        if rows is None:
            self._truth = self._measure(self._machine_time())
            self.diary.append(["sampled", self._plain_truth()])
        else:
            self._truth = rows[self._taken % len(rows)]
        self._taken += 1
        return self._truth

    def _take_sample(self, now: int) -> None:
        replica = self.replica
        before = replica.versions[replica.own]
        super()._take_sample(now)
        version = replica.versions[replica.own]
        if version > before:
            self.diary.append(["published", version, now, replica.values.changes(replica.own, before, version)])

    def _send(self, data: bytes, peer: Address) -> bool:
        """Give a datagram to the link that leads to `peer`, which delays, doubles or loses it."""
        plan, now = self.assignment.links, self.now_ns()
        target = plan.indexes.get(peer)
        if target is None:
            return False  # an address that is no node of this run
        loop = asyncio.get_running_loop()
        for arrival in self._links.arrivals(plan.own, target, len(data) + UDP_IPV4_HEADERS, now):
            loop.call_later((arrival - now) / SECOND, partial(super()._send, data, peer))
        return True

    def _meet(self) -> None:
        """Report who came or went; whom to gossip with is the assignment's."""
        self._report("members changed", known=sum(1 for version in self.replica.versions if version))

    def _plan_look(self) -> None:
        """Wait for the next instant at which to look, or for the end."""
        now, plan = self.now_ns(), self.assignment
        instants = (self._looked // every * every + every for every in (plan.follow_every, plan.probe_every))
        due = min(*instants, plan.duration + 1)
        self._watch = asyncio.get_running_loop().call_later(max(0, due - now) / SECOND, self._look, due)

    def _look(self, due: int) -> None:
        plan = self.assignment
        if due > plan.duration:
            self.connection_lost(None)
            self.diary.append(["ending", 0, self._deeds()])
            return
        if self.now_ns() - due < min(plan.follow_every, plan.probe_every):
            if due % plan.follow_every == 0:
                self.diary.append(["held", due // plan.follow_every, self._held()])
            if due % plan.probe_every == 0:
                self.diary.append(["probe", due // plan.probe_every, self._deeds()])
        self._looked = due
        self._plan_look()

    def _held(self) -> list[int]:
        replica = self.replica
        return [number for key, version in zip(replica.values.keys, replica.versions, strict=True) if version for number in (key, version)]

    def _deeds(self) -> dict[str, Any]:
        publisher, counters = self.publisher, self.counters
        headers = UDP_IPV4_HEADERS
        return {
            "held": self._held(),
            "truth": self._plain_truth(),
            "bytes_sent": counters["bytes_sent"] + headers * counters["datagrams_sent"],
            "datagrams_sent": counters["datagrams_sent"],
            "bytes_received": counters["bytes_received"] + headers * counters["datagrams_received"],
            "delivered": self.replica.delivered,
            "published": list(publisher.published),
            "filtered": list(publisher.filtered),
            "lost": dict(self._links.lost),
            "dropped": {cause: count for cause, count in counters.items() if cause.startswith("dropped_")},
        }

    def _plain_truth(self) -> list[float | None]:
        return [value if math.isfinite(value) else None for value in self._truth]
