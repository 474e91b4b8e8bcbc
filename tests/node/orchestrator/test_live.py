"""Scenarios run by real agents on loopback: undisturbed, and with agents that are killed or suspended in mid-run."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer
from typing import Any

import numpy as np
import pytest

from priomon_core.errors import SettingError
from priomon_core.identity import Address
from priomon_node.orchestrator import live
from priomon_node.orchestrator.fleet import Fleet
from priomon_node.orchestrator.live import LiveError, LiveRun, Member, check
from priomon_node.orchestrator.remote import Remote, SilentError
from priomon_node.orchestrator.validation import database, execute_live, validate
from priomon_results.schema import RunRows
from priomon_results.store import Store
from priomon_sim.experiment import InterruptedRunError
from priomon_sim.scenario.document import Scenario, load
from priomon_sim.world import draft

TRACE = Path(__file__).parents[3] / "scenarios/traces/workstation.csv.gz"
GRACE = 10.0  # seconds in which an agent whose part is over has to be gone
SCENARIO = f"""
nodes: 3
duration: 2 s
gossip: {{period: 100 ms}}
network: {{latency: {{kind: uniform, low: 2 ms, high: 10 ms}}}}
workload: {{kind: trace, path: {TRACE}}}
measure: {{every: 200 ms, spread_every: 200 ms}}
"""


def scenario(folder: Path, text: str = SCENARIO, **settings: str) -> Scenario:
    path = folder / "brief.yaml"
    path.write_text(text)
    return load(path, [*settings.items()])


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often than once a second, at runs of a few seconds."""
    monkeypatch.setattr(live, "POLL", 0.2)


def undisturbed(now: int) -> None:
    pass


def run_live(one: Scenario, fleet: Fleet, store: Store, progress: Callable[[int], None], stop: Event | None = None) -> RunRows:
    number, _, _ = execute_live(one, fleet.members, store, progress, stop or Event())
    return RunRows(store.run(number), {table: store.rows(number, table) for table in ("sample", "node_sample")}.__getitem__)


def living(rows: RunRows) -> dict[float, int]:
    """How many nodes lived at each probe, by time in seconds."""
    sample = rows.rows("sample")
    return dict(zip(sample["t"].tolist(), sample["live"].tolist(), strict=True))


def test_what_machines_measure_is_replayed_by_the_twin(tmp_path: Path) -> None:
    one = scenario(tmp_path, SCENARIO.replace(f"workload: {{kind: trace, path: {TRACE}}}", ""), **{"gossip.sealed": "true"})
    fleets: list[Fleet] = []

    @contextmanager
    def recruit(one: Scenario) -> Iterator[Sequence[Member]]:
        with Fleet(one.nodes, one.gossip.sealed) as fleet:
            fleets.append(fleet)
            yield fleet.members
            for process in fleet.processes:
                assert process.popen.wait(GRACE) == 0  # each takes part once, and nobody has to end it

    @contextmanager
    def watch(one: Scenario, mode: str) -> Iterator[Callable[[int], None]]:
        yield undisturbed

    ((lived, twin),) = validate([one], recruit, tmp_path, watch, Event(), ["cluster"])
    with Store(database(tmp_path, one), readonly=True) as store:
        assert [(run.mode, run.status) for run in store.runs()] == [("live", "complete"), ("sim", "complete")]
        real, simulated = (store.load(run.id) for run in store.runs())
        assert "replay what live nodes measured" in simulated.run.notes[0]
        # Each node took its samples at the same phases, so it published the same ones; the last may fall on either side of the end.
        difference = np.abs(real.rows("metric_count")["published"] - simulated.rows("metric_count")["published"])
        assert difference.max() <= 1
        assert living(real).keys() == living(simulated).keys()
        assert np.median([*living(real).values()]) == 3
        sent, received = (real.rows("node_sample")[name][-3:].sum() for name in ("bytes_sent", "bytes_received"))
    assert lived["coverage_final"] == twin["coverage_final"] == 1
    assert lived["bytes_per_node_per_second"] == pytest.approx(twin["bytes_per_node_per_second"], rel=0.1)
    assert lived["convergence_rounds"] == pytest.approx(twin["convergence_rounds"], abs=2)
    assert sum(lived["published"].values()) > 0
    assert lived["examination"]["finding"] is None and lived["examination"]["converged_after"] < 2
    # Nothing is lost here: what the nodes count as sent, the others count as received, but for what was on its way at the last look.
    assert 0.97 * sent < received < 1.03 * sent


