"""A scenario's reads: who reads whom, what is kept of it, and that it agrees with what really was."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from priomon_core.config import SECOND
from priomon_core.quorum_wire import Answer, Query
from priomon_results.store import Store
from priomon_sim.experiment import run_all
from priomon_sim.scenario.document import Scenario
from priomon_sim.scenario.problems import ScenarioError
from priomon_sim.world import World, build

MakeScenario = Callable[..., Scenario]
READS = ("nodes=12", "duration=20 s", "start=known", "network.latency=10 ms")


def ran(scenario: Scenario) -> World:
    world = build(scenario)
    world.driver.clock.run_to(scenario.duration)
    return world


def test_without_loss_reads_take_a_round_trip_and_two_messages_for_each_answer(scenario: MakeScenario) -> None:
    world = ran(scenario(*READS, "queries={rate: 20, level: from(3)}"))
    assert world.queries is not None
    queries = world.queries.take()
    assert len(queries) in range(290, 430)
    assert all(query.ok and not query.partial and query.messages == 6 for query in queries)
    assert {query.latency for query in queries} == {20_000_000}
    assert {query.reader for query in queries} == {query.target for query in queries} == set(range(12))


def test_what_a_read_returned_was_held_by_somebody_and_is_no_newer_than_the_truth(scenario: MakeScenario) -> None:
    world = ran(scenario(*READS, "queries={rate: 20, level: all}"))
    assert world.queries is not None
    ledger, checked = world.driver.ledger, 0
    ledger.refresh()
    for query in world.queries.take():
        assert query.latency is not None and query.age is not None and query.behind is not None
        ended = query.at + query.latency
        slot = world.driver.slots[query.target]
        published = ledger.times[slot, 1 : ledger.newest[slot] + 1]
        newest_then = published[published <= ended]
        assert ended - query.age == newest_then[len(newest_then) - 1 - query.behind]
        checked += query.behind == 0  # the target itself is asked, so only what it published after its answer is missing
    assert checked > 300


def test_readers_targets_and_times_are_the_scenarios(scenario: MakeScenario) -> None:
    settings = "queries={rate: 20, level: local, from: 'node02, node03', targets: node07, after: 5 s}"
    world = ran(scenario(*READS, settings))
    assert world.queries is not None
    queries, names = world.queries.take(), world.driver.lives.names
    assert {names[query.reader] for query in queries} == {"node02", "node03"}
    assert {names[query.target] for query in queries} == {"node07"}
    assert min(query.at for query in queries) >= 5 * SECOND
    assert all(query.messages == 0 and query.latency == 0 for query in queries)


def test_a_seed_gives_the_same_reads_and_another_gives_others(scenario: MakeScenario) -> None:
    def reads(seed: int) -> tuple[str, list[tuple[object, ...]]]:
        crash = "faults=[{kind: crash, at: 5 s, nodes: 4, back_after: 5 s}]"
        world = ran(scenario(*READS, f"seed={seed}", "network.loss=20 %", crash, "queries={rate: 20, level: majority}"))
        assert world.queries is not None
        return world.driver.trace_hash(), [query.row() for query in world.queries.take()]

    assert reads(1) == reads(1)
    assert reads(1) != reads(2)


def test_a_level_beyond_those_who_live_is_partial_and_does_not_wait(scenario: MakeScenario) -> None:
    crash = "faults=[{kind: crash, at: 2 s, nodes: 8}]"
    world = ran(scenario(*READS, "duration=80 s", "detection.detector=swim", crash, "queries={rate: 10, level: majority, after: 70 s}"))
    assert world.queries is not None
    queries = world.queries.take()
    assert len(queries) > 50 and all(query.partial and not query.ok for query in queries)
    assert max(query.latency or 0 for query in queries) <= SECOND // 10


def test_whoever_is_unknown_cannot_be_read(scenario: MakeScenario) -> None:
    cut = "faults=[{kind: partition, at: 0 s, nodes: node07}]"
    world = ran(scenario(*READS, "start=cold", cut, "queries={rate: 20, level: local, targets: node07, from: not node07}"))
    assert world.queries is not None
    queries = world.queries.take()
    assert len(queries) > 300
    assert all((q.ok, q.partial, q.latency, q.age, q.behind) == (False, False, None, None, None) for q in queries)


@pytest.mark.parametrize("fault", ["{kind: pause, at: 3 s, nodes: node02, lasts: 5 s}", "{kind: skew, at: 1 s, nodes: node02, rate: 1.5}"])
def test_a_reader_that_stood_still_or_whose_clock_runs_wrong_ends_its_reads(scenario: MakeScenario, fault: str) -> None:
    settings = "queries={rate: 20, level: all, from: node02, deadline: 1 s}"
    world = ran(scenario(*READS, f"faults=[{fault}]", "network.loss=10 %", settings))
    assert world.queries is not None
    queries = world.queries.take()
    begun = np.array([query.at for query in queries]) / SECOND
    assert ((begun < 3).sum() > 20) and ((begun > 10).sum() > 100)
    late = [query for query in queries if query.latency is not None and query.latency > 1.01 * SECOND]
    assert all(2 * SECOND <= query.at <= 3 * SECOND for query in late)


def test_sizes_on_the_wire_are_exact(scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    from priomon_core.wire import Codec

    world = build(scenario(*READS, "detection.detector=swim", "queries={rate: 20, level: agree(2)}"))
    codec, kinds = Codec("test", world.metrics), set()
    arrivals = world.driver.links.arrivals

    def checked(source: int, target: int, size: int, now: int) -> tuple[int, ...]:
        for peer, message in world.driver.nodes[source].outbox:
            if peer == target and isinstance(message, Query | Answer):
                kinds.add(type(message))
                assert len(codec.encode(message)) == message.size
        return arrivals(source, target, size, now)

    monkeypatch.setattr(world.driver.links, "arrivals", checked)
    world.driver.clock.run_to(10 * SECOND)
    assert kinds == {Query, Answer}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{level: from(12)}", r"level from\(12\): expected at most 11"),
        ("{level: most}", "expected local, from"),
        ("{rate: 0}", "rate"),
        ("{targets: '120 %'}", "at most 100 %"),
        ("{from: true}", "expected nodes such as"),
    ],
)
def test_what_cannot_be_read_is_refused_when_it_is_loaded(scenario: MakeScenario, settings: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        scenario("nodes=12", f"queries={settings}")


def test_a_run_stores_its_reads_and_sums_them_up(scenario: MakeScenario, tmp_path: Path) -> None:
    (summary,) = run_all(
        [scenario(*READS, "queries={rate: 20, level: from(2)}")], [], tmp_path, lambda _: nullcontext(lambda _: None), ["test"]
    )
    with Store(tmp_path / "small.db", readonly=True) as store:
        rows = store.load().rows("query")
    found = summary["queries"]
    assert found["count"] == len(rows["t"]) > 290
    assert rows["number"].tolist() == list(range(len(rows["t"])))
    assert found["success"] == rows["ok"].mean() == 1
    assert found["messages_per_query"] == rows["messages"].mean() == 4
    assert found["latency_seconds"]["max"] == rows["latency"].max() == 0.02
    assert found["age_seconds"]["max"] == rows["age"].max()
    assert set(rows["level"].tolist()) == {"from(2)"}
    assert (tmp_path / "plots" / "queries.svg").is_file()
