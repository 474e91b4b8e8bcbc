"""YAML read strictly, with places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from priomon_sim.scenario.problems import ScenarioError
from priomon_sim.scenario.yaml_source import Place, Source, read, scalar


def source(folder: Path, text: str | bytes) -> Source:
    path = folder / "it.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path)


def refusal(folder: Path, text: str | bytes) -> list[str]:
    """The problems without the folder."""
    with pytest.raises(ScenarioError) as error:
        source(folder, text)
    return [str(problem).removeprefix(f"{folder}/") for problem in error.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-2.", -2.0),
        ("12", 12),
        ("+3", 3),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("false", False),
        ("~", None),
        ("null", None),
        (".inf", float("inf")),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("True", "True"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2026-01-31", "2026-01-31"),
        ("10 ms", "10 ms"),
        ("9" * 5000, float("inf")),
    ],
)
def test_plain_scalars_follow_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    read_value = source(tmp_path, f"a: {text}\n").data["a"]
    assert read_value == value
    assert type(read_value) is type(value)


@pytest.mark.parametrize("text", ["'12'", '"12"', "!!str 12"])
def test_quoted_scalars_are_text(tmp_path: Path, text: str) -> None:
    assert source(tmp_path, f"a: {text}\n").data == {"a": "12"}


@given(st.one_of(st.integers(), st.floats(allow_nan=False)))
def test_numbers_survive_their_text(number: float) -> None:
    text = repr(number).replace("inf", ".inf")
    assert scalar(text) == number


def test_places_of_keys_and_values(tmp_path: Path) -> None:
    found = source(tmp_path, "nodes: 5\nnetwork:\n  loss: 120 %\n  links: [{to: b}, {to:   c}]\n")
    file = str(tmp_path / "it.yaml")
    assert found.data == {"nodes": 5, "network": {"loss": "120 %", "links": [{"to": "b"}, {"to": "c"}]}}
    assert found.place(("network", "loss")) == Place(file, 3, 9)
    assert found.place(("network", "loss"), key=True) == Place(file, 3, 3)
    assert found.place(("network", "links", 1, "to")) == Place(file, 4, 27)
    assert found.place(("network", "queue")) == Place(file, 3, 3), "what is missing is placed at the mapping that lacks it"


def test_equal_keys_are_refused_with_both_places(tmp_path: Path) -> None:
    assert refusal(tmp_path, "a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n") == [
        "it.yaml:5:3: b.c: found this key twice (first at line 3, column 3), expected it once",
        "it.yaml:6:1: a: found this key twice (first at line 1, column 1), expected it once",
    ]


def test_anchors_and_merges(tmp_path: Path) -> None:
    text = "one: &one {x: 1, y: 1}\ntwo: &two {x: 2, z: 2}\nall: {<<: [*one, *two], y: 3}\ncopy: *one\n"
    found = source(tmp_path, text)
    assert found.data["all"] == {"x": 1, "y": 3, "z": 2}
    assert found.data["copy"] == {"x": 1, "y": 1}
    assert found.place(("all", "z")).line == 2, "a merged value is placed where it is written"
    assert found.place(("all", "y")).line == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it.yaml:1:1: the file is empty, expected a scenario with at least nodes, duration and workload"),
        ("# only a comment\n", "it.yaml:1:1: the file is empty, expected a scenario with at least nodes, duration and workload"),
        ("- 1\n- 2\n", "it.yaml:1:1: found a list at the top, expected a mapping such as 'nodes: 50'"),
        ("null\n", "it.yaml:1:1: found nothing at the top, expected a mapping such as 'nodes: 50'"),
        ("a: 1\n---\nb: 1\n", "it.yaml:2:1: not YAML: but found another document"),
        ("a: b: c\n", "it.yaml:1:5: not YAML: mapping values are not allowed here"),
        ("a: [1, 2\n", "it.yaml:2:1: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("a:\n\t- 1\n", "it.yaml:2:1: not YAML: found character '\\t' that cannot start any token"),
        ("a: *b\n", "it.yaml:1:4: not YAML: found undefined alias 'b'"),
        ("a: 1\nb: \x01\n", "it.yaml:2:4: not YAML: the character '\\x01' is not allowed"),
        (b"\x89PNG\r\n", "it.yaml:1:1: found byte 0x89, which is not UTF-8 text; expected a scenario in YAML"),
        (b"a: 1\nb: \xff\n", "it.yaml:2:4: found byte 0xff, which is not UTF-8 text; expected a scenario in YAML"),
        ("a: !!python/object:os.system x\n", "it.yaml:1:4: a: found the tag !!python/object:os.system, expected a plain value"),
        ("a: !!set {b}\n", "it.yaml:1:4: a: found the tag !!set, expected a plain mapping or list"),
        ("[a]: 1\n", "it.yaml:1:1: found a list or a mapping as a key, expected text"),
        ("a: &a [*a]\n", "it.yaml:1:4: a[0]: found an alias to a value that holds it, expected no cycles"),
        ("a: {<<: 3}\n", "it.yaml:1:9: a: found a value that is no mapping after '<<', expected one or a list of them"),
        ('a: "\\UFFFFFFFF"\n', "it.yaml:1:1: not YAML: an escape in double quotes stands for no character"),
        ("a: " + "[" * 3000, "it.yaml:1:1: not YAML: too many collections inside each other"),
    ],
)
def test_what_is_no_scenario_is_refused_with_its_place(tmp_path: Path, text: str | bytes, problem: str) -> None:
    assert refusal(tmp_path, text) == [problem]


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9))
    (problem,) = refusal(tmp_path, f"l0: &l0 [1]\n{levels}")
    assert "found more than 100000 values" in problem


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    (problem,) = refusal(tmp_path, b"a" * 4_000_001)
    assert problem == "it.yaml:1:1: found more than 4000000 bytes, expected a scenario in YAML"


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as error:
        read(tmp_path / "none.yaml")
    assert str(error.value) == f"{tmp_path}/none.yaml: cannot be read: no such file or directory; expected a YAML file"
    with pytest.raises(ScenarioError, match="cannot be read: is a directory"):
        read(tmp_path)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(data=st.dictionaries(st.text(), PLAIN, min_size=1, max_size=4))
@settings(deadline=None)
def test_reads_what_pyyaml_writes(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> None:
    written = yaml.safe_dump(data)  # it quotes all text that YAML 1.1 takes for something else
    assert source(tmp_path_factory.mktemp("yaml"), written).data == data


def test_overrides_replace_values_and_places(tmp_path: Path) -> None:
    found = source(tmp_path, "gossip: {fanout: 1, period: 1 s}\nnetwork: {loss: {kind: x, a: 1}}\n")
    for name, text in (("gossip.fanout", "3"), ("network.loss", "20 %"), ("topology.kind", "ring"), ("nodes", "1e3")):
        found.override(name, text)
    assert found.data == {
        "gossip": {"fanout": 3, "period": "1 s"},
        "network": {"loss": "20 %"},
        "topology": {"kind": "ring"},
        "nodes": 1000.0,
    }
    problem = found.place(("gossip", "fanout")).problem(("gossip", "fanout"), "too many")
    assert str(problem) == "--set gossip.fanout: too many"
    assert found.place(("network", "loss", "a")) == Place("--set network.loss"), "places of what was replaced are gone"
    assert found.place(("gossip", "period")).line == 1


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("gossip..fanout", "3", "--set gossip..fanout: expected keys joined by dots, such as gossip.fanout=3"),
        ("", "3", "--set : expected keys joined by dots, such as gossip.fanout=3"),
        ("list.2", "3", "--set list.2: list has 2 elements, expected the number of one, from 0"),
        ("list.x.y", "3", "--set list.x.y: list has 2 elements, expected the number of one, from 0"),
        ("nodes.x", "3", "--set nodes.x: nodes is 5, which holds no keys; set the whole of it"),
        ("nodes", "[1", "--set nodes: not YAML: expected ',' or ']', but got '<stream end>'"),
    ],
)
def test_bad_overrides_are_refused(tmp_path: Path, name: str, text: str, problem: str) -> None:
    found = source(tmp_path, "nodes: 5\nlist: [1, {a: 2}]\n")
    with pytest.raises(ScenarioError) as error:
        found.override(name, text)
    assert str(error.value) == problem
    assert found.data == {"nodes": 5, "list": [1, {"a": 2}]}


def test_overrides_reach_into_lists(tmp_path: Path) -> None:
    found = source(tmp_path, "faults:\n  - {kind: crash, nodes: 3}\n  - {kind: pause}\n")
    for name, text in (("faults.0.nodes", "5"), ("faults.1", "{kind: leave}"), ("faults.1.at", "2 s")):
        found.override(name, text)
    assert found.data == {"faults": [{"kind": "crash", "nodes": 5}, {"kind": "leave", "at": "2 s"}]}
    assert found.place(("faults", 0, "nodes")) == Place("--set faults.0.nodes")
    assert found.place(("faults", 0, "kind")).line == 2
    assert found.place(("faults", 1, "kind")) == Place("--set faults.1")