def test_an_agent_that_is_killed_is_missing_and_the_run_completes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SILENCE", 1.0)
    one = scenario(tmp_path)
    with Store(tmp_path / "test.db") as store, Fleet(one.nodes, sealed=False) as fleet:

        def kill(now: int) -> None:
            if now >= 1e9:
                fleet.processes[1].popen.kill()

        rows = run_live(one, fleet, store, kill)
    assert rows.run.status == "complete"
    lived = living(rows)
    assert (lived[0.4], lived[2.0]) == (3, 2)
    assert rows.rows("sample")["coverage"][-1] == 1  # those that are left know each other
    assert rows.run.summary["virtual_seconds"] == pytest.approx(2)


def test_an_agent_that_is_suspended_comes_back_and_catches_up(tmp_path: Path) -> None:
    one = scenario(tmp_path, duration="4 s")
    with Store(tmp_path / "test.db") as store, Fleet(one.nodes, sealed=False) as fleet:
        process = fleet.processes[1].popen
        stopped: list[int] = []

        def suspend(now: int) -> None:
            if not stopped and now >= 0.5e9:
                process.send_signal(signal.SIGSTOP)
                stopped.append(now)
                wake.start()

        wake = Timer(1.5, process.send_signal, [signal.SIGCONT])
        rows = run_live(one, fleet, store, suspend)
    lived = living(rows)
    assert lived[0.4] == 3
    assert 3 <= [*lived.values()].count(2) <= 10  # probes in the 1.5 s
    assert (lived[4.0], rows.rows("sample")["coverage"][-1]) == (3, 1)
    last = rows.rows("node_sample")
    assert last["known"][last["t"] == 4.0].tolist() == [3, 3, 3]
    assert rows.rows("sample")["lag_p99"][-1] < 1


FAULTS = """
detection: {detector: swim, probe_timeout: 50 ms}
faults:
  - {kind: skew, at: 0.5 s, nodes: node0, rate: 1.1}
  - {kind: crash, at: 1 s, nodes: node1, back_after: 3 s}
  - {kind: pause, at: 2 s, lasts: 1.2 s, nodes: node2}
  - {kind: partition, at: 4.5 s, lasts: 1 s, nodes: node3}
  - {kind: leave, at: 5 s, nodes: node4, back_after: 1.5 s}
"""


