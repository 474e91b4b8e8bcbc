"""Scenarios: what is accepted, what is refused and how, what defines a run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from priomon_core.config import NO_LIMIT, GossipSettings
from priomon_core.metrics import BUILT_IN, Metric, Priority
from priomon_sim.scenario.document import Scenario, load, schema
from priomon_sim.scenario.network import Constant, GilbertElliott, Lognormal
from priomon_sim.scenario.problems import ScenarioError
from priomon_sim.scenario.topology import Complete
from priomon_sim.scenario.units import MILLISECOND, SECOND
from priomon_sim.scenario.workload import RECORDED, Synthetic, Trace

SHIPPED = Path(__file__).parents[2] / "scenarios"
MINIMAL = "nodes: 50\nduration: 20 s\nworkload: {kind: synthetic}\n"


def scenario(folder: Path, text: str, overrides: Sequence[tuple[str, str]] = ()) -> Scenario:
    path = folder / "it.yaml"
    path.write_text(text)
    return load(path, overrides)


def refusal(folder: Path, text: str, overrides: Sequence[tuple[str, str]] = ()) -> list[str]:
    """All problems, without the folder."""
    with pytest.raises(ScenarioError) as error:
        scenario(folder, text, overrides)
    return [line.replace(f"{folder}/", "") for line in str(error.value).splitlines()]


def test_the_smallest_scenario_has_the_documented_defaults(tmp_path: Path) -> None:
    it = scenario(tmp_path, MINIMAL)
    assert (it.name, it.seed, it.nodes, it.duration, it.filter, it.start) == ("it", 1, 50, 20 * SECOND, "bounded", "cold")
    assert it.enabled_metrics() == BUILT_IN
    assert it.gossip.settings() == GossipSettings()
    assert it.gossip.strategy == "tree"
    assert isinstance(it.topology, Complete)
    assert isinstance(it.network.latency, Constant)
    assert it.network.latency.value == MILLISECOND
    assert it.dump()["network"]["loss"] == {"kind": "bernoulli", "share": "0 %"}
    assert (it.network.bandwidth, it.network.queue, it.network.reorder, it.network.links) == (None, 256_000, None, ())
    assert isinstance(it.workload, Synthetic)
    assert list(it.workload.metrics) == [metric.name for metric in BUILT_IN]
    assert it.sample_every is None
    assert (it.measure.every, it.measure.spread_every, it.measure.spread_origins) == (SECOND, 100 * MILLISECOND, 32)


def test_a_name_made_of_the_file_name_is_fit_for_a_folder(tmp_path: Path) -> None:
    path = tmp_path / ".my run (2).yaml"
    path.write_text(MINIMAL)
    assert load(path).name == "my-run-2-"


def test_metrics_change_key_by_key_and_new_ones_follow(tmp_path: Path) -> None:
    text = """
filter: schedule
metrics:
  gpu: {unit: "%", bound: 4, priority: critical, silence: 5 s, alarm: 90, filter: none}
  cpu: {bound: 7}
  storage: {enabled: false}
"""
    it = scenario(tmp_path, MINIMAL.replace("synthetic", "synthetic, gpu: {model: constant, value: 3}") + text)
    cpu, memory, network, gpu = it.enabled_metrics()
    assert cpu == Metric("cpu", "%", 7.0, Priority.HIGH, filter="schedule")
    assert memory.filter == network.filter == "schedule"
    assert (network.scale, network.floor) == ("log", 10_000.0)
    assert gpu == Metric("gpu", "%", 4.0, Priority.CRITICAL, silence=5.0, alarm=90.0, filter="none")


def test_shorthands_mean_their_long_forms(tmp_path: Path) -> None:
    short = scenario(tmp_path, MINIMAL + "network: {latency: 30 ms, loss: 20 %}\n")
    long = scenario(tmp_path, MINIMAL + "network: {latency: {kind: constant, value: 0.03}, loss: {kind: bernoulli, share: 0.2}}\n")
    assert short == long


def test_links_inherit_what_they_do_not_say(tmp_path: Path) -> None:
    network = """
