"""Quorum reads as they ended, and what they come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Row = tuple[float, int, int, str, int, int, float | None, int, float | None, int | None]


@dataclass(frozen=True, slots=True)
class Query:
    """A read of node `target` by node `reader`, begun `at` (ns).

    `ok`: the level was met in time; `partial`: it was not, and the answer is what there was; neither: there was nothing, and then
    `latency`, `age` (ns) of the answer and `behind`, the number of versions published since, are None. `messages` were sent and received.
    """

    at: int
    reader: int
    target: int
    level: str
    ok: bool
    partial: bool
    latency: int | None
    messages: int
    age: int | None
    behind: int | None

    def row(self) -> Row:
        """The row of the table `query`, without its number."""
        latency, age = (None if span is None else span / 1e9 for span in (self.latency, self.age))
        ends = (int(self.ok), int(self.partial), latency, self.messages, age, self.behind)
        return (self.at / 1e9, self.reader, self.target, self.level, *ends)


@dataclass(slots=True)
class QueryTotals:
    """All reads of a run so far."""

    count: int = 0
    ok: int = 0
    partial: int = 0
    messages: int = 0
    _latencies: list[int] = field(default_factory=list)
    _ages: list[int] = field(default_factory=list)
    _behind: list[int] = field(default_factory=list)

    def add(self, queries: Iterable[Query]) -> None:
        """Count reads that have ended."""
        for query in queries:
            self.count += 1
            self.ok += query.ok
            self.partial += query.partial
            self.messages += query.messages
            if query.latency is not None and query.age is not None and query.behind is not None:
                self._latencies.append(query.latency)
                self._ages.append(query.age)
                self._behind.append(query.behind)

    def summary(self) -> dict[str, Any] | None:
        """Count, shares, means and quantiles (seconds); None if nobody read anything. Latency and age are those of all reads that had an
        answer, partial ones among them."""
        if not self.count:
            return None
        return {
            "count": self.count,
            "success": self.ok / self.count,
            "partial": self.partial / self.count,
            "messages_per_query": self.messages / self.count,
            "latency_seconds": _quantiles(self._latencies, 1e9),
            "age_seconds": _quantiles(self._ages, 1e9),
            "versions_behind": _quantiles(self._behind, 1),
        }


def _quantiles(values: list[int], unit: float) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p99": None, "max": None}
    p50, p99, largest = np.quantile(np.array(values), [0.5, 0.99, 1.0], method="higher") / unit
    return {"p50": float(p50), "p99": float(p99), "max": float(largest)}
