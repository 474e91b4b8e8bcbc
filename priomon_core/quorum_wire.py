"""The two messages of a read: a question and its answer. They are their own frames; wire.py turns them into bytes.

    query     2 B number of the read, 4 B key of the target, varint version that the reader holds
    answer    2 B number of the read, then as news without the key: varint version (0, and nothing more, if nothing is known),
              1 B age, bit mask of the metrics, a varint level for each

An answer carries only what changed after the reader's version, like all news, so mostly a few bytes; a reader that says 0 gets all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from priomon_core.rumours import Rumour

NUMBER_BYTES = 2
NUMBER_END = 1 << (8 * NUMBER_BYTES)


@dataclass(frozen=True, slots=True)
class Query:
    """`sender` asks for what changed in `target` (a key) after the version `since`; `number` is its own for the read."""

    sender: int
    number: int
    target: int
    since: int
    size: int
    rumours: tuple[Rumour, ...] = ()
    stream = False
    probe = False


@dataclass(frozen=True, slots=True)
class Answer:
    """`sender` holds `version` (0: nothing) of the target of the read `number`; `age` is an age code (see wire.py)."""

    sender: int
    number: int
    version: int
    age: int
    levels: tuple[tuple[int, int], ...]
    size: int
    rumours: tuple[Rumour, ...] = ()
    stream = False
    probe = False