network:
  latency: {kind: lognormal, median: 20 ms, sigma: 0.5}
  bandwidth: 1 Mbit/s
  links:
    - {from: a, to: "*", loss: {kind: gilbert-elliott, to_bad: 1 %, to_good: 20 %}, queue: 8 kB}
    - {from: "*", to: a, bandwidth: none, latency: 1 ms}
"""
    there, back = scenario(tmp_path, MINIMAL + network).network.links
    assert (there.source, there.target, there.bandwidth, there.queue) == ("a", "*", 125_000.0, 8_000)
    assert isinstance(there.latency, Lognormal)
    assert isinstance(there.loss, GilbertElliott)
    assert (there.loss.good_loss, there.loss.bad_loss, there.loss.to_bad, there.loss.to_good) == (0.0, 1.0, 0.01, 0.2)
    assert back.bandwidth is None
    assert isinstance(back.latency, Constant)


def test_a_workload_may_be_left_to_real_machines(tmp_path: Path) -> None:
    it = scenario(tmp_path, "nodes: 50\nduration: 20 s\n")
    assert it.workload is None
    assert it.dump()["workload"] == "none"
    assert it == scenario(tmp_path, MINIMAL, [("workload", "none")])


def test_the_datagram_limit_can_be_lifted(tmp_path: Path) -> None:
    lifted = scenario(tmp_path, MINIMAL, [("gossip.datagram_limit", "none")])
    assert lifted.gossip.datagram_limit is None
    assert lifted.gossip.settings().datagram_limit == NO_LIMIT


def test_traces_know_the_columns_of_our_own_recordings_and_take_any_others(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("time_s,cpu\n0,1\n")
    text = "nodes: 5\nduration: 9 s\nworkload: {kind: trace, path: t.csv, every: 5 s}\n"
    it = scenario(tmp_path, text)
    assert isinstance(it.workload, Trace)
    assert {name: columns.columns for name, columns in it.workload.columns.metrics.items()} == {
        name: (column,) for name, column in RECORDED.items()
    }
    assert it.locate(it.workload.path) == tmp_path / "t.csv"
    assert it.workload.every == 5 * SECOND

    columns = "{node: host, cpu: c, memory: [m, swap], network: {columns: [rx, tx], scale: 1e-3}}"
    mapped = scenario(tmp_path, text, [("workload.columns", columns), ("metrics.storage.enabled", "false")]).workload
    assert isinstance(mapped, Trace)
    assert (mapped.columns.node, mapped.columns.time) == ("host", "time_s")
    assert mapped.columns.metrics["memory"].columns == ("m", "swap")
    assert (mapped.columns.metrics["network"].columns, mapped.columns.metrics["network"].scale) == (("rx", "tx"), 0.001)


def test_all_mistakes_are_reported_at_once_with_place_and_advice(tmp_path: Path) -> None:
    text = """\
nodes: 1
sede: 3
topology: {kind: random-regular, degree: 16, hop_latency: 3 ms}
gossip:
  fanuot: 3
  period: 10 sec
network:
  latency: {kind: unifrm, low: 3}
  loss: 120 %
  bandwidth: 10
  links:
    - {from: a, to: "*", loss: 3, qeue: 2}
    - {from: 3}
    - {from: a, to: b, latency: {kind: uniform, low: 3 s, high: 2 s}}
metrics: {storage: off, gpu: {unit: "%"}, cpu: {enabled: no, bound: .inf}}
workload:
  kind: synthetic
  memory: {model: constant, valeu: 3}
  network: {value: 3}
