"""Sets of points as functions of an index, so that a grid of millions costs nothing until its points are asked for."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple

from priomon_sim.scenario.yaml_source import Place


class Entry(NamedTuple):
    """A value as it would stand in a scenario, and where it and the name of its setting were written."""

    value: Any
    key: Place
    place: Place


Assignment = dict[str, Entry]
Draw = Callable[[float], Entry]


@dataclass(frozen=True, slots=True)
class Space:
    """`size` assignments of values to the settings `paths`; `at(index)` makes one of them."""

    size: int
    paths: tuple[str, ...]
    at: Callable[[int], Assignment]


def axis(path: str, entries: Sequence[Entry]) -> Space:
    """The values of one setting."""
    return Space(len(entries), (path,), lambda index: {path: entries[index]})


def listed(points: Sequence[Assignment]) -> Space:
    """Points one by one."""
    return Space(len(points), tuple(dict.fromkeys(path for point in points for path in point)), lambda index: dict(points[index]))


def product(spaces: Sequence[Space]) -> Space:
    """Each assignment with each of the other spaces; the last space changes fastest."""

    def at(index: int) -> Assignment:
        parts = []
        for space in reversed(spaces):
            index, here = divmod(index, space.size)
            parts.append(space.at(here))
        return {path: entry for part in reversed(parts) for path, entry in part.items()}

    return Space(math.prod(space.size for space in spaces), _paths(spaces), at)


def together(spaces: Sequence[Space]) -> Space:
    """The first assignment of all spaces at once, then the second; as many as the shortest has."""
    return Space(
        min(space.size for space in spaces),
        _paths(spaces),
        lambda index: {path: entry for space in spaces for path, entry in space.at(index).items()},
    )


def union(spaces: Sequence[Space]) -> Space:
    """All assignments of the first space, then those of the second, and so on."""
    ends = list(accumulate(space.size for space in spaces))

    def at(index: int) -> Assignment:
        which = bisect_right(ends, index)
        return spaces[which].at(index - (ends[which - 1] if which else 0))

    return Space(ends[-1], _paths(spaces), at)


def drawn(draws: Mapping[str, Draw], count: int, seed: int, *, latin: bool) -> Space:
    """`count` assignments drawn evenly: each on its own, or as a Latin hypercube, in which every `count`-th of a range is met once."""
    random = Random(seed)
    columns = {}
    for path, draw in draws.items():
        shares = [random.random() for _ in range(count)]
        if latin:
            keys = [random.random() for _ in range(count)]
            strata = sorted(range(count), key=keys.__getitem__)
            shares = [(stratum + share) / count for stratum, share in zip(strata, shares, strict=True)]
        columns[path] = [draw(share) for share in shares]
    return listed([dict(zip(columns, entries, strict=True)) for entries in zip(*columns.values(), strict=True)])


def _paths(spaces: Sequence[Space]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for space in spaces for path in space.paths))
