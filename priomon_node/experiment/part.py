"""What an agent does in an experiment: the lives of one node, with links and a diary that outlast each of them.

Looks happen inside the agent at the same instants in all of them, so what is measured does not depend on when somebody asks. A diary
is a list of entries, each a list that begins with its kind:

    ["born", generation, ns]                                a life begins; what follows is of this one
    ["published", version, ns, [[metric, level], ...]]      what the node published
    ["noticed", ns, {...}]                                  what it noticed about others, an event of the core
    ["held", number, [key, version, ...]]                   what it holds of every origin, at each `follow_every`; null while it is down
    ["probe", number, {...}]                                what it has done and measured so far, at each `probe_every`; null likewise
    ["sampled", [value, ...]]                               what it measured of its machine, where it was given no samples
    ["over", ns, {...}]                                     as a probe, when a life ends before the run does
    ["ending", 0, {...}]                                    as a probe, or null, when the run's duration is over and it rests

Times are nanoseconds since the run's start; `number` counts intervals. A look that is late by an interval or more, because the agent
was stalled, is left out: it would tell of another time.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from priomon_core.config import SECOND
from priomon_node.agent import Agent, Report
from priomon_node.experiment.assignment import Assignment
from priomon_node.experiment.link_transport import LinkTransport
from priomon_node.experiment.script import Alter, Cut, Freeze, Life, Mend, Mishap, Restore, Skew
from priomon_node.experiment.subject import Diary, Subject

if TYPE_CHECKING:
    from priomon_node.seal import Seal

Sample = Callable[[int], Sequence[float]]


class Stage(Protocol):
    """The socket, and who speaks through it."""

    @property
    def transport(self) -> asyncio.DatagramTransport: ...
    def put(self, agent: Agent, through: asyncio.DatagramTransport) -> None: ...
    def rest(self) -> None: ...


class Part:
    """One assignment, carried out on `stage` from now on. `measure` samples the machine; `monotonic` and `unix` are clocks in ns.

    `sleep` (seconds) stands still with all that the agent does.
    """

    def __init__(
        self,
        assignment: Assignment,
        stage: Stage,
        measure: Sample,
        seal: Seal | None,
        report: Report,
        monotonic: Callable[[], int] = time.monotonic_ns,
        unix: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.assignment = assignment
        self.diary: Diary = []
        self.subject: Subject | None = None
        """The present or last life."""
        self._living = False
        self._rate = 1.0  # of the node's clock
        self._stage = stage
        self._measure = measure
        self._seal = seal
        self._report = report
        self._machine_time = monotonic
        self._sleep = sleep
        self._start = monotonic() + assignment.start - unix()
        self._arrived = self.now()
        self._links = assignment.links.links()
        self._transport = LinkTransport(stage.transport, assignment.links, self._links, self.now)
        self._looked = max(0, self._arrived)  # the instant of the last look
        self._looking: asyncio.TimerHandle | None = None
        self._acting: asyncio.TimerHandle | None = None
        acts: list[tuple[int, Callable[[], None]]] = [(when, partial(self._suffer, mishap)) for when, mishap in assignment.mishaps]
        for life in assignment.lives:
            acts.append((life.begins, partial(self._begin, life)))
            if life.ends is not None:
                acts.append((life.ends, partial(self._end, life.announced)))
        self._acts = deque(sorted(acts, key=lambda act: act[0]))
        stage.rest()
        self._proceed()
        self._plan_look()

    def now(self) -> int:
        """The run's time (ns), below 0 before its start."""
        return self._machine_time() - self._start

    def close(self) -> None:
        """End it all at once; the diary stays."""
        for timer in (self._looking, self._acting):
            if timer is not None:
                timer.cancel()
        self._transport.close()
        self._stage.rest()

    def _proceed(self) -> None:
        """Do what is due, and wait for what comes next."""
        while self._acts and self._acts[0][0] <= self.now():
            _, act = self._acts.popleft()
            act()
        if self._acts:
            wait = self._acts[0][0] - self.now()
            self._acting = asyncio.get_running_loop().call_later(max(0, wait) / SECOND, self._proceed)

    def _begin(self, life: Life) -> None:
        began = max(life.begins, self._arrived)  # an assignment that comes late has missed the rounds before
        self.diary.append(["born", life.generation, began])
        self._living = True
        self.subject = Subject(
            self.assignment,
            life,
            began,
            self._links,
            self.diary,
            lambda: self._measure(self._machine_time()),
            self._seal,
            self._report,
            self.now,
        )
        self._stage.put(self.subject, self._transport)
        if self._rate != 1.0:
            self.subject.skew(self._rate)

    def _end(self, announced: bool) -> None:
        if self.subject is None:
            return
        if announced:
            self.subject.leave()
        else:
            self._stage.rest()
        self._living = False
        self.diary.append(["over", self.now(), self.subject.deeds()])

    def _suffer(self, mishap: Mishap) -> None:
        match mishap:
            case Freeze(until):
                self._sleep(max(0, min(until, self.assignment.duration) - self.now()) / SECOND)
            case Skew(rate):
                self._rate = rate
                if self._living and self.subject is not None:
                    self.subject.skew(rate)
            case Cut(number, nodes):
                self._links.cut(number, {self.assignment.links.own}, nodes)
            case Mend(number):
                self._links.mend(number)
            case Alter(number, nodes, model):
                self._links.alter(number, nodes, model)
            case Restore(number):
                self._links.restore(number)

    def _plan_look(self) -> None:
        """Wait for the next instant at which to look, or for the end."""
        now, plan = self.now(), self.assignment
        instants = (self._looked // every * every + every for every in (plan.follow_every, plan.probe_every))
        due = min(*instants, plan.duration + 1)
        self._looking = asyncio.get_running_loop().call_later(max(0, due - now) / SECOND, self._look, due)

    def _look(self, due: int) -> None:
        plan = self.assignment
        subject = self.subject if self._living else None
        if due > plan.duration:
            self.close()
            self.diary.append(["ending", 0, None if subject is None else subject.deeds()])
            return
        if self.now() - due < min(plan.follow_every, plan.probe_every):
            if due % plan.follow_every == 0:
                self.diary.append(["held", due // plan.follow_every, None if subject is None else subject.held()])
            if due % plan.probe_every == 0:
                self.diary.append(["probe", due // plan.probe_every, None if subject is None else subject.deeds()])
        self._looked = due
        self._plan_look()
