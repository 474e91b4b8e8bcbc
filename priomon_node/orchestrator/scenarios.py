"""The scenarios in a folder, for somebody who wants to start one: what each is about, and why some cannot be run by agents."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from priomon_core.errors import PriomonError
from priomon_node.orchestrator.live import check
from priomon_sim.scenario.document import load


class UnknownScenarioError(PriomonError):
    """There is no scenario of this name."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A scenario file. `problem` is None if real agents can run it, else why they cannot; then the numbers are 0."""

    name: str
    path: Path
    description: str = ""
    nodes: int = 0
    seconds: float = 0.0
    seed: int = 0
    problem: str | None = None


def choices(folder: Path) -> list[Choice]:
    """All scenarios in `folder`: first those that agents can run, the smallest first."""
    return sorted(map(_choice, folder.glob("*.yaml")), key=lambda choice: (choice.problem is not None, choice.nodes, choice.name))


def locate(folder: Path, name: str) -> Path:
    """The file of the scenario called `name`, which is sought among the files there are. Raises `UnknownScenarioError`."""
    files = {path.stem: path for path in folder.glob("*.yaml")}
    if name in files:
        return files[name]
    near = get_close_matches(name, files, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(files)) or 'none'}"
    raise UnknownScenarioError(f"there is no scenario {name!r} in {folder}; {hint}")


def _choice(path: Path) -> Choice:
    try:
        scenario = load(path)
    except PriomonError as error:
        return Choice(path.stem, path, problem=str(error))
    try:
        check(scenario)
        problem = None
    except PriomonError as error:
        problem = str(error)
    return Choice(path.stem, path, scenario.description, scenario.nodes, scenario.duration / 1e9, scenario.seed, problem)