measure: {spread_origins: 2.5, every: }
start: {warm: 1}
"""
    assert refusal(tmp_path, text) == [
        "it.yaml:1:1: duration: missing; expected virtual time to simulate",
        "it.yaml:1:8: nodes: found 1, expected at least 2",
        "it.yaml:2:1: sede: unknown key 'sede'; did you mean 'seed'?",
        "it.yaml:3:59: topology.hop_latency: found a latency per hop of an overlay, expected role: underlay "
        "(or the delay as network.latency)",
        "it.yaml:5:3: gossip.fanuot: unknown key 'fanuot'; did you mean 'fanout'?",
        "it.yaml:6:11: gossip.period: found 10 sec, expected a duration in s, ms, us, ns, min or h",
        "it.yaml:8:19: network.latency.kind: unknown kind 'unifrm'; did you mean 'uniform'?",
        "it.yaml:9:9: network.loss: found 120 %, expected a share from 0 % to 100 %",
        "it.yaml:10:14: network.bandwidth: found 10, expected a rate in Mbit/s, kbit/s, Gbit/s, bit/s, MB/s, kB/s, GB/s or B/s",
        "it.yaml:12:32: network.links[0].loss: found 3, expected a share from 0 % to 100 %",
        "it.yaml:12:35: network.links[0].qeue: unknown key 'qeue'; did you mean 'queue'?",
        "it.yaml:13:7: network.links[1].to: missing; expected name of the receiving node, or * for any",
        "it.yaml:13:14: network.links[1].from: found 3, expected text",
        "it.yaml:14:65: network.links[2].latency.high: found 2 s, expected at least low, which is 3 s",
        "it.yaml:15:20: metrics.storage: found 'off', expected a mapping (key: value)",
        "it.yaml:15:30: metrics.gpu.bound: missing; expected error that observers accept: in the unit on a linear scale, "
        "a factor above 1 on a log scale",
        "it.yaml:15:58: metrics.cpu.enabled: found 'no', expected true or false",
        "it.yaml:15:69: metrics.cpu.bound: found inf, expected a finite number",
        "it.yaml:18:11: workload.memory.value: missing; expected the value",
        "it.yaml:18:29: workload.memory.valeu: unknown key 'valeu'; did you mean 'value'?",
        "it.yaml:19:12: workload.network.model: missing; expected bursts, constant, diurnal, ornstein-uhlenbeck or random-walk",
        "it.yaml:20:27: measure.spread_origins: found 2.5, expected a whole number",
        "it.yaml:20:38: measure.every: found nothing, expected a duration such as 20 s",
        "it.yaml:21:8: start: found a mapping, expected 'cold' or 'known'",
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ("nodes: 0", "1:8: nodes: found 0, expected at least 2"),
        ("nodes: 70000", "1:8: nodes: found 70000, expected at most 65536"),
        ("nodes: true", "1:8: nodes: found true, expected a whole number"),
        ("seed: -1", "4:7: seed: found -1, expected at least 0"),
        ("name: ../up", "4:7: name: found '../up', expected letters, digits, '.', '_' or '-', the first a letter or digit"),
        ("duration: 0 s", "2:11: duration: found 0 s, expected a duration from 1 ns to 87600 h"),
        ("duration: 999 ms", "2:11: duration: found 999 ms, expected at least 1 s, the gossip.period"),
        ("measure: {every: 1 min}", "2:11: duration: found 20 s, expected at least 60 s, the measure.every"),
        ("gossip: {fanout: 50}", "4:18: gossip.fanout: found 50, expected at most 49, the neighbours that a node can have here"),
        ("gossip: {sealed: true, datagram_limit: 280 B}", "datagram_limit: expected at least 256 B, found 247 without the seal's 33 B"),
        ("gossip: {datagram_limit: 100 B}", "4:26: gossip.datagram_limit: datagram_limit: expected at least 256 B, found 100"),
        (
            "gossip: {datagram_limit: 64 KiB}",
            "4:26: gossip.datagram_limit: found 64 KiB, expected at most 65507 B, what UDP carries, or none",
        ),
        ("gossip: {datagram_limit: }", "4:25: gossip.datagram_limit: found nothing, expected a value or the word none"),
        ("gossip: [1]", "4:9: gossip: found a list, expected a mapping (key: value)"),
        ("topology: {degree: 3}", "4:11: topology.kind: missing; expected barabasi-albert, complete, "),
        ("topology: {kind: random-regular, degree: 50}", "degree: found 50, expected fewer neighbours than the 50 nodes"),
        ("topology: {kind: complete, degree: 3}", "4:28: topology.degree: unknown key 'degree'; expected allow_disconnected, "),
        ("topology: {kind: watts-strogatz, degree: 3}", "degree: found 3, expected an even number: half of the neighbours"),
        ("topology: {kind: watts-strogatz, degree: 50}", "degree: found 50, expected fewer neighbours than the 50 nodes"),
        ("topology: {kind: barabasi-albert, attach: 50}", "attach: found 50, expected fewer links than the 50 nodes"),
        ("topology: {kind: grid, rows: 5, columns: 9}", "rows: found 5 rows of 9 columns, expected a product of 50, the number"),
        ("topology: {kind: grid, columns: 7}", "columns: found 7, expected a divisor of 50, the number of nodes"),
        ("topology: {kind: file, path: no.graphml}", "path: found 'no.graphml', expected a file; there is none at"),
        ("network: {queue: 8 kB}", "4:18: network.queue: found a queue without a bandwidth, expected both"),
        ("network: {links: [{from: a, to: b, queue: 8 kB}]}", "link from 'a' to 'b': found a queue without a bandwidth"),
        ("network: {loss: {kind: gilbert-elliott, to_bad: 1 %, to_good: 0}}", "to_good: found 0 %, expected more: a link that"),
        ("metrics: {heat: {unit: K, bound: 1}}", "workload.heat: found no model for the metric 'heat'; expected one here, or "),
        ("metrics: {cpu: {scale: log, bound: 0.5}}", "metrics.cpu: metric 'cpu': on a log scale the bound is a factor above 1"),
        ("metrics: {kind: {unit: K, bound: 1}}", "metrics.kind: found a metric called 'kind', expected another name: the workload"),
        ("workload: {kind: synthetic, cpuu: {model: constant, value: 1}}", "unknown metric 'cpuu'; did you mean 'cpu'?"),
        ("workload: {kind: synthetic, cpu: {model: constant, value: -1}}", "found values down to -1, expected none below 0, or "),
        ("workload: {kind: synthetic, cpu: {model: random-walk, deviation: 1, low: 120}}", "found 100, expected more than low"),
        ("workload: {kind: synthetic, cpu: {model: bursts, base: 5, peak: 2}}", "found 2, expected at least base, which is 5"),
        ("workload: {kind: trace, path: no.csv}", "3:31: workload.path: found 'no.csv', expected a file; there is none at"),
        ("workload: {kind: trace, path: t.csv, columns: {cpu: c}}", "workload.columns.memory: found no column for the metric"),
        ("workload: {kind: trace, path: t.csv, columns: {cpu: 3}}", "3:53: workload.columns.cpu: found 3, expected a list"),
    ],
)
def test_each_mistake_is_named_at_its_place(tmp_path: Path, changes: str, problem: str) -> None:
    (tmp_path / "t.csv").write_text("time_s,c\n0,1\n")
    lines = MINIMAL.splitlines()
    key = changes.partition(":")[0]
    changed = [changes if line.startswith(f"{key}:") else line for line in lines]
    if changed == lines:
        changed.append(changes)
    problems = refusal(tmp_path, "\n".join(changed))
    assert any(problem in found for found in problems), problems
    assert all(found.startswith("it.yaml:") for found in problems)


@pytest.mark.parametrize(
    ("topology", "most"),
    [("{kind: ring}", 2), ("{kind: grid}", 4), ("{kind: random-regular, degree: 5}", 5), ("{kind: star}", 49)],
)
def test_fanout_is_held_to_the_neighbours_of_an_overlay(tmp_path: Path, topology: str, most: int) -> None:
    fits = [("topology", topology), ("gossip.fanout", str(most))]
    assert scenario(tmp_path, MINIMAL, fits).gossip.fanout == most
    (problem,) = refusal(tmp_path, MINIMAL, [("topology", topology), ("gossip.fanout", str(most + 1))])
    assert problem == f"--set gossip.fanout: found {most + 1}, expected at most {most}, the neighbours that a node can have here"
    if most < 49:
        underlay = [("topology", topology.replace("}", ", role: underlay}")), ("gossip.fanout", str(most + 1))]
        assert scenario(tmp_path, MINIMAL, underlay).gossip.fanout == most + 1


def test_a_run_may_last_one_period(tmp_path: Path) -> None:
    assert scenario(tmp_path, MINIMAL, [("duration", "1 s")]).duration == SECOND


def test_a_regular_graph_needs_an_even_number_of_ends(tmp_path: Path) -> None:
    regular = [("topology", "{kind: random-regular, degree: 3}")]
    assert scenario(tmp_path, MINIMAL, regular).nodes == 50
    (problem,) = refusal(tmp_path, MINIMAL, [*regular, ("nodes", "51")])
    assert problem == "--set topology: topology.degree: found 3 for 51 nodes, expected an even product: every link has two ends"


def test_one_mistake_does_not_cause_others(tmp_path: Path) -> None:
    """What depends on a wrong value is not judged by the default that stands in for it."""
    text = MINIMAL + "gossip: {fanout: 10}\ntopology: {kind: ring, degre: 3}\nmetrics: {heat: {unit: K, bond: 1}}\n"
    assert refusal(tmp_path, text.replace("nodes: 50", "nodes: many").replace("synthetic", "synthetik")) == [
        "it.yaml:1:8: nodes: found 'many', expected a whole number",
        "it.yaml:3:18: workload.kind: unknown kind 'synthetik'; did you mean 'synthetic'?",
        "it.yaml:5:24: topology.degre: unknown key 'degre'; expected allow_disconnected, hop_latency, kind or role",
        "it.yaml:6:17: metrics.heat.bound: missing; expected error that observers accept: in the unit on a linear scale, "
        "a factor above 1 on a log scale",
        "it.yaml:6:27: metrics.heat.bond: unknown key 'bond'; did you mean 'bound'?",
    ]


def test_metrics_may_be_called_like_shapes(tmp_path: Path) -> None:
    """`synthetic` is both the workload's kind and a metric: the path must not lose it."""
    text = "nodes: 5\nduration: 9 s\nmetrics: {synthetic: {unit: x, bound: 1}}\nworkload:\n  kind: synthetic\n"
    problems = refusal(tmp_path, f"{text}  synthetic: {{model: constant, value: x}}\n")
    assert problems == ["it.yaml:6:39: workload.synthetic.value: found 'x', expected a number"]


