"""Subjects of experiments in virtual time, joined by wires without sockets: what they do is what the simulator does."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from priomon_core.config import SECOND, UDP_IPV4_HEADERS, DetectionSettings, GossipSettings
from priomon_core.events import Died, Left
from priomon_core.identity import Address
from priomon_core.latency import Constant, Uniform
from priomon_core.links import Bernoulli, LinkModel, Links
from priomon_core.metrics import CPU, MEMORY, Metric
from priomon_core.rumours import State
from priomon_core.strategies.by_name import create
from priomon_node.agent import Agent
from priomon_node.experiment.assignment import Assignment, LinkPlan
from priomon_node.experiment.part import Part
from priomon_node.experiment.script import Life
from priomon_node.experiment.subject import Subject
from priomon_node.orchestrator.roles import cast
from priomon_sim.clock import Clock
from priomon_sim.driver import Driver, stream
from priomon_sim.faults.inject import inject
from priomon_sim.faults.timeline import Timeline
from priomon_sim.lives import Lives, identities
from priomon_sim.scenario.faults import Faults

METRICS = (CPU, MEMORY)
PERIOD = SECOND // 10
DURATION = 3 * SECOND
START = 5 * SECOND  # Unix time of the run's start; the machine's monotonic clock has a zero of its own
MONOTONIC = 77 * SECOND
NODES = 5
PERFECT = LinkModel(Uniform(1_000_000, 1_100_000))  # nearly equal, so that no two datagrams arrive in one nanosecond
POOR = LinkModel(Uniform(5_000_000, 50_000_000), Bernoulli(0.2), duplicate=0.1)


def assignments(
    nodes: int = NODES, model: LinkModel = PERFECT, metrics: tuple[Metric, ...] = METRICS, seed: int = 1, **changes: Any
) -> list[Assignment]:
    """The parts of all nodes, everybody gossiping with everybody."""
    own = identities(nodes)
    indexes = {identity.address: index for index, identity in enumerate(own)}
    random = np.random.default_rng(seed)
    made = [
        Assignment(
            run="test",
            start=START,
            duration=DURATION,
            patience=SECOND,
            name=identity.name,
            address=identity.address,
            lives=(Life(1, 0, None, False, stream(seed, identity.name), stream(seed, identity.name, "watch")),),
            mishaps=(),
            metrics=metrics,
            gossip=GossipSettings(period=PERIOD),
            detection=DetectionSettings(detector="none"),
            sealed=False,
            peers=tuple(other.address for other in own if other is not identity),
            sample_every=PERIOD,
            samples=tuple(map(tuple, random.uniform(0, 100, (7, len(metrics))).tolist())),
            follow_every=SECOND // 10,
            probe_every=SECOND,
            links=LinkPlan(seed, index, indexes, model, {}),
        )
        for index, identity in enumerate(own)
    ]
    return [replace(each, **changes) for each in made]


class Wire(asyncio.DatagramTransport):
    """Carries what one node sends to the others, at once, and keeps count. A stage as well: `agent` speaks through it at the moment."""

    def __init__(self, loop: asyncio.AbstractEventLoop, source: Address, wires: dict[Address, Wire]) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.agent: Agent | None = None
        self._loop, self._source, self._wires = loop, source, wires

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.sent.append(bytes(data))
        self._loop.call_soon(self._wires[addr].deliver, data, self._source)

    def deliver(self, data: bytes, source: Address) -> None:
        if self.agent is not None:
            self.agent.datagram_received(data, source)

    @property
    def transport(self) -> asyncio.DatagramTransport:
        return self

    def put(self, agent: Agent, through: asyncio.DatagramTransport) -> None:
        self.rest()
        self.agent = agent
        agent.connection_made(through)

    def rest(self) -> None:
        if self.agent is not None:
            self.agent.connection_lost(None)


class Cluster:
    """The parts of assignments, in one loop that starts 1 s before the run does."""

    def __init__(self, loop: Any, parts: Sequence[Assignment], measure: Callable[[int], Sequence[float]] = lambda now: ()) -> None:
        self.loop = loop
        self.reports: list[str] = []
        self.unix_error = 0
        self.parts: list[Part] = []
        self._assignments = parts
        self._measure = measure
        by_address: dict[Address, Wire] = {}
        by_address |= {part.address: Wire(loop, part.address, by_address) for part in parts}
        self.wires = [*by_address.values()]

    def _part(self, assignment: Assignment, wire: Wire) -> Part:
        return Part(
            assignment,
            wire,
            self._measure,
            None,
            lambda kind, **fields: self.reports.append(kind),
            lambda: MONOTONIC + self.loop.nanoseconds(),
            lambda: START - SECOND + self.loop.nanoseconds() + self.unix_error,
            sleep,
        )

    @property
    def subjects(self) -> list[Subject]:
        """The present or last life of every node."""
        return [part.subject for part in self.parts if part.subject is not None]

    def run(self, seconds: float = 1 + DURATION / SECOND + 0.01, meanwhile: Callable[[], None] = lambda: None) -> Cluster:
        """Let time pass; `meanwhile` is called in the middle of the run, 1.55 s after its start."""

        async def story() -> None:
            self.loop.call_later(2.55, meanwhile)
            self.parts = [self._part(part, wire) for part, wire in zip(self._assignments, self.wires, strict=True)]
            await asyncio.sleep(seconds)

        self.loop.run_until_complete(story())
        return self


def sleep(seconds: float) -> None:
    raise AssertionError("nobody stands still here")


def entries(part: Part, kind: str) -> list[list[Any]]:
    return [entry[1:] for entry in part.diary if entry[0] == kind]


@pytest.mark.parametrize("model", [PERFECT, POOR], ids=["perfect", "poor"])
@pytest.mark.parametrize("sample_every", [PERIOD, PERIOD // 3], ids=["sampling each round", "sampling more often"])
@pytest.mark.parametrize("metrics", [(CPU,), METRICS], ids=["one metric", "two metrics"])
@pytest.mark.parametrize("strategy", ["scuttlebutt", "tree"])  # in rumor, feedback that comes while slots move is dropped by agents
def test_subjects_do_what_the_simulator_does(
    virtual_loop: Any, model: LinkModel, sample_every: int, metrics: tuple[Metric, ...], strategy: str
) -> None:
    parts = assignments(model=model, metrics=metrics, sample_every=sample_every, gossip=GossipSettings(strategy=strategy, period=PERIOD))
    series = [np.array(part.samples) for part in parts]
    peers = [[peer for peer in range(NODES) if peer != node] for node in range(NODES)]
    twin = Driver(Clock(), metrics, parts[0].gossip, create, peers, Links(NODES, parts[0].links.seed, model), series, sample_every, 1)
    twin.clock.run_to(DURATION)
    played = Cluster(virtual_loop, parts).run().parts
    twin.ledger.refresh()
    endings = [entries(part, "ending")[0][1] for part in played]
    assert [ending["datagrams_sent"] for ending in endings] == twin.datagrams_sent
    # An agent knows of a relayed metric when it came, not when it changed, and so repeats one now and then.
    for ending, sent, received in zip(endings, twin.bytes_sent, twin.bytes_received, strict=True):
        assert sent <= ending["bytes_sent"] <= sent * (1.005 if len(metrics) > 1 else 1)
        assert received <= ending["bytes_received"] <= received * (1.005 if len(metrics) > 1 else 1)
    delivered = sum(ending["delivered"] for ending in endings)
    if strategy == "scuttlebutt":
        assert delivered == twin.delivered() > 0
    else:  # whoever introduces all it knows to a new neighbour also tells it of itself, which agents do not count
        assert 0.99 * twin.delivered() <= delivered <= twin.delivered()
    assert {cause: sum(ending["lost"][cause] for ending in endings) for cause in twin.links.lost} == twin.links.lost
    assert (twin.links.lost["loss"] > 0) == (model is POOR)
    assert [ending["truth"] for ending in endings] == twin.truth().tolist()
    for node, (part, ending, publisher) in enumerate(zip(played, endings, [node.publisher for node in twin.nodes], strict=True)):
        assert dict(zip(ending["held"][::2], ending["held"][1::2], strict=True)) == dict(
            zip(twin.ledger.keys.tolist(), twin.versions[node].tolist(), strict=True)
        )
        assert (ending["published"], ending["filtered"]) == (publisher.published, publisher.filtered)
        told = entries(part, "published")
        assert [version for version, *_ in told] == list(range(1, twin.ledger.newest[node] + 1))
        times = twin.ledger.times[node, 1 : len(told) + 1]
        assert np.abs(np.array([now for _, now, _ in told]) - times).max() <= 2  # ns: the loop counts in seconds
        assert [tuple(map(tuple, changes)) for *_, changes in told] == [
            twin.ledger.changes(node, version - 1, version) for version, *_ in told
        ]


def test_samples_are_the_given_rows_used_again_from_the_first(virtual_loop: Any) -> None:
    (part,) = assignments(1, samples=((10.0, 1.0), (math.nan, 2.0), (90.0, 3.0)), probe_every=PERIOD)
    (played,) = Cluster(virtual_loop, [part]).run(1.95).parts
    truths = [probe["truth"] for _, probe in entries(played, "probe")]
    assert truths[:7] == [truths[0], *([[10.0, 1.0], [None, 2.0], [90.0, 3.0]] * 3)[1:7]]
    assert truths[0] == [10.0, 1.0]
    assert entries(played, "sampled") == []


def test_without_samples_it_measures_its_machine_and_tells_what(virtual_loop: Any) -> None:
    times: list[int] = []

    def measure(now: int) -> list[float]:
        times.append(now)
        if len(times) == 2:
            raise OSError("the disk is gone")
        return [math.nan, 10.0 * len(times)]

    (part,) = assignments(1, samples=None)
    cluster = Cluster(virtual_loop, [part], measure).run(1.5)
    (played,) = cluster.parts
    assert entries(played, "sampled") == [[[None, 10.0]], [[None, 30.0]], [[None, 40.0]], [[None, 50.0]]]
    assert cluster.reports == ["sample failed"]
    assert times[0] > MONOTONIC + SECOND  # the machine's clock, which rates are measured by
    assert np.diff(times).tolist() == pytest.approx([PERIOD] * 4, abs=2)


def test_the_diary_has_a_look_at_every_instant_and_the_end(virtual_loop: Any) -> None:
    (part, *_) = parts = assignments(duration=SECOND + SECOND // 4, probe_every=SECOND // 2)
    cluster = Cluster(virtual_loop, parts).run(5)
    played, subject = cluster.parts[0], cluster.subjects[0]
    assert [number for number, _ in entries(played, "held")] == list(range(1, 13))
    assert [number for number, _ in entries(played, "probe")] == [1, 2]
    assert [entry[0] for entry in played.diary].count("ending") == 1
    assert played.diary[-1][:2] == ["ending", 0]
    held = [dict(zip(row[::2], row[1::2], strict=True)) for _, row in entries(played, "held")]
    assert len(held[-1]) == NODES
    for before, after in pairwise(held):
        assert all(after[key] >= version for key, version in before.items())
    own = {version: now for version, now, _ in entries(played, "published")}
    for instant, row in enumerate(held, 1):
        published = [version for version, now in own.items() if now <= instant * part.follow_every]
        assert row.get(subject.identity.key, 0) == max(published, default=0)


def test_after_its_end_it_rests(virtual_loop: Any) -> None:
    cluster = Cluster(virtual_loop, assignments(model=LinkModel(Constant(PERIOD)), duration=SECOND))
    sent: list[int] = []
    cluster.run(5, lambda: sent.extend(len(wire.sent) for wire in cluster.wires))  # the middle of DURATION is after their end
    assert [len(wire.sent) for wire in cluster.wires] == sent
    for part, count in zip(cluster.parts, sent, strict=True):
        ((_, ending),) = entries(part, "ending")
        assert 0 < count < ending["datagrams_sent"]  # what the links still held is not delivered to the next run
        assert part.diary[-1][0] == "ending"


@pytest.mark.parametrize(
    ("stall", "held", "probes"),
    [(0.04, set(), set()), (0.73, set(range(16, 22)), {2}), (1.2, set(range(16, 27)), {2})],
)
def test_looks_that_a_stall_made_late_are_left_out(virtual_loop: Any, stall: float, held: set[int], probes: set[int]) -> None:
    def pause() -> None:
        virtual_loop.now += stall

    cluster = Cluster(virtual_loop, assignments(1)).run(meanwhile=pause)
    ((part,), (subject,)) = cluster.parts, cluster.subjects
    assert {number for number, _ in entries(part, "held")} == set(range(1, 31)) - held
    assert {number for number, _ in entries(part, "probe")} == {1, 2, 3} - probes
    assert subject.counters["samples"] <= DURATION / PERIOD - math.floor(stall * SECOND / PERIOD) + 1  # the past is not made up for


def test_a_wall_clock_that_jumps_does_not_matter(virtual_loop: Any) -> None:
    def jump() -> None:
        cluster.unix_error = 3600 * SECOND

    cluster = Cluster(virtual_loop, assignments(2))
    cluster.run(meanwhile=jump)
    for part in cluster.parts:
        assert [number for number, _ in entries(part, "held")] == list(range(1, 31))


def test_nothing_leaves_for_an_address_outside_the_run(virtual_loop: Any) -> None:
    cluster = Cluster(virtual_loop, assignments(2)).run(1.9)
    first, second = cluster.subjects
    before = dict(second.counters)
    digest = cluster.wires[0].sent[0]

    async def hear() -> None:
        second.datagram_received(digest, ("10.9.9.9", 7946))

    virtual_loop.run_until_complete(hear())
    assert second.counters["datagrams_received"] == before["datagrams_received"] + 1
    assert second.counters["datagrams_sent"] == before["datagrams_sent"]
    assert first.counters["datagrams_sent"] > 0


def test_datagrams_of_another_run_are_not_understood(virtual_loop: Any) -> None:
    parts = assignments(2)
    cluster = Cluster(virtual_loop, [parts[0], replace(parts[1], run="another")]).run()
    for part in cluster.parts:
        ((_, ending),) = entries(part, "ending")
        assert ending["dropped"]["dropped_other_cluster"] > 0
        assert len(ending["held"]) == 2  # itself


FAULTS = TypeAdapter(Faults).validate_python(
    [
        {"kind": "skew", "at": "1 s", "nodes": "node4", "rate": 1.2},
        {"kind": "crash", "at": "2 s", "nodes": "node1", "back_after": "4 s"},
        {"kind": "partition", "at": "3 s", "nodes": "node0", "lasts": "1 s"},
        {"kind": "leave", "at": "4 s", "nodes": "node2", "back_after": "2 s"},
        {"kind": "degrade", "at": "7 s", "nodes": "node3", "lasts": "1 s", "conditions": {}},
        {"kind": "crash", "at": "8 s", "nodes": "node0, node2"},
    ]
)
WATCHFUL = DetectionSettings(probe_timeout=53_000_000)  # so that verdicts and rounds do not fall into one nanosecond


def test_faults_happen_to_subjects_as_they_do_in_the_simulator(virtual_loop: Any) -> None:
    duration = 12 * SECOND
    timeline = Timeline(FAULTS, [one.name for one in identities(NODES)], 1, duration, lambda conditions: POOR)
    lives = Lives.of(timeline.generations)
    roles = cast(timeline, lives, 1, duration)
    # A tree depends on who of two was heard first, which no two clocks agree upon to the nanosecond.
    gossip = GossipSettings(strategy="scuttlebutt", period=PERIOD)
    plain = assignments(model=LinkModel(Constant(3_000_000)), duration=duration, gossip=gossip, detection=WATCHFUL)
    told = [
        replace(part, lives=lived, mishaps=mishaps) for part, (lived, mishaps) in zip(plain, (role.alone() for role in roles), strict=True)
    ]
    peers = [[peer for peer in range(NODES) if peer != node] for node in range(NODES)]
    twin = Driver(
        Clock(),
        METRICS,
        plain[0].gossip,
        create,
        peers,
        Links(NODES, 1, plain[0].links.default),
        [np.array(part.samples) for part in plain],
        PERIOD,
        1,
        detection=WATCHFUL,
        generations=timeline.generations,
    )
    inject(twin, timeline)
    twin.clock.run_to(duration)
    parts = Cluster(virtual_loop, told).run(1 + duration / SECOND + 0.01).parts
    for node, part in enumerate(parts):
        assert [generation for generation, _ in entries(part, "born")] == list(range(1, timeline.generations[node] + 1))
        deeds = [deed for _, deed in entries(part, "over") + entries(part, "ending") if deed is not None]
        assert sum(deed["datagrams_sent"] for deed in deeds) == pytest.approx(twin.datagrams_sent[node], rel=0.02)
        assert sum(deed["bytes_sent"] for deed in deeds) == pytest.approx(twin.bytes_sent[node], rel=0.02)
        for deed in deeds:
            assert all(claim == true for claim, true, _ in deed["sendings"])
            assert sum(count for *_, count in deed["sendings"]) == deed["datagrams_sent"]
            assert sum((true + UDP_IPV4_HEADERS) * count for _, true, count in deed["sendings"]) == deed["bytes_sent"]
    for node in (lives.names.index(name) for name in ("node1", "node3", "node4")):  # those that run at the end
        ((_, ending),) = entries(parts[node], "ending")
        watch = twin.nodes[node].watch
        assert watch is not None
        beliefs = dict(zip(ending["beliefs"][::2], ending["beliefs"][1::2], strict=True))
        assert beliefs == {key: belief.state for key, belief in watch.membership.beliefs.items()}
        assert {State.DEAD} <= {*beliefs.values()}
        assert ending["kept"] == [watch.membership.rumours.count, len(watch.membership.departed), len(watch.membership.refused)]
    ends = {lives.names[node]: len(entries(part, "over")) for node, part in enumerate(parts)}
    assert ends == {"node0": 1, "node1": 1, "node2": 2, "node3": 0, "node4": 0}
    seen = sorted(
        (at, type(event).__name__.lower(), event.name, observer) for at, observer, event in twin.noticed() if isinstance(event, Died | Left)
    )
    found = sorted(
        (at, event["event"], event["name"], lives.slots[node][born - 1])
        for node, part in enumerate(parts)
        for born, at, event in noticed(part)
        if event["event"] in ("died", "left")
    )
    assert len(seen) > 10
    assert [one[1:] for one in found] == [one[1:] for one in seen]
    assert np.abs(np.array([one[0] for one in found]) - [one[0] for one in seen]).max() < PERIOD / 10


def noticed(part: Part) -> Iterator[tuple[int, int, Any]]:
    """In which generation, when and what a node noticed."""
    generation = 0
    for kind, *content in part.diary:
        if kind == "born":
            generation = content[0]
        elif kind == "noticed":
            yield generation, content[0], content[1]
