"""The switch by which an orchestrator turns an agent into the subject of an experiment, and back. It is off unless a setting says so.

An experiment has one orchestrator. If that is silent for longer than the assignment's patience the experiment ends by itself: a node
must not stay cut off or lossy because somebody else's program died.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from priomon_core.config import SECOND
from priomon_core.errors import PriomonError, SettingError
from priomon_node.agent import Agent
from priomon_node.experiment.assignment import Assignment, read_assignment
from priomon_node.experiment.part import Part, Sample
from priomon_node.logs import Log

if TYPE_CHECKING:
    from priomon_node.seal import Seal


class ConflictError(PriomonError):
    """Not now: another experiment is on, or none is."""


class Stage:
    """A socket, and the agent that speaks through it at the moment."""

    def __init__(self, transport: asyncio.DatagramTransport, agent: Agent) -> None:
        self.agent = agent
        self.transport = transport

    def put(self, agent: Agent, through: asyncio.DatagramTransport) -> None:
        """Let another agent take the place of the present one, which rests; it sends `through` a transport that leads to this one."""
        self.rest()
        self.agent = agent
        self.transport.set_protocol(agent)
        agent.connection_made(through)

    def rest(self) -> None:
        """Let the present agent neither speak nor hear."""
        self.agent.connection_lost(None)


class Experiment:
    """The agent's side of experiments. `measure` samples the machine, in the order of the agent's metrics; `begun` and `over` are called
    with every experiment.
    """

    def __init__(
        self,
        stage: Stage,
        measure: Sample,
        seal: Seal | None,
        log: Log,
        begun: Callable[[], None] = lambda: None,
        over: Callable[[], None] = lambda: None,
    ) -> None:
        self._stage = stage
        self._usual = stage.agent
        self._measure = measure
        self._seal = seal
        self._log = log
        self._begun = begun
        self._over = over
        self._part: Part | None = None
        self._taken = 0  # diary entries that the orchestrator has taken
        self._silence: asyncio.TimerHandle | None = None

    def begin(self, document: object) -> dict[str, Any]:
        """Take an assignment. Raises `SettingError` if it cannot be done, `ConflictError` during another experiment."""
        if self._part is not None:
            raise ConflictError(f"the experiment {self._part.assignment.run!r} is going on here; end it with DELETE, or wait")
        assignment = read_assignment(document)
        if assignment.sealed != (self._seal is not None):
            have, wanted, remedy = ("a key", "plain", "true") if self._seal else ("no key", "sealed", "false")
            raise SettingError(f"this agent has {have}, and the assignment wants {wanted} datagrams; set gossip.sealed: {remedy}")
        self._part = Part(assignment, self._stage, self._measuring(assignment), self._seal, self._log.report)
        self._taken = 0
        self._log.info("experiment begins", run=assignment.run, name=assignment.name)
        self._begun()
        self._listen()
        return {"run": assignment.run, "name": assignment.name}

    def read(self, since: int) -> dict[str, Any]:
        """The diary from entry number `since` on; those before are dropped, as the orchestrator has them.

        Raises `ConflictError` if there is no experiment, and `SettingError` if its diary has not come that far.
        """
        part = self._running()
        if since > (written := self._taken + len(part.diary)):
            raise SettingError(f"since: found {since}, but the diary of {part.assignment.run!r} has {written} entries")
        self._listen()
        del part.diary[: max(0, since - self._taken)]
        self._taken = max(self._taken, since)
        return {"run": part.assignment.run, "first": self._taken, "entries": list(part.diary)}

    def end(self) -> dict[str, Any]:
        """End the experiment; the agent is what it was before. Raises `ConflictError` if there is none."""
        part = self._running()
        self._part = None
        if self._silence is not None:
            self._silence.cancel()
        part.close()
        self._stage.put(self._usual, self._stage.transport)
        self._log.info("experiment ends", run=part.assignment.run)
        self._over()
        return {"run": part.assignment.run}

    def _measuring(self, assignment: Assignment) -> Sample:
        """Samples the machine in the order of the assignment's metrics."""
        names = [metric.name for metric in self._usual.metrics]
        missing = [metric.name for metric in assignment.metrics if metric.name not in names]
        if missing and assignment.samples is None:
            raise SettingError(f"the scenario names no workload, and this agent does not measure {', '.join(missing)}; it has {names}")
        columns = [names.index(metric.name) for metric in assignment.metrics if metric.name in names]

        def measure(now: int) -> list[float]:
            values = self._measure(now)
            return [values[column] for column in columns]

        return measure

    def _running(self) -> Part:
        if self._part is None:
            raise ConflictError("no experiment is going on here; begin one with PUT")
        return self._part

    def _listen(self) -> None:
        """Start to wait for the orchestrator's next request."""
        if self._silence is not None:
            self._silence.cancel()
        self._silence = asyncio.get_running_loop().call_later(self._running().assignment.patience / SECOND, self._give_up)

    def _give_up(self) -> None:
        self._log.warning("the orchestrator is silent", seconds=self._running().assignment.patience / SECOND)
        self.end()