def test_overrides_are_named_in_their_errors(tmp_path: Path) -> None:
    overrides = [("gossip.fanout", "0"), ("network.loss", "2"), ("network.latency", "{kind: uniform, high: 1 s}"), ("noods", "3")]
    assert refusal(tmp_path, MINIMAL, overrides) == [
        "--set gossip.fanout: found 0, expected at least 1",
        "--set network.latency: network.latency.low: missing; expected the shortest delay",
        "--set network.loss: found 2, expected a share from 0 % to 100 %",
        "--set noods: unknown key 'noods'; did you mean 'nodes'?",
    ]


def test_the_hash_names_what_is_run(tmp_path: Path) -> None:
    one = scenario(tmp_path, MINIMAL).hash
    assert len(one) == 12
    assert int(one, 16) >= 0
    for name, text in (("name", "other"), ("description", "words"), ("seed", "7"), ("gossip.period", "1000 ms"), ("filter", "bounded")):
        assert scenario(tmp_path, MINIMAL, [(name, text)]).hash == one, name
    for name, text in (("nodes", "51"), ("network.loss", "1 %"), ("filter", "none"), ("metrics.cpu.bound", "6"), ("start", "known")):
        assert scenario(tmp_path, MINIMAL, [(name, text)]).hash != one, name


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "seed": st.integers(0, 2**63 - 1),
    "filter": st.sampled_from(["none", "schedule", "bounded"]),
    "start": st.sampled_from(["cold", "known"]),
    "sample_every": st.sampled_from(["period", "2 s", 0.5]),
    "topology": st.sampled_from(
        [{"kind": "ring"}, {"kind": "grid", "rows": 5}, {"kind": "random-geometric", "role": "underlay", "hop_latency": "3 ms"}]
    ),
    "network": st.fixed_dictionaries(
        {},
        optional={
            "latency": st.sampled_from(
                ["5 ms", {"kind": "uniform", "low": 0, "high": "1 s"}, {"kind": "lognormal", "median": 1, "sigma": 1}]
            ),
            "loss": st.floats(0, 1) | st.just({"kind": "gilbert-elliott", "to_bad": "1 %", "to_good": 0.3}),
            "bandwidth": st.sampled_from(["none", "256 kbit/s", "3 B/s"]),
            "duplicate": st.floats(0, 1),
            "reorder": st.just("none") | st.fixed_dictionaries({"share": st.floats(0, 1), "extra": st.just("15 us")}),
            "links": st.lists(
                st.fixed_dictionaries({"from": st.text(min_size=1), "to": st.just("*"), "loss": st.floats(0, 1)}), max_size=2
            ),
        },
    ),
    "gossip": st.fixed_dictionaries(
        {}, optional={"datagram_limit": st.just("none") | st.integers(256, 65_507), "burst": st.integers(1, 99)}
    ),
    "metrics": st.fixed_dictionaries({}, optional={"cpu": st.just({"enabled": False}), "memory": st.just({"alarm": 90, "silence": "3 s"})}),
}


