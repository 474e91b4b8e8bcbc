"""What went wrong in a run, as rows for its store: every fault that struck, with its end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from priomon_sim.faults.timeline import Alters, Crashes, Cuts, Freezes, Leaves, Mends, Planned, Restores, Skews, Starts, Thaws

MOST_NAMED = 3  # nodes that a row names one by one

FaultRow = tuple[int, float, float | None, str, str]
"""Number, begin and end (s; None if it has not ended), kind, and who was struck."""


def fault_rows(actions: Sequence[Planned], names: Sequence[str]) -> list[FaultRow]:
    """The faults that these actions make, in their order; `names` are those of all nodes."""
    log = _Log()
    for when, action in actions:
        match action:
            case Crashes(node) | Leaves(node):
                log.end(("still", node), when)
                log.begin(("down", node), when, "leave" if isinstance(action, Leaves) else "crash", names[node])
            case Starts(node):
                log.end(("down", node), when)
            case Freezes(node, kind):
                log.begin(("still", node), when, kind, names[node])
            case Thaws(node):
                log.end(("still", node), when)
            case Cuts(number, sources, targets):
                log.begin(("cut", number), when, "partition", f"{_listed(sources, names)} to {_listed(targets, names)}")
            case Mends(number):
                log.end(("cut", number), when)
            case Alters(number, nodes):
                log.begin(("change", number), when, "degrade", _listed(nodes, names))
            case Restores(number):
                log.end(("change", number), when)
            case Skews(node, rate):
                log.end(("skew", node), when)
                log.begin(("skew", node), when, "skew", f"{names[node]} at rate {rate:g}")
    return [(number, *row) for number, row in enumerate(log.rows)]


class _Log:
    """Rows without their numbers, and which of them have no end yet."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self._open: dict[tuple[str, int], int] = {}

    def begin(self, key: tuple[str, int], when: int, kind: str, who: str) -> None:
        self._open[key] = len(self.rows)
        self.rows.append((when / 1e9, None, kind, who))

    def end(self, key: tuple[str, int], when: int) -> None:
        if (place := self._open.pop(key, None)) is not None:
            begin, _, *rest = self.rows[place]
            self.rows[place] = (begin, when / 1e9, *rest)


def _listed(nodes: Collection[int], names: Sequence[str]) -> str:
    return ", ".join(names[node] for node in sorted(nodes)) if len(nodes) <= MOST_NAMED else f"{len(nodes)} nodes"
