"""Subjects of experiments in virtual time, joined by wires without sockets: what they do is what the simulator does."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from priomon_core.config import SECOND, GossipSettings
from priomon_core.identity import Address
from priomon_core.latency import Constant, Uniform
from priomon_core.links import Bernoulli, LinkModel, Links
from priomon_core.metrics import CPU, MEMORY, Metric
from priomon_core.strategies.scuttlebutt import Scuttlebutt
from priomon_node.assignment import Assignment, LinkPlan
from priomon_node.subject import Subject
from priomon_sim.clock import Clock
from priomon_sim.driver import Driver, stream
from priomon_sim.lives import identities

METRICS = (CPU, MEMORY)
PERIOD = SECOND // 10
DURATION = 3 * SECOND
START = 5 * SECOND  # Unix time of the run's start; the machine's monotonic clock has a zero of its own
MONOTONIC = 77 * SECOND
NODES = 5
PERFECT = LinkModel(Constant(1_000_000))
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
            identity=identity,
            stream=stream(seed, identity.name),
            metrics=metrics,
            gossip=GossipSettings(period=PERIOD),
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
    """Carries what one subject sends to the others, at once, and keeps count."""

    def __init__(self, loop: asyncio.AbstractEventLoop, source: Address, subjects: dict[Address, Subject]) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self._loop, self._source, self._subjects = loop, source, subjects

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.sent.append(bytes(data))
        self._loop.call_soon(self._subjects[addr].datagram_received, data, self._source)


class Cluster:
    """The subjects of assignments, in one loop that starts 1 s before the run does."""

    def __init__(self, loop: Any, parts: Sequence[Assignment], measure: Callable[[int], Sequence[float]] = lambda now: ()) -> None:
        self.loop = loop
        self.reports: list[str] = []
        self.unix_error = 0
        self.subjects = [
            Subject(
                part,
                measure,
                None,
                lambda kind, **fields: self.reports.append(kind),
                lambda: MONOTONIC + loop.nanoseconds(),
                lambda: START - SECOND + loop.nanoseconds() + self.unix_error,
            )
            for part in parts
        ]
        by_address = {subject.identity.address: subject for subject in self.subjects}
        self.wires = [Wire(loop, address, by_address) for address in by_address]

    def run(self, seconds: float = 1 + DURATION / SECOND + 0.01, meanwhile: Callable[[], None] = lambda: None) -> Cluster:
        """Let time pass; `meanwhile` is called in the middle of the run, 1.55 s after its start."""

        async def story() -> None:
            self.loop.call_later(2.55, meanwhile)
            for subject, wire in zip(self.subjects, self.wires, strict=True):
                subject.connection_made(wire)
            await asyncio.sleep(seconds)

        self.loop.run_until_complete(story())
        return self


def entries(subject: Subject, kind: str) -> list[list[Any]]:
    return [entry[1:] for entry in subject.diary if entry[0] == kind]


@pytest.mark.parametrize("model", [PERFECT, POOR], ids=["perfect", "poor"])
@pytest.mark.parametrize("sample_every", [PERIOD, PERIOD // 3], ids=["sampling each round", "sampling more often"])
@pytest.mark.parametrize("metrics", [(CPU,), METRICS], ids=["one metric", "two metrics"])
def test_subjects_do_what_the_simulator_does(virtual_loop: Any, model: LinkModel, sample_every: int, metrics: tuple[Metric, ...]) -> None:
    parts = assignments(model=model, metrics=metrics, sample_every=sample_every)
    series = [np.array(part.samples) for part in parts]
    peers = [[peer for peer in range(NODES) if peer != node] for node in range(NODES)]
    twin = Driver(Clock(), metrics, parts[0].gossip, Scuttlebutt, peers, Links(NODES, parts[0].links.seed, model), series, sample_every, 1)
    twin.clock.run_to(DURATION)
    subjects = Cluster(virtual_loop, parts).run().subjects
    twin.ledger.refresh()
    endings = [entries(subject, "ending")[0][1] for subject in subjects]
    assert [ending["datagrams_sent"] for ending in endings] == twin.datagrams_sent
    # An agent knows of a relayed metric when it came, not when it changed, and so repeats one now and then.
    for ending, sent, received in zip(endings, twin.bytes_sent, twin.bytes_received, strict=True):
        assert sent <= ending["bytes_sent"] <= sent * (1.005 if len(metrics) > 1 else 1)
        assert received <= ending["bytes_received"] <= received * (1.005 if len(metrics) > 1 else 1)
    assert sum(ending["delivered"] for ending in endings) == twin.delivered() > 0
    assert {cause: sum(ending["lost"][cause] for ending in endings) for cause in twin.links.lost} == twin.links.lost
    assert (twin.links.lost["loss"] > 0) == (model is POOR)
    assert [ending["truth"] for ending in endings] == twin.truth().tolist()
    for node, (subject, ending, publisher) in enumerate(zip(subjects, endings, [node.publisher for node in twin.nodes], strict=True)):
        assert dict(zip(ending["held"][::2], ending["held"][1::2], strict=True)) == dict(
            zip(twin.ledger.keys.tolist(), twin.versions[node].tolist(), strict=True)
        )
        assert (ending["published"], ending["filtered"]) == (publisher.published, publisher.filtered)
        told = entries(subject, "published")
        assert [version for version, *_ in told] == list(range(1, twin.ledger.newest[node] + 1))
        times = twin.ledger.times[node, 1 : len(told) + 1]
        assert np.abs(np.array([now for _, now, _ in told]) - times).max() <= 2  # ns: the loop counts in seconds
        assert [tuple(map(tuple, changes)) for *_, changes in told] == [
            twin.ledger.changes(node, version - 1, version) for version, *_ in told
        ]


def test_samples_are_the_given_rows_used_again_from_the_first(virtual_loop: Any) -> None:
    (part,) = assignments(1, samples=((10.0, 1.0), (math.nan, 2.0), (90.0, 3.0)), probe_every=PERIOD)
    (subject,) = Cluster(virtual_loop, [part]).run(1.95).subjects
    truths = [probe["truth"] for _, probe in entries(subject, "probe")]
    assert truths[:7] == [truths[0], *([[10.0, 1.0], [None, 2.0], [90.0, 3.0]] * 3)[1:7]]
    assert truths[0] == [10.0, 1.0]
    assert entries(subject, "sampled") == []


def test_without_samples_it_measures_its_machine_and_tells_what(virtual_loop: Any) -> None:
    times: list[int] = []

    def measure(now: int) -> list[float]:
        times.append(now)
        if len(times) == 2:
            raise OSError("the disk is gone")
        return [math.nan, 10.0 * len(times)]

    (part,) = assignments(1, samples=None)
    cluster = Cluster(virtual_loop, [part], measure).run(1.5)
    (subject,) = cluster.subjects
    assert entries(subject, "sampled") == [[[None, 10.0]], [[None, 30.0]], [[None, 40.0]], [[None, 50.0]]]
    assert cluster.reports == ["sample failed"]
    assert times[0] > MONOTONIC + SECOND  # the machine's clock, which rates are measured by
    assert np.diff(times).tolist() == pytest.approx([PERIOD] * 4, abs=2)


def test_the_diary_has_a_look_at_every_instant_and_the_end(virtual_loop: Any) -> None:
    (part, *_) = parts = assignments(duration=SECOND + SECOND // 4, probe_every=SECOND // 2)
    subject, *_ = Cluster(virtual_loop, parts).run(5).subjects
    assert [number for number, _ in entries(subject, "held")] == list(range(1, 13))
    assert [number for number, _ in entries(subject, "probe")] == [1, 2]
    assert [entry[0] for entry in subject.diary].count("ending") == 1
    assert subject.diary[-1][:2] == ["ending", 0]
    held = [dict(zip(row[::2], row[1::2], strict=True)) for _, row in entries(subject, "held")]
    assert len(held[-1]) == NODES
    for before, after in pairwise(held):
        assert all(after[key] >= version for key, version in before.items())
    own = {version: now for version, now, _ in entries(subject, "published")}
    for instant, row in enumerate(held, 1):
        published = [version for version, now in own.items() if now <= instant * part.follow_every]
        assert row.get(subject.identity.key, 0) == max(published, default=0)


def test_after_its_end_it_rests(virtual_loop: Any) -> None:
    cluster = Cluster(virtual_loop, assignments(model=LinkModel(Constant(PERIOD)), duration=SECOND))
    sent: list[int] = []
    cluster.run(5, lambda: sent.extend(len(wire.sent) for wire in cluster.wires))  # the middle of DURATION is after their end
    assert [len(wire.sent) for wire in cluster.wires] == sent
    for subject, count in zip(cluster.subjects, sent, strict=True):
        ((_, ending),) = entries(subject, "ending")
        assert 0 < count < ending["datagrams_sent"]  # what the links still held is not delivered to the next run
        assert subject.diary[-1][0] == "ending"


@pytest.mark.parametrize(
    ("stall", "held", "probes"),
    [(0.04, set(), set()), (0.73, set(range(16, 22)), {2}), (1.2, set(range(16, 27)), {2})],
)
def test_looks_that_a_stall_made_late_are_left_out(virtual_loop: Any, stall: float, held: set[int], probes: set[int]) -> None:
    def pause() -> None:
        virtual_loop.now += stall

    (subject,) = Cluster(virtual_loop, assignments(1)).run(meanwhile=pause).subjects
    assert {number for number, _ in entries(subject, "held")} == set(range(1, 31)) - held
    assert {number for number, _ in entries(subject, "probe")} == {1, 2, 3} - probes
    assert subject.counters["samples"] <= DURATION / PERIOD - math.floor(stall * SECOND / PERIOD) + 1  # the past is not made up for


def test_a_wall_clock_that_jumps_does_not_matter(virtual_loop: Any) -> None:
    def jump() -> None:
        cluster.unix_error = 3600 * SECOND

    cluster = Cluster(virtual_loop, assignments(2))
    cluster.run(meanwhile=jump)
    for subject in cluster.subjects:
        assert [number for number, _ in entries(subject, "held")] == list(range(1, 31))


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
    for subject in cluster.subjects:
        ((_, ending),) = entries(subject, "ending")
        assert ending["dropped"]["dropped_other_cluster"] > 0
        assert len(ending["held"]) == 2  # itself