@given(chosen=st.fixed_dictionaries({}, optional=VALUES))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_what_is_dumped_loads_as_the_same_scenario(tmp_path: Path, chosen: dict[str, Any]) -> None:
    given_text = yaml.safe_dump({"nodes": 50, "duration": "20 s", "workload": {"kind": "synthetic"}, **chosen})
    first = scenario(tmp_path, given_text)
    again = scenario(tmp_path, yaml.safe_dump(first.dump()))
    assert again.dump() == first.dump()
    assert again == first
    assert again.hash == first.hash


FULL: dict[str, Any] = {
    "nodes": 50,
    "duration": "20 s",
    "filter": "none",
    "metrics": {"heat": {"unit": "K", "bound": 2, "alarm": "none"}, "cpu": {"enabled": False}},
    "gossip": {"period": "2 s", "fanout": 2},
    "topology": {"kind": "grid", "rows": 5, "columns": "auto", "role": "underlay", "hop_latency": {"kind": "constant", "value": 1}},
    "network": {
        "latency": {"kind": "uniform", "low": 0, "high": 1},
        "loss": {"kind": "gilbert-elliott", "to_bad": "1 %", "to_good": 0.3},
        "bandwidth": "1 Mbit/s",
        "reorder": {"share": 0.1, "extra": 1},
        "links": [{"from": "a", "to": "*", "loss": 0.5}, {"from": "b", "to": "*"}],
    },
    "workload": {"kind": "synthetic", "heat": {"model": "diurnal", "mean": 300, "amplitude": 9, "high": 400}},
    "measure": {"every": "1 s"},
}
JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 0, 1e300, 2.5, "", "none", "grid", "trace", "20 %", "1 s", [], [1], {}, {"kind": "file"}, {"a": {}}]
)


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """A good scenario in which some values are replaced, added or taken away."""
    data: dict[str, Any] = deepcopy(FULL)
    for _ in range(draw(st.integers(1, 4))):
        here: Any = data
        while True:
            key = draw(st.sampled_from([*here, "kind", "new"] if isinstance(here, dict) else range(len(here))))
            inner = here[key] if isinstance(here, list) else here.get(key)
            if not inner or not isinstance(inner, (dict, list)) or draw(st.integers(0, 3)) == 0:
                break
            here = inner
        if isinstance(here, dict) and draw(st.booleans()):
            here.pop(key, None)
        else:
            here[key] = deepcopy(draw(JUNK))
    return data


