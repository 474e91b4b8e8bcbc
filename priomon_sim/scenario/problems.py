"""What can be wrong with a scenario: problems with their place, and the one error that carries all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from priomon_core.errors import PriomonError

LONGEST_SHOWN = 60  # characters of a value that a message repeats


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `line` and `column` count from 1; line 0 means that the place is not in a file (`--set`)."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        named = self.path and not place.endswith(f" {self.path}")  # "--set gossip.fanout" has named its path already
        return f"{place}: {self.path}: {self.message}" if named else f"{place}: {self.message}"


class ScenarioError(PriomonError):
    """A scenario cannot be used. `problems` holds all that is wrong with it, in order of line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems), key=lambda p: (p.line, p.column, p.path, p.message))
        super().__init__("\n".join(map(str, self.problems)))


def show(value: object) -> str:
    """`value` as a message names it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def listed(words: Sequence[str], last: str = "or") -> str:
    """`a, b or c`."""
    return f"{', '.join(words[:-1])} {last} {words[-1]}" if len(words) > 1 else "".join(words)


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    """The message for a name that is none of `known`: the nearest one if it looks like a slip, else all of them."""
    near = get_close_matches(name, known, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"expected {listed(sorted(known))}" if known else "expected none here"
    return f"unknown {what} {show(name)}; {advice}"