@pytest.mark.parametrize("ours", [True, False], ids=["processes of ours", "agents elsewhere"])
def test_faults_happen_to_agents_as_to_their_twin(tmp_path: Path, ours: bool) -> None:
    one = scenario(tmp_path, SCENARIO + FAULTS, nodes="5", duration="9 s")
    fleets: list[Fleet] = []
    crashed: list[int] = []

    @contextmanager
    def recruit(one: Scenario) -> Iterator[Sequence[Member]]:
        with Fleet(one.nodes, one.gossip.sealed) as fleet:
            fleets.append(fleet)
            before = [process.popen.pid for process in fleet.processes]
            yield fleet.members if ours else [replace(member, hands=None) for member in fleet.members]
            crashed.extend(i for i, process in enumerate(fleet.processes) if process.popen.pid != before[i])

    @contextmanager
    def watch(one: Scenario, mode: str) -> Iterator[Callable[[int], None]]:
        yield undisturbed

    ((lived, twin),) = validate([one], recruit, tmp_path, watch, Event(), ["cluster"])
    assert len(crashed) == (2 if ours else 0)  # whoever comes back as a process of ours has a new one
    with Store(database(tmp_path, one), readonly=True) as store:
        real, simulated = (store.load(run.id) for run in store.runs())
        real_living, simulated_living = living(real), living(simulated)
        assert real_living.keys() == simulated_living.keys()
        differing = [t for t, number in real_living.items() if number != simulated_living[t]]
        assert len(differing) <= 5  # where a node comes or goes about the time of a look
        for rows in (real, simulated):
            assert [*rows.rows("fault")["kind"]] == ["skew", "crash", "pause", "partition", "partition", "leave"]
        assert (real.rows("belief")["low"][-1], real.rows("belief")["high"][-1]) == (5, 5)  # all trust each other again
    assert lived["coverage_final"] == twin["coverage_final"] == 1
    assert lived["examination"]["finding"] is None, lived["examination"]["verdict"]
    assert lived["examination"]["converged_after"] < 2.5  # of the 2.5 s after the last node is back
    assert lived["bytes_per_node_per_second"] == pytest.approx(twin["bytes_per_node_per_second"], rel=0.15)
    for found in (lived["detection"], twin["detection"]):
        assert (found["crashes"], found["leaves"], found["unnoticed"]) == (1, 1, 0)
        assert 0.05 < found["seconds"]["first"]["max"] < 2
        assert found["false_deaths"]["healthy"] == 0


def test_a_run_without_agents_fails_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SILENCE", 0.5)
    one = scenario(tmp_path, nodes="2", duration="60 s")
    with Store(tmp_path / "test.db") as store, Fleet(one.nodes, sealed=False) as fleet:

        def kill_all(now: int) -> None:
            for process in fleet.processes:
                process.popen.kill()

        with pytest.raises(LiveError, match=r"brief: no agent has answered for 0.5 s; did somebody end them all\?"):
            run_live(one, fleet, store, kill_all)
        assert [run.status for run in store.runs()] == ["failed"]


def test_a_run_that_is_stopped_keeps_what_it_saw_and_lets_its_agents_go(tmp_path: Path) -> None:
    one = scenario(tmp_path, nodes="2", duration="60 s")
    stop = Event()

    def soon(now: int) -> None:
        if now >= 0.4e9:
            stop.set()

    with Store(tmp_path / "test.db") as store, Fleet(one.nodes, sealed=False) as fleet:
        with pytest.raises(
            InterruptedRunError, match=r"brief: interrupted at .* of 60 s; what was observed is kept in .*/test.db as run 1"
        ):
            run_live(one, fleet, store, soon, stop)
        (run,) = store.runs()
        assert run.status == "interrupted"
        assert len(store.rows(run.id, "sample")["t"]) >= 2
        for process in fleet.processes:
            assert process.popen.wait(GRACE) == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gossip.strategy": "demon"}, "gossip.strategy: found demon, which agents do not speak; expected scuttlebutt, rumor or tree"),
        ({"start": "known"}, "start: found known, but real agents begin knowing nothing; expected cold"),
    ],
)
def test_what_only_a_simulator_can_run_is_refused(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    with pytest.raises(SettingError) as caught:
        check(scenario(tmp_path, **settings))
    assert str(caught.value) == words


def test_a_run_needs_as_many_agents_as_nodes_and_all_must_answer(tmp_path: Path) -> None:
    one = scenario(tmp_path, nodes="2")
    gone = Member(Address("127.0.0.1", 1), Remote(Address("127.0.0.1", 1), "token"))
    other = Member(Address("127.0.0.1", 2), Remote(Address("127.0.0.1", 2), "token"))
    writer: Any = None
    with pytest.raises(LiveError, match="brief needs 2 agents, found 1; set nodes, or start as many"):
        LiveRun(one, draft(one), [gone], writer, undisturbed)
    with pytest.raises(SilentError, match=r"the agent at 127.0.0.1:[12] does not answer .*refused"):
        LiveRun(one, draft(one), [gone, other], writer, undisturbed).run(Event())