@given(data=spoilt())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
def test_whatever_is_spoilt_gives_a_scenario_or_problems_with_places(tmp_path: Path, data: dict[str, Any]) -> None:
    text = yaml.safe_dump(data)
    try:
        scenario(tmp_path, text)
    except ScenarioError as error:
        lines = text.count("\n")
        assert error.problems
        assert all(1 <= problem.line <= lines and problem.column >= 1 and problem.message for problem in error.problems)


def keys(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every key that a schema describes."""
    if isinstance(node, dict):
        for name, inner in node.get("properties", {}).items():
            yield f"{path}/{name}", inner
        for name, inner in node.items():
            yield from keys(inner, f"{path}/{name}")


def test_the_schema_describes_every_key() -> None:
    described = dict(keys(schema()))
    assert len(described) > 80
    assert [path for path, inner in described.items() if len(inner.get("description", "")) < 10] == []
    undocumented = [path for path, inner in described.items() if "const" not in inner and "efault" not in inner["description"]]
    assert undocumented == [], "every description says what the default is"


def test_the_shipped_schema_is_current() -> None:
    assert json.loads((SHIPPED / "schema.json").read_text()) == schema()


PLAIN = ("quick", "loss20", "baseline-demon", "lan", "wan", "edge-tree", "trace", "tournament")
FAULTY = ("failures", "churn", "partition", "flapping", "one-way", "slow-nodes", "restart-storm")


@pytest.mark.parametrize("name", [*PLAIN, *FAULTY])
def test_shipped_scenarios_load_and_name_their_schema(name: str) -> None:
    path = SHIPPED / f"{name}.yaml"
    it = load(path)
    assert it.name == name
    assert len(it.description) > 20
    assert path.read_text().startswith("# yaml-language-server: $schema=schema.json\n# ")


def test_the_scenario_whose_trace_is_not_shipped_says_so_and_takes_another() -> None:
    path = SHIPPED / "traces" / "nezha.yaml"
    it = load(path, [("workload.path", "workstation.csv.gz")])
    assert (it.nodes, it.gossip.strategy, it.sweep is not None) == (1000, "tree", True)
    with pytest.raises(ScenarioError, match=r"workload\.path: found 'absent\.csv\.gz', expected a file"):
        load(path, [("workload.path", "absent.csv.gz")])


@pytest.mark.parametrize("name", FAULTY)
def test_shipped_scenarios_of_failures_detect_them(name: str) -> None:
    it = load(SHIPPED / f"{name}.yaml")
    assert (it.detection.detector, it.start) == ("swim", "known")
    assert it.faults


def test_faults_that_cannot_strike_are_all_named_at_their_places(tmp_path: Path) -> None:
    text = """nodes: 20
duration: 60 s
faults:
  - {kind: crash, at: 10 s, nodes: nodee03}
  - {kind: pause, at: 20 s, nodes: node03}
  - kind: partition
    at: 70 s
    nodes: node01
    peers: node01
"""
    assert refusal(tmp_path, text) == [
        "it.yaml:4:5: faults[0]: no node is called 'nodee03'; did you mean node03?",
        "it.yaml:6:5: faults[2]: found at: 70 s, expected before the end, 60 s",
    ]


def test_the_baseline_differs_from_loss20_in_the_protocol_only() -> None:
    ours, prototype = load(SHIPPED / "loss20.yaml"), load(SHIPPED / "baseline-demon.yaml")
    for name in ("seed", "nodes", "duration", "topology", "network", "workload", "sample_every", "start", "faults", "measure"):
        assert getattr(ours, name) == getattr(prototype, name), name
    assert (prototype.gossip.strategy, prototype.gossip.fanout, prototype.filter) == ("demon", 3, "none")
