"""YAML read strictly, with the place of every key and value.

PyYAML follows YAML 1.1, where `no` is false, `1e-3` is text, `010` is eight, `1:30` is ninety and the second of two equal keys
wins in silence. Here scalars follow the core schema of YAML 1.2 and equal keys are refused. Values are built from PyYAML's node
graph, because only nodes know their line and column.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from priomon_sim.scenario.problems import Problem, ScenarioError, show

MOST_NODES = 100_000  # a few nested aliases can stand for billions of values
TAG = "tag:yaml.org,2002:"
PLAIN = "plain"  # our tag for a scalar without quotes or tag: what it is depends on its text
LARGEST_FILE = 4_000_000  # bytes; a scenario is text that a person wrote

INTEGER = re.compile(r"[-+]?[0-9]{1,300}")
BASED = re.compile(r"0o[0-7]{1,300}|0x[0-9a-fA-F]{1,300}")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
WORDS = {"true": True, "false": False, "null": None, "~": None, "": None, ".inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}

Step = str | int
YamlPath = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written; line 0 means outside of any file."""

    file: str
    line: int = 0
    column: int = 0

    def problem(self, path: YamlPath, message: str) -> Problem:
        """A problem at this place."""
        return Problem(self.file, self.line, self.column, dotted(path), message)


@dataclass(slots=True)
class Source:
    """A document as plain dicts, lists and scalars, and the places of its keys and values by path."""

    data: dict[str, Any]
    keys: dict[YamlPath, Place] = field(default_factory=dict)
    values: dict[YamlPath, Place] = field(default_factory=dict)

    def place(self, path: YamlPath, *, key: bool = False) -> Place:
        """The place of the value (or of the key) at `path`, or of the nearest thing around it."""
        if key and path in self.keys:
            return self.keys[path]
        while path not in self.values:
            path = path[:-1]
        return self.values[path]

    def override(self, name: str, text: str) -> None:
        """Put the YAML value `text` at the dotted path `name`, as `--set` does. Raises `ScenarioError`."""
        place = Place(f"--set {name}")
        path = tuple(name.split("."))
        if not all(path):
            raise ScenarioError([place.problem((), "expected keys joined by dots, such as gossip.fanout=3")])
        try:
            value = _Builder(place.file).document(text)
        except ScenarioError as error:
            raise ScenarioError(place.problem((), problem.message) for problem in error.problems) from None
        self.put(path, value, place, place)

    def put(self, path: tuple[str, ...], value: Any, key: Place, place: Place) -> None:
        """Put `value`, written at `place`, under a key written at `key`; elements of lists go by their numbers, from 0 on.

        Raises `ScenarioError` if something else is in its way.
        """
        here: Any = self.data
        steps: list[Step] = []
        for depth, name in enumerate(path, 1):
            if isinstance(here, list) and not (name.isdecimal() and int(name) < len(here)):
                raise ScenarioError(
                    [key.problem((), f"{dotted(tuple(steps))} has {len(here)} elements, expected the number of one, from 0")]
                )
            if not isinstance(here, (dict, list)):
                message = f"{dotted(tuple(steps))} is {show(here)}, which holds no keys; set the whole of it"
                raise ScenarioError([key.problem((), message)])
            steps.append(int(name) if isinstance(here, list) else name)
            if depth < len(path):
                here = here.setdefault(name, {}) if isinstance(here, dict) else here[int(name)]
        here[steps[-1]] = value
        whole = tuple(steps)
        for places in (self.keys, self.values):
            for old in [old for old in places if old[: len(whole)] == whole]:
                del places[old]
        self.keys[whole] = key
        self.values[whole] = place


def dotted(path: YamlPath) -> str:
    """`network.links[2].loss`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def read(path: Path) -> Source:
    """The one mapping that the YAML file at `path` holds. Raises `ScenarioError`."""
    start = Place(str(path), 1, 1)
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ScenarioError([Place(str(path)).problem((), f"cannot be read: {reason}; expected a YAML file")]) from None
    if len(raw) > LARGEST_FILE:
        raise ScenarioError([start.problem((), f"found more than {LARGEST_FILE} bytes, expected a scenario in YAML")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        message = f"found byte 0x{raw[error.start]:02x}, which is not UTF-8 text; expected a scenario in YAML"
        raise ScenarioError([Place(str(path), line, column).problem((), message)]) from None
    builder = _Builder(str(path))
    data = builder.document(text)
    if () not in builder.values:
        raise ScenarioError([start.problem((), "the file is empty, expected a scenario with at least nodes, duration and workload")])
    if not isinstance(data, dict):
        place = builder.values[()]
        raise ScenarioError([place.problem((), f"found {show(data)} at the top, expected a mapping such as 'nodes: 50'")])
    return Source(data, builder.keys, builder.values)


class _Loader(yaml.SafeLoader):
    """Composes nodes; leaves it to `scalar` what a plain one means."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return PLAIN if implicit[0] else f"{TAG}str"
        return f"{TAG}seq" if kind is yaml.SequenceNode else f"{TAG}map"


