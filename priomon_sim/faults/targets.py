"""Whom a fault strikes, as people write it: `node3`, `node1*, node2*`, `3`, `20 %`, `3 of node1*`, `20 % of not node3`, `all`, `down`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from random import Random

from priomon_core.errors import SettingError

AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(%?)(?:\s+of\s+(.+))?")
EXAMPLES = "expected nodes such as node3, node1*, 3, 20 %, 3 of node1*, not node3, all or down"


@dataclass(frozen=True, slots=True)
class Targets:
    """Nodes whose name matches one of `patterns` (none of them if `excluded`); `down`: those that do not run.

    Of these as many as `count`, or the `share`, drawn at random among those that run (or are down); all if both are None.
    """

    patterns: tuple[str, ...] = ("*",)
    excluded: bool = False
    down: bool = False
    count: int | None = None
    share: float | None = None

    def choose(self, names: Sequence[str], running: Sequence[bool], random: Random) -> list[int]:
        """The indexes of the nodes, in order. Raises `SettingError` as `check` does, and if there are too few to draw from."""
        self.check(names)
        matching = [i for i, name in enumerate(names) if any(fnmatchcase(name, pattern) for pattern in self.patterns) != self.excluded]
        if not (self.down or self.count is not None or self.share is not None):
            return matching
        candidates = [i for i in matching if running[i] != self.down]
        if self.count is None and self.share is None:
            return candidates
        wanted = self.count if self.count is not None else round((self.share or 0.0) * len(candidates))
        if wanted > len(candidates):
            there = "are down" if self.down else "run"
            raise SettingError(f"found {wanted} nodes to draw, but only {len(candidates)} of them {there} then")
        return sorted(random.sample(candidates, wanted))

    def check(self, names: Sequence[str]) -> None:
        """Raises `SettingError` if a pattern matches nobody."""
        for pattern in self.patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                near = get_close_matches(pattern, names, 1)
                hint = f"; did you mean {near[0]}?" if near else f"; names go from {min(names)} to {max(names)}"
                raise SettingError(f"no node is called {pattern!r}{hint}")


def parse_targets(text: str) -> Targets:
    """Read targets. Raises `SettingError` that says what would be right."""
    text = text.strip()
    amount = AMOUNT.fullmatch(text)
    if amount is None:
        return _group(text)
    number, percent, rest = amount.groups()
    group = Targets() if rest is None else _group(rest)
    if percent:
        if float(number) > 100:
            raise SettingError(f"found {text!r}, expected at most 100 %")
        return Targets(group.patterns, group.excluded, group.down, share=float(number) / 100)
    if not number.isdecimal():
        raise SettingError(f"found {text!r}, {EXAMPLES}")
    return Targets(group.patterns, group.excluded, group.down, count=int(number))


def _group(text: str) -> Targets:
    excluded = text.startswith("not ")
    patterns = tuple(part.strip() for part in text.removeprefix("not ").split(","))
    if not all(re.fullmatch(r"[^\s,%]+", pattern) for pattern in patterns):
        raise SettingError(f"found {text!r}, {EXAMPLES}")
    if patterns in (("all",), ("down",)):
        if excluded:
            raise SettingError(f"found {text!r}, {EXAMPLES}")
        return Targets(down=patterns == ("down",))
    return Targets(patterns, excluded)
