"""What earlier runs left in the folder of results: their stores, reports and pictures, and nothing that lies outside of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from priomon_core.errors import PriomonError
from priomon_results.compare import CompareError, Group, Row, check_comparable, compare, labels, two_groups
from priomon_results.schema import Run
from priomon_results.store import Store

MEDIA_TYPES = {".html": "text/html", ".svg": "image/svg+xml", ".png": "image/png", ".yaml": "text/plain"}  # what is served, and no more


class AbsentError(PriomonError):
    """There is no such result."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two groups of runs beside each other: their names, how many runs each has, and the measures."""

    names: tuple[str, str]
    groups: tuple[Group, Group]
    rows: Sequence[Row]

    @property
    def outside(self) -> list[str]:
        """The measures that are outside their tolerances."""
        return [row.measure.name for row in self.rows if row.inside is False]


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder of results: its runs, the newest first, and which files there are; `problem` if its store cannot be read."""

    name: str
    runs: Sequence[Run]
    files: frozenset[str]
    problem: str | None = None


class Archive:
    """The results in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def shelves(self) -> list[Shelf]:
        """All folders that hold a store, by name."""
        names = sorted({path.parent.name for path in self._folder.glob("*/*.db")})
        return [self.shelf(name) for name in names if self._inside(self._folder / name)]

    def shelf(self, name: str) -> Shelf:
        """The folder `name`. Raises `AbsentError`."""
        folder = self._folder / name
        there = self._inside(folder) and folder.parent == self._folder
        stores = [path for path in sorted(folder.glob("*.db")) if self._inside(path)] if there else []
        if not stores:
            raise AbsentError(f"there are no results called {name!r}; see /runs")
        runs: list[Run] = []
        problems = []
        for path in stores:
            try:
                with Store(path, readonly=True) as store:
                    runs += reversed(store.runs())
            except PriomonError as error:
                problems.append(str(error))
        files = {str(path.relative_to(folder)) for path in folder.glob("**/*") if path.suffix in MEDIA_TYPES and self._inside(path)}
        return Shelf(name, runs, frozenset(files), "; ".join(problems) or None)

    def comparison(self, shelf: Shelf) -> Comparison | str:
        """Live beside simulated runs of a shelf, or why there is none."""
        where = f"the store of {shelf.name}"
        try:
            a, b = two_groups(list(reversed(shelf.runs)), where)
            check_comparable(a, b)
        except CompareError as error:
            return str(error)
        return Comparison(labels(a, b, (where, where)), (a, b), compare([run.summary for run in a], [run.summary for run in b]))

    def file(self, name: str, path: str) -> tuple[Path, str]:
        """A file of the folder `name` and its media type. Raises `AbsentError` for what is not there or leads out of the results."""
        wanted = self._folder / name / path
        media_type = MEDIA_TYPES.get(wanted.suffix)
        if media_type is None or not self._inside(wanted) or not wanted.is_file():
            raise AbsentError(f"there is no report or picture {name}/{path}; see /runs")
        return wanted, media_type

    def _inside(self, path: Path) -> bool:
        """Whether a path, with all its links followed, stays in the folder of results."""
        try:
            return path.resolve(strict=True).is_relative_to(self._folder.resolve())
        except (OSError, ValueError):  # not there, or a name that no file can have
            return False