def scalar(text: str) -> bool | int | float | str | None:
    """What a plain scalar means by the core schema of YAML 1.2; unlike there, `True` and `NULL` are text."""
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    if BASED.fullmatch(text):
        return int(text, 0)
    return float(text) if FLOAT.fullmatch(text) else text


class _Builder:
    """Turns the node graph of one document into values, and notes where each came from."""

    def __init__(self, file: str) -> None:
        self.keys: dict[YamlPath, Place] = {}
        self.values: dict[YamlPath, Place] = {}
        self._file = file
        self._problems: list[Problem] = []
        self._around: set[int] = set()  # the collections that hold the current node, to notice one that holds itself
        self._nodes = 0

    def document(self, text: str) -> Any:
        """The value of the only document in `text`; no place is noted if there is none. Raises `ScenarioError`."""
        try:
            node = _Loader(text).get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            raise self._not_yaml(mark.line if mark else 0, mark.column if mark else 0, str(error.problem)) from None
        except yaml.reader.ReaderError as error:
            lines = text[: error.position].split("\n")
            message = f"the character {text[error.position]!r} is not allowed"
            raise self._not_yaml(len(lines) - 1, len(lines[-1]), message) from None
        except RecursionError:
            raise self._not_yaml(0, 0, "too many collections inside each other") from None
        except (ValueError, OverflowError):  # PyYAML lets an escape such as "\UFFFFFFFF" through to chr()
            raise self._not_yaml(0, 0, "an escape in double quotes stands for no character") from None
        data = None if node is None else self._value(node, ())
        if self._problems:
            raise ScenarioError(self._problems)
        return data

    def _not_yaml(self, line: int, column: int, message: str) -> ScenarioError:
        """The error for a place as PyYAML counts it, from 0."""
        return ScenarioError([Place(self._file, line + 1, column + 1).problem((), f"not YAML: {message}")])

    def _refused(self, node: yaml.Node, path: YamlPath, message: str) -> ScenarioError:
        return ScenarioError([*self._problems, self._place(node).problem(path, message)])

    def _place(self, node: yaml.Node) -> Place:
        return Place(self._file, node.start_mark.line + 1, node.start_mark.column + 1)

    def _value(self, node: yaml.Node, path: YamlPath) -> Any:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise self._refused(node, path, f"found more than {MOST_NODES} values, expected fewer (do aliases repeat each other?)")
        self.values[path] = self._place(node)
        if isinstance(node, yaml.ScalarNode):
            if node.tag not in (PLAIN, f"{TAG}str"):
                raise self._refused(node, path, f"found the tag {node.tag.replace(TAG, '!!')}, expected a plain value")
            return scalar(node.value) if node.tag == PLAIN else node.value
        if node.tag not in (f"{TAG}map", f"{TAG}seq"):
            raise self._refused(node, path, f"found the tag {node.tag.replace(TAG, '!!')}, expected a plain mapping or list")
        if id(node) in self._around:
            raise self._refused(node, path, "found an alias to a value that holds it, expected no cycles")
        self._around.add(id(node))
        built: Any
        if isinstance(node, yaml.MappingNode):
            built = self._mapping(node, path)
        else:
            built = [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        self._around.remove(id(node))
        return built

    def _mapping(self, node: yaml.MappingNode, path: YamlPath) -> dict[str, Any]:
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        own: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            (merged if key.tag == PLAIN and key.value == "<<" else own).append((key, value))
        built: dict[str, Any] = {}
        for _, value in merged:
            # Of several merged mappings the first wins, so it is laid down last.
            for source in reversed(value.value) if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(source, yaml.MappingNode):
                    raise self._refused(source, path, "found a value that is no mapping after '<<', expected one or a list of them")
                built |= self._value(source, path)
        self.values[path] = self._place(node)
        first: dict[str, Place] = {}
        for key, value in own:
            if not isinstance(key, yaml.ScalarNode):
                raise self._refused(key, path, "found a list or a mapping as a key, expected text")
            place, inner = self._place(key), (*path, key.value)
            if key.value in first:
                there = first[key.value]
                message = f"found this key twice (first at line {there.line}, column {there.column}), expected it once"
                self._problems.append(place.problem(inner, message))
                continue
            first[key.value] = self.keys[inner] = place
            built[key.value] = self._value(value, inner)
        return built
