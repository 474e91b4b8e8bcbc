"""The files of chosen settings: the scenario runs as it was chosen, and an agent reads what it is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from priomon_node.settings import load as load_agent
from priomon_sim.scenario.document import Scenario, load
from priomon_sim.tune.output import agent_settings, write_agent_file, write_scenario

ROOT = Path(__file__).parent.parent.parent
Make = Callable[..., Scenario]


def test_a_written_scenario_is_the_same_one_under_its_comments(scenario: Make, tmp_path: Path) -> None:
    ours = scenario("gossip.fanout=3", "metrics.cpu.silence=7 s", "detection.detector=swim")
    write_scenario(ours, ["from somewhere", "met: all"], tmp_path / "out.yaml")
    assert (tmp_path / "out.yaml").read_text().startswith("# from somewhere\n# met: all\nname: small\n")
    assert load(tmp_path / "out.yaml") == ours


@pytest.mark.parametrize("folder", [".", "deep/er"])
def test_files_that_a_scenario_names_are_found_from_where_it_is_written(tmp_path: Path, folder: str) -> None:
    place = tmp_path / "a"
    place.mkdir()
    (place / "trace.csv").write_text("time_s,cpu_percent\n0,1\n1,2\n")
    (place / "graph.txt").write_text("0 1\n")
    (place / "in.yaml").write_text(
        "nodes: 2\nduration: 5 s\nmetrics: {memory: {enabled: false}, network: {enabled: false}, storage: {enabled: false}}\n"
        "workload: {kind: trace, path: trace.csv, columns: {cpu: cpu_percent}}\ntopology: {kind: file, path: graph.txt}\n"
    )
    out = tmp_path / folder / "out.yaml"
    out.parent.mkdir(parents=True, exist_ok=True)
    ours = load(place / "in.yaml")
    write_scenario(ours, [], out)
    moved = load(out)
    for path in (moved.workload.path, moved.topology.path):  # type: ignore[union-attr]
        assert moved.locate(path).resolve().parent == place
    assert ours.dump()["workload"]["path"] == "trace.csv"


def test_an_agent_reads_what_the_scenario_says(scenario: Make, tmp_path: Path) -> None:
    ours = scenario(
        "gossip={period: 500 ms, fanout: 2}",
        "sample_every=2 s",
        "filter=schedule",
        "metrics={cpu: {bound: 7, alarm: 90, silence: 8 s}, network: {bound: 1.5, floor: 5000, priority: low}, storage: {enabled: false}}",
        "detection={detector: phi, suspicion: 5, probe_timeout: 250 ms, tombstone: 1 h}",
    )
    write_agent_file(ours, ["about"], tmp_path / "agent.yaml")
    agent, _ = load_agent({}, {}, tmp_path / "agent.yaml")
    assert (agent.gossip.period, agent.gossip.fanout, agent.sample_interval) == (ours.gossip.period, ours.gossip.fanout, ours.sample_every)
    detection, wanted = agent.detection, ours.detection.settings()
    for name in ("detector", "suspicion", "probe_timeout", "tombstone"):
        assert getattr(detection, name) == getattr(wanted, name)
    assert agent.disable == ("storage",)
    assert tuple(metric for metric in agent.declared if metric.name != "storage") == ours.enabled_metrics()


def test_agents_are_told_no_more_than_differs(scenario: Make) -> None:
    assert agent_settings(scenario()) == {"period": 1.0, "fanout": 1, "sample_every": 1.0, "detector": "none"}
    pushed = agent_settings(scenario("gossip={strategy: rumor, flushes: 4, hot: 3}"))
    assert {name: pushed[name] for name in ("strategy", "flushes", "hot")} == {"strategy": "rumor", "flushes": 4, "hot": 3}


def test_what_agents_cannot_be_told_is_said(scenario: Make, tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    write_agent_file(scenario("detection.detector=swim"), [], path)
    assert [line for line in path.read_text().splitlines() if line.startswith("# ")] == [
        "# Add what is each machine's own: name, bind, seeds and key_file, here or as flags."
    ]
    ours = scenario(
        "gossip.burst=4",
        "detection.heartbeat=1 s",
        "metrics.heat={unit: degC, bound: 2}",
        "workload.heat={model: constant, value: 4}",
    )
    write_agent_file(ours, [], path)
    text = path.read_text()
    assert "# The scenario changes gossip.burst, detection.heartbeat, which agents cannot be told." in text
    assert "# heat (degC, bound 2) is missing: add it with what measures it." in text
    assert "# The scenario has no failure detection" in text
    assert load_agent({}, {}, path)[0].detector == "none"
