"""A scenario run by real agents: each is given its part, all start at one time, and their diaries are collected while they run."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from threading import Event
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from priomon_core.config import DATAGRAM_STRATEGIES, SECOND
from priomon_core.errors import PriomonError, SettingError
from priomon_core.identity import Address
from priomon_node.experiment.assignment import Assignment, LinkPlan
from priomon_node.orchestrator.diaries import Diaries
from priomon_node.orchestrator.history import History
from priomon_node.orchestrator.remote import AgentError, Remote
from priomon_node.orchestrator.roles import Verb, cast
from priomon_results.observer import Look, Observer, Traffic
from priomon_results.store import RunWriter
from priomon_results.summary import Ending
from priomon_sim import topology
from priomon_sim.chronicle import Chronicle, longest_suspicion
from priomon_sim.examiner import cluster_of
from priomon_sim.lives import Lives
from priomon_sim.scenario.document import Scenario
from priomon_sim.world import Blueprint

POLL = 1.0  # seconds between two times that an agent's diary is read
SILENCE = 3.0  # seconds without an answer after which an agent is not waited for
PATIENCE = 30.0  # seconds of our own silence after which agents leave the experiment, should this program die
LEAD = 1.0  # seconds between the hand-out of assignments and the start, and per node:
LEAD_PER_NODE = 0.02
ENDING = 10.0  # seconds that agents have to tell of their end
LAST_WORDS = 1.0  # seconds that an agent has to give up its diary before its process is killed or suspended


class LiveError(PriomonError):
    """A scenario cannot be run by these agents, or they are gone."""


class Hands(Protocol):
    """What can be done to an agent's process."""

    def kill(self) -> None:
        """End it at once; it is gone afterwards."""
        ...

    def suspend(self) -> None:
        """Let it stand still."""
        ...

    def resume(self) -> None:
        """Let it go on."""
        ...

    def restart(self) -> None:
        """Put a new process in its place, at the same addresses. Raises `PriomonError` if that does not come up."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """An agent that takes part: where it gossips, its HTTP interface, and `hands` on its process if it is one of ours."""

    gossip: Address
    remote: Remote
    hands: Hands | None = None


def check(scenario: Scenario) -> None:
    """Raises `SettingError` for a scenario that only a simulator can run."""
    if scenario.gossip.strategy not in DATAGRAM_STRATEGIES:
        names = " or ".join([", ".join(DATAGRAM_STRATEGIES[:-1]), DATAGRAM_STRATEGIES[-1]])
        raise SettingError(f"gossip.strategy: found {scenario.gossip.strategy}, which agents do not speak; expected {names}")
    if scenario.start != "cold":
        raise SettingError(f"start: found {scenario.start}, but real agents begin knowing nothing; expected cold")


@dataclass(frozen=True, slots=True)
class Glance:
    """What was seen of a run last, at `now` (ns): `coverage` of the live nodes, and by node what follows.

    `bytes_sent` counts from the run's start; `known` is how many nodes it holds a value of, itself among them; `unheard` are the
    seconds since it answered.
    """

    now: int
    coverage: float
    live: Sequence[bool]
    known: Sequence[int]
    bytes_sent: Sequence[int]
    unheard: Sequence[float]


@dataclass(frozen=True, slots=True)
class Picture:
    """The nodes of a run, the agent that each is, where it is drawn (-1 to 1 both ways), and which pairs are neighbours."""

    names: Sequence[str]
    agents: Sequence[Address]
    places: Sequence[tuple[float, float]]
    edges: Sequence[tuple[int, int]]


class _Onlooker(Observer):
    """An observer that remembers its last probe."""

    last: tuple[Look, Traffic] | None = None

    def probe(self, look: Look, truth: NDArray[np.float64], traffic: Traffic) -> None:
        super().probe(look, truth, traffic)
        self.last = look, traffic


class LiveRun:
    """One run of `scenario` by `members`, node i of the scenario being members[i]. `progress` is told the run's time (ns) now and then."""

    def __init__(
        self,
        scenario: Scenario,
        blueprint: Blueprint,
        members: Sequence[Member],
        writer: RunWriter,
        progress: Callable[[int], None],
    ) -> None:
        if len(members) != scenario.nodes:
            raise LiveError(f"{scenario.name} needs {scenario.nodes} agents, found {len(members)}; set nodes, or start as many")
        self._scenario = scenario
        self._blueprint = blueprint
        self._members = members
        self._progress = progress
        self._lives = lives = Lives.of(blueprint.timeline.generations)
        measure, detection = scenario.measure, scenario.detection.settings()
        lately = longest_suspicion(detection, scenario.nodes, blueprint.gossip.period)
        self._chronicle = Chronicle(blueprint.timeline.actions, lives, lately)
        self.observer = _Onlooker(writer, blueprint.metrics, scenario.nodes, measure.spread_origins, self._chronicle.verdicts)
        history = History(cluster_of(blueprint, lives, detection), blueprint.timeline.actions, measure.every)
        self.diaries = Diaries(
            lives, blueprint.metrics, measure.spread_every, measure.every, blueprint.sample_every, self._chronicle, history
        )
        self._roles = cast(blueprint.timeline, lives, scenario.seed, scenario.duration)
        blows = [(when, node, verb) for node, role in enumerate(self._roles) if members[node].hands for when, verb in role.blows()]
        self._blows: deque[tuple[int, int, Verb]] = deque(sorted(blows, key=lambda blow: blow[0]))
        self._life = [0] * scenario.nodes  # which life each process is there for
        self._mute: set[int] = set()  # nodes whose process was killed and is not back yet, or is suspended
        self._restarting: dict[Future[None], int] = {}
        self._start = 0  # Unix time in ns
        self._read = [0] * scenario.nodes  # diary entries read of each agent
        self._heard = [0.0] * scenario.nodes  # when each answered last, by the monotonic clock

    @property
    def now(self) -> int:
        """The instant (ns) up to which the run was observed."""
        return self._scenario.duration if len(self.diaries.endings) == len(self._members) else self.diaries.shown

    def run(self, stop: Event) -> None:
        """Run to the end, or until `stop` is set or Ctrl-C. Raises `PriomonError`. In any case no agent is left in the experiment."""
        with ThreadPoolExecutor(2 * len(self._members)) as threads:  # a restart takes a second or two
            try:
                start = self._assign(threads)
                self._follow(threads, start, stop)
            finally:
                list(threads.map(self._end, self._members))

    def glance(self) -> Glance | None:
        """What the last probe saw, None before the first."""
        if self.observer.last is None:
            return None
        (look, traffic), now = self.observer.last, time.monotonic()
        coverage = self.observer.total.coverage
        known = np.count_nonzero(look.versions, axis=1).tolist()
        return Glance(look.now, coverage, look.live.tolist(), known, traffic.bytes_sent, [now - heard for heard in self._heard])

    def picture(self) -> Picture:
        """The run's nodes and edges, to be drawn."""
        graph = self._blueprint.graph
        agents = [member.remote.address for member in self._members]
        return Picture(self._lives.names, agents, topology.layout(graph, self._scenario.seed), list(graph.edges()))

    def ending(self) -> Ending:
        """What a summary of the run up to now needs beside its observer."""
        scenario = self._scenario
        return Ending(
            scenario=scenario.name,
            seed=scenario.seed,
            nodes=scenario.nodes,
            strategy=scenario.gossip.strategy,
            period=scenario.gossip.period,
            now=self.now,
            traffic=self.diaries.traffic(),
            lost=self.diaries.lost(),
            faults=len(self._chronicle.faults()),
            examination=self.diaries.examine().document(),
            detects=scenario.detection.detector != "none",
        )

    def write_ending(self) -> None:
        """Let the observer store what is known only at the end."""
        picture = self.picture()
        self.observer.write_ending(picture.names, picture.places, picture.edges, self.diaries.samples(), self._chronicle.faults())

    def _assign(self, threads: ThreadPoolExecutor) -> float:
        """Give all agents their parts; returns when they start, by the monotonic clock."""
        lead = LEAD + LEAD_PER_NODE * len(self._members)
        begun, self._start = time.monotonic(), time.time_ns() + round(lead * SECOND)
        documents = [self._assignment(node).to_json() for node in range(len(self._members))]
        questions = [threads.submit(m.remote.ask, "PUT", "/v1/experiment", d) for m, d in zip(self._members, documents, strict=True)]
        for question in questions:
            question.result()
        if time.monotonic() - begun > lead:
            raise LiveError(f"handing out the parts took more than {lead:.1f} s, so agents began late; is the machine overloaded?")
        self._heard = [time.monotonic()] * len(self._members)
        return begun + lead

    def _assignment(self, node: int) -> Assignment:
        """What a node's agent is given: all its lives, or the next one if each has a process of its own."""
        scenario, plan, role, members = self._scenario, self._blueprint, self._roles[node], self._members
        lives, mishaps = role.alone() if members[node].hands is None else role.of_process(self._life[node])
        series = None if plan.series is None else tuple(map(tuple, plan.series[node].tolist()))
        indexes = {other.gossip: index for index, other in enumerate(members)}
        hops = plan.hops
        longest = max((end - begin for begin, end in role.standstills), default=0)
        return Assignment(
            run=f"{scenario.name[:32]} {scenario.seed} {self._start}",
            start=self._start,
            duration=scenario.duration,
            patience=round(PATIENCE * SECOND) + longest,
            name=self._lives.names[node],
            address=members[node].gossip,
            lives=lives,
            mishaps=mishaps,
            metrics=plan.metrics,
            gossip=plan.gossip,
            detection=scenario.detection.settings(),
            sealed=scenario.gossip.sealed,
            peers=tuple(members[peer].gossip for peer in plan.peers[node]),
            sample_every=plan.sample_every,
            samples=series,
            follow_every=scenario.measure.spread_every,
            probe_every=scenario.measure.every,
            links=LinkPlan(
                scenario.seed,
                node,
                indexes,
                plan.link,
                {target: model for (source, target), model in plan.links.items() if source == node},
                None if hops is None else {target: hops(node, target) for target in range(len(members)) if target != node},
            ),
        )

    def _follow(self, threads: ThreadPoolExecutor, start: float, stop: Event) -> None:
        """Read diaries once a second and show what is complete, until all have told of their end or are silent; strike when it is time."""
        asked: dict[Future[dict[str, Any]], int] = {}
        last = start + self._scenario.duration / SECOND + ENDING
        while not stop.is_set() and not all(self._over(node, last) for node in range(len(self._members))):
            self._strike(threads, start)
            again = time.monotonic() + POLL
            if self._blows:
                again = min(again, start + self._blows[0][0] / SECOND)
            for node in set(range(len(self._members))) - set(asked.values()) - self._mute:
                if node not in self.diaries.endings:
                    asked[self._ask(threads, node)] = node
            answered, _ = wait(asked, max(0.0, again - time.monotonic()))
            for answer in answered:
                self._take(asked.pop(answer), answer)
            self._welcome()
            silent = self._silent()
            if len(silent) == len(self._members) and not self.diaries.endings and not self._excused(start):
                raise LiveError(f"{self._scenario.name}: no agent has answered for {SILENCE:g} s; did somebody end them all?")
            self.diaries.show(self.observer, silent)
            self._progress(self.now)
            stop.wait(max(0.0, again - time.monotonic()))
        if not stop.is_set():
            self.diaries.show(self.observer, range(len(self._members)))  # nobody is waited for any more

    def _take(self, node: int, answer: Future[dict[str, Any]]) -> None:
        with suppress(AgentError):  # silent, or restarted and no part of this run any more
            diary = answer.result()
            self._heard[node] = time.monotonic()
            self.diaries.take(node, diary["entries"][self._read[node] - diary["first"] :])
            self._read[node] = max(self._read[node], diary["first"] + len(diary["entries"]))

    def _ask(self, threads: ThreadPoolExecutor, node: int) -> Future[dict[str, Any]]:
        return threads.submit(self._members[node].remote.ask, "GET", f"/v1/experiment?since={self._read[node]}")

    def _strike(self, threads: ThreadPoolExecutor, start: float) -> None:
        """Do to processes what is due."""
        while self._blows and start + self._blows[0][0] / SECOND <= time.monotonic():
            _, node, verb = self._blows.popleft()
            hands = self._members[node].hands
            assert hands is not None
            end = time.monotonic() + LAST_WORDS
            while verb in ("kill", "restart") and self._has_more_to_tell(node) and time.monotonic() < end:
                self._hear(threads, node)
            match verb:
                case "kill":
                    hands.kill()
                    self._mute.add(node)
                case "suspend":
                    self._hear(threads, node)
                    hands.suspend()
                    self._mute.add(node)
                case "resume":
                    hands.resume()
                    self._mute.discard(node)
                    self._heard[node] = time.monotonic()
                case "restart":
                    self._mute.add(node)
                    self._life[node] += 1
                    self._restarting[threads.submit(self._restart, node, hands)] = node

    def _has_more_to_tell(self, node: int) -> bool:
        """Whether a node has not told of its life's end yet; what it does not tell is lost with its process."""
        return node not in self._mute and not self.diaries.is_over(node)

    def _hear(self, threads: ThreadPoolExecutor, node: int) -> None:
        """Read a node's diary now, if it answers soon."""
        answer = self._ask(threads, node)
        if wait([answer], LAST_WORDS).done:
            self._take(node, answer)

    def _restart(self, node: int, hands: Hands) -> None:
        remote = self._members[node].remote
        hands.restart()
        remote.close()  # a connection to the former process is of no use
        remote.ask("PUT", "/v1/experiment", self._assignment(node).to_json())

    def _welcome(self) -> None:
        """Take back the nodes whose new process is up. Raises `PriomonError` for one that did not come up."""
        for restart in [restart for restart in self._restarting if restart.done()]:
            restart.result()
            node = self._restarting.pop(restart)
            self._mute.discard(node)
            self._read[node], self._heard[node] = 0, time.monotonic()

    def _silent(self) -> list[int]:
        now = time.monotonic()
        return [node for node, heard in enumerate(self._heard) if node in self._mute or now - heard > SILENCE]

    def _excused(self, start: float) -> bool:
        """Whether a fault keeps a node from answering, or did lately."""
        now = round((time.monotonic() - start) * SECOND)
        still = (span for role in self._roles for span in role.standstills)
        return bool(self._mute) or any(begin <= now <= end + round(SILENCE * SECOND) for begin, end in still)

    def _over(self, node: int, last: float) -> bool:
        return node in self.diaries.endings or (time.monotonic() > last - ENDING and node in self._silent()) or time.monotonic() > last

    @staticmethod
    def _end(member: Member) -> None:
        with suppress(AgentError):
            member.remote.ask("DELETE", "/v1/experiment")
