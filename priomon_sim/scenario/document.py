"""A scenario: everything that defines a run but the code, read from YAML.

`load` reports all that is wrong at once. Values of a wrong type or range are found by pydantic's models (`scenario_*.py`); what is
left when they are taken away is then checked for contradictions, so that one mistake does not hide another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from copy import deepcopy
from hashlib import blake2b
from json import dumps
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator
from pydantic.json_schema import GenerateJsonSchema

from priomon_core.metrics import Filter, Metric
from priomon_sim.scenario.checks import findings
from priomon_sim.scenario.detection import Detection
from priomon_sim.scenario.faults import Faults
from priomon_sim.scenario.gossip import BUILT_IN_METRICS, Gossip, Measure, MetricSettings
from priomon_sim.scenario.messages import explain, locate
from priomon_sim.scenario.network import Network
from priomon_sim.scenario.problems import Problem, ScenarioError
from priomon_sim.scenario.queries import Queries
from priomon_sim.scenario.settings import OrNone, OrPeriod, Settings, written
from priomon_sim.scenario.sweep import Sweep
from priomon_sim.scenario.topology import Complete, Topology
from priomon_sim.scenario.units import PositiveDuration
from priomon_sim.scenario.workload import Workload
from priomon_sim.scenario.yaml_source import Source, YamlPath, read

UNHASHED = {"name", "description", "seed"}  # what does not change what is run (the seed is recorded on its own)
MOST_NODES = 65_536  # a link is numbered by two 16-bit numbers of nodes
STAND_IN = {"nodes": 2, "duration": "1 s"}  # for required values that turned out to be wrong


class Scenario(Settings):
    """A scenario of PrioMon: who gossips what over which network, and for how long."""

    name: str = Field(default="scenario", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the results' folder and in tables. Default: the file's name without its ending."""
    description: str = ""
    """What the scenario is for, in a sentence or two. Default: empty."""
    seed: int = Field(default=1, ge=0, lt=2**63)
    """Where all randomness comes from: the same scenario and seed give the same run, everywhere. Default: 1."""
    nodes: int = Field(ge=2, le=MOST_NODES)
    """Number of nodes, 2 to 65,536. No default."""
    duration: PositiveDuration
    """Virtual time to simulate. No default."""
    filter: Filter = "bounded"
    """Which samples are published, for metrics that do not say their own. bounded: what differs by the bound from the last
    published value; schedule: the prototype's rule (compares with the previous sample); none: every sample. Default: bounded."""
    metrics: dict[str, MetricSettings] = written({})
    """What nodes measure, by name. cpu, memory, network and storage are built in and may be changed key by key; a new metric needs
    a unit and a bound. Default: the built-in four."""
    gossip: Gossip = Gossip()
    """How knowledge travels. Default: scuttlebutt, fan-out 1, a round per second."""
    topology: Topology = Complete()
    """Who is whose neighbour. Default: complete."""
    network: Network = Network()
    """What links do to datagrams. Default: 1 ms, nothing lost, no limit of bandwidth."""
    workload: OrNone[Workload] = written("none")
    """What the nodes measure: a trace, or models (kind: synthetic); none: real agents measure their own machines, and the scenario
    cannot be simulated. Default: none."""
    sample_every: OrPeriod[PositiveDuration] = written("period")
    """Time between two samples of a node; period: one per gossip period. Default: period."""
    start: Literal["cold", "known"] = "cold"
    """What nodes know of each other at the start. cold: nothing; known: everyone's first publication, as after a long uptime.
    Default: cold."""
    detection: Detection = Detection()
    """How nodes find out who is alive. Default: they do not."""
    faults: Faults = ()
    """What goes wrong, and when: a list of {at, kind, nodes, ...}. Default: none."""
    queries: OrNone[Queries] = written("none")
    """Reads of the state of nodes through others. Default: none."""
    measure: Measure = Measure()
    """How closely the run is watched. Default: a probe per second."""
    sweep: OrNone[Sweep] = Field(default="none", exclude=True)  # type: ignore[assignment]  # what else is run is no part of this run
    """Which variants of this scenario the verb `sweep` runs; a run of the scenario itself pays no heed to it. Default: none."""

    _folder: Path = PrivateAttr(default=Path())

    @field_validator("metrics", mode="before")
    @classmethod
    def _over_built_in(cls, given: Any, info: ValidationInfo) -> Any:
        if not isinstance(given, dict):
            return given
        common = {"filter": info.data.get("filter", "bounded")}
        complete: dict[str, Any] = {name: {**common, **built_in} for name, built_in in BUILT_IN_METRICS.items()}
        for name, settings in given.items():
            complete[name] = {**complete.get(name, common), **settings} if isinstance(settings, dict) else settings
        return complete

    def enabled_metrics(self) -> tuple[Metric, ...]:
        """What is measured, in the order of all rows and tables: the built-in metrics, then new ones as in the file."""
        return tuple(settings.metric(name) for name, settings in self.metrics.items() if settings.enabled)

    def locate(self, path: str) -> Path:
        """Where a file that this scenario names is."""
        return self._folder / path

    def dump(self, folder: Path | None = None) -> dict[str, Any]:
        """All settings as plain values, quantities with their units; loading them again gives an equal scenario.

        Files are named as this scenario names them, or as one in another `folder` has to.
        """
        context = None if folder is None else {"from": self._folder.resolve(), "to": folder.resolve()}
        return self.model_dump(mode="json", by_alias=True, context=context)

    @property
    def hash(self) -> str:
        """12 hexadecimal digits that name what is run: equal for scenarios that differ in name, description and seed only.

        Files count by their path as written, not by their content.
        """
        content = {key: value for key, value in self.dump().items() if key not in UNHASHED}
        return blake2b(dumps(content).encode(), digest_size=6).hexdigest()


