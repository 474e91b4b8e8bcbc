"""An agent under observation: one life of a node in an experiment, which samples what it is given and tells what it does."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from priomon_core.config import SEAL_OVERHEAD, UDP_IPV4_HEADERS
from priomon_core.events import Event
from priomon_core.identity import Address, Identity
from priomon_core.links import Links
from priomon_node.agent import Agent, Report
from priomon_node.experiment.assignment import Assignment
from priomon_node.experiment.noticed import to_json
from priomon_node.experiment.script import Life
from priomon_node.peers import Peers

if TYPE_CHECKING:
    from priomon_node.seal import Seal

Diary = list[list[Any]]


class Subject(Agent):
    """The agent of one life, which begins at `began` (ns of the run). It writes into `diary`, see part.py.

    `measure` samples the machine, for an assignment without samples; `run_time` is the run's time, which the node's own clock shows
    until it is skewed. `links` count what they lose.
    """

    def __init__(
        self,
        assignment: Assignment,
        life: Life,
        began: int,
        links: Links,
        diary: Diary,
        measure: Callable[[], Sequence[float]],
        seal: Seal | None,
        report: Report,
        run_time: Callable[[], int],
    ) -> None:
        self._assignment = assignment
        self._diary = diary
        self._measure = measure
        self._written = 0  # the last version that the diary tells of
        self._taken = began // assignment.sample_every
        self._truth: Sequence[float] = [math.nan] * len(assignment.metrics)
        self._links = links
        self._lost_before = dict(links.lost)
        self._run_time = run_time
        self._seal_overhead = 0 if seal is None else SEAL_OVERHEAD
        self._claims: Iterator[int] = iter(())  # what the messages that are about to be sent claim to weigh
        self._sendings: Counter[tuple[int, int]] = Counter()  # messages sent: by claimed and true size
        self._since, self._own_since, self._rate = began, began, 1.0  # the clock: from when on, what it showed then, how fast it runs
        super().__init__(
            Identity(assignment.name, life.generation, assignment.address),
            assignment.metrics,
            assignment.gossip,
            assignment.detection,
            assignment.run,
            Peers([assignment.address], ()),
            self._next_sample,
            assignment.sample_every,
            seal,
            report,
            Random(life.gossip),
            Random(life.watch),
            self._own_time,
            started=began,
        )
        self.node.peers = list(assignment.peers)
        self._sample_at = self.node.deadline

    def _own_time(self) -> int:
        return self._own_since + int((self._run_time() - self._since) * self._rate)

    def _seconds_to(self, due: int) -> float:
        return super()._seconds_to(due) / self._rate

    def skew(self, rate: float) -> None:
        """Let the node's clock run `rate` times as fast from now on."""
        self._own_since, self._since, self._rate = self._own_time(), self._run_time(), rate
        if self._timer is not None:
            self._timer.cancel()
            self._plan()

    def _next_sample(self, now: int) -> Sequence[float]:
        rows = self._assignment.samples
        if rows is None:
            self._truth = self._measure()
            self._diary.append(["sampled", self._plain_truth()])
        else:
            self._truth = rows[self._taken % len(rows)]
        self._taken += 1
        return self._truth

    def _take_sample(self, now: int) -> None:
        super()._take_sample(now)
        self._tell_published()

    def _flush(self, now: int) -> None:
        self._tell_published()  # a node also publishes to show that it lives
        self._claims = iter([message.size for _, message in self.node.outbox])
        super()._flush(now)

    def _send(self, data: bytes, peer: Address) -> bool:
        claim = next(self._claims)
        sent = super()._send(data, peer)
        if sent:
            self._sendings[claim, len(data) - self._seal_overhead] += 1
        return sent

    def _tell_published(self) -> None:
        replica, before = self.replica, self._written
        version = replica.versions[replica.own]
        if version > before:
            self._diary.append(["published", version, self._run_time(), replica.values.changes(replica.own, before, version)])
            self._written = version

    def _meet(self, before: tuple[int, int]) -> None:
        """Report who came or went; whom to gossip with is the assignment's."""
        if self.replica.roster != before:
            self._report("members changed", known=self.replica.roster[0])

    def _notice(self, event: Event) -> None:
        super()._notice(event)
        self._diary.append(["noticed", self._run_time(), to_json(event)])

    def held(self) -> list[int]:
        """Key and version of every origin of which it holds something, one after another."""
        replica = self.replica
        return [number for key, version in zip(replica.values.keys, replica.versions, strict=True) if version for number in (key, version)]

    def deeds(self) -> dict[str, Any]:
        """What it has done and measured so far, and what it holds."""
        publisher, counters = self.publisher, self.counters
        headers = UDP_IPV4_HEADERS
        return {
            "held": self.held(),
            **self._opinions(),
            "truth": self._plain_truth(),
            "bytes_sent": counters["bytes_sent"] + headers * counters["datagrams_sent"],
            "datagrams_sent": counters["datagrams_sent"],
            "bytes_received": counters["bytes_received"] + headers * counters["datagrams_received"],
            "sendings": [[*sizes, count] for sizes, count in self._sendings.items()],
            "delivered": self.replica.delivered,
            "published": list(publisher.published),
            "filtered": list(publisher.filtered),
            "lost": {cause: count - self._lost_before[cause] for cause, count in self._links.lost.items()},
            "dropped": {cause: count for cause, count in counters.items() if cause.startswith("dropped_")},
        }

    def _opinions(self) -> dict[str, Any]:
        """How many it holds alive, for what it holds whom (key and state, one after another), and how much it keeps for that."""
        if self.watch is None:
            return {"believed": None, "beliefs": [], "kept": None}
        of = self.watch.membership
        return {
            "believed": of.live,
            "beliefs": [number for key, belief in of.beliefs.items() for number in (key, belief.state)],
            "kept": [of.rumours.count, len(of.departed), len(of.refused)],
        }

    def _plain_truth(self) -> list[float | None]:
        return [value if math.isfinite(value) else None for value in self._truth]