class _PlainSchema(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # titles that only repeat the key hide the descriptions in editors


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a scenario, for editors and for docs."""
    described = Scenario.model_json_schema(schema_generator=_PlainSchema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}


def load(path: Path, overrides: Sequence[tuple[str, str]] = ()) -> Scenario:
    """The scenario in the YAML file at `path`, after `--set` pairs such as `("gossip.fanout", "3")`.

    Raises `ScenarioError` with everything that is wrong.
    """
    source, problems = opened(path, overrides)
    return checked(source, path.parent, problems)


def opened(path: Path, overrides: Sequence[tuple[str, str]] = ()) -> tuple[Source, list[Problem]]:
    """The settings in the file at `path` with those of `--set` in their places, and which of the latter have none.

    Raises `ScenarioError` for what is no YAML.
    """
    source = read(path)
    problems: list[Problem] = []
    for name, text in overrides:
        try:
            source.override(name, text)
        except ScenarioError as error:
            problems += error.problems
    source.data.setdefault("name", re.sub(r"[^A-Za-z0-9._-]+|^[^A-Za-z0-9]+", "-", path.stem).lstrip("._-") or "scenario")
    return source, problems


def checked(source: Source, folder: Path, problems: Iterable[Problem] = ()) -> Scenario:
    """The scenario that `source` holds; files that it names are sought from `folder`.

    Raises `ScenarioError` with everything that is wrong with it, and the `problems` that are known already.
    """
    problems = list(problems)
    removed: list[YamlPath] = []
    try:
        scenario = _validate(source.data, folder)
    except ValidationError as error:
        problems += explain(error, source, schema())
        scenario, removed = _rest(source.data, error, folder)
    problems += (source.place(place).problem(place, message) for place, message in findings(scenario, removed))
    if problems:
        raise ScenarioError(problems)
    return scenario


def _rest(given: dict[str, Any], error: ValidationError, folder: Path) -> tuple[Scenario, list[YamlPath]]:
    """What is left of a scenario without all that is wrong, and the paths that were taken out."""
    data, removed = deepcopy(given), []
    while True:
        for place in [locate(detail, data) for detail in error.errors()]:
            removed.append(_cut(data, place))
        try:
            return _validate(STAND_IN | data, folder), removed
        except ValidationError as again:  # something required is gone: the next cut takes the mapping that lacks it
            error = again


def _validate(data: dict[str, Any], folder: Path) -> Scenario:
    scenario = Scenario.model_validate(data, context={"folder": folder})
    scenario._folder = folder
    return scenario


def _cut(data: dict[str, Any], path: YamlPath) -> YamlPath:
    """Take what is wrong at `path` out of `data` (a missing key: the mapping that lacks it; in a list: the list)."""
    here = data
    for depth, step in enumerate(path[:-1]):
        inner = here.get(str(step))
        if not isinstance(inner, dict) or path[depth + 1] not in inner:
            path = path[: depth + 1]
            break
        here = inner
    here.pop(str(path[-1]), None)
    return path
