"""Watches a cluster: measures what its nodes know, follows how updates spread, and hands rows to the store.

It knows no driver. Whoever moves the nodes, the simulator or the orchestrator of real agents, shows it a `Look` now and then; so both
are measured by the same code, and what differs between their results is not the measuring.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priomon_core.metrics import Metric
from priomon_results.measures import Measures, Publications, Versions, measure
from priomon_results.queries import Query, QueryTotals
from priomon_results.spread import SHARES, SpreadTracker
from priomon_results.store import RunWriter
from priomon_results.verdicts import Verdicts

Counts = tuple[int, int]  # samples that were published, and that were filtered


@dataclass(frozen=True, slots=True)
class Look:
    """The knowledge in a cluster at `now` (ns): the version that each observer holds of each origin, and what origins have published.

    `versions` [observers, origins], with the nodes in the same order both ways and nobody ahead of `publications.newest`, which
    never shrinks from look to look while a node is in the same life; `live` bool [nodes] says which nodes run at this moment. `lives`
    int64 [nodes] numbers the lives that nodes are in, None where each has one only; `believed` int64 [nodes] is how many nodes each
    holds alive, None if they do not judge each other.
    """

    now: int
    versions: Versions
    publications: Publications
    live: NDArray[np.bool_]
    lives: NDArray[np.int64] | None = None
    believed: NDArray[np.int64] | None = None

    def among_live(self) -> Look:
        """The same with live observers and live origins only."""
        if self.live.all():
            return self  # a copy of a million pairs at every look would be felt
        among = np.flatnonzero(self.live)
        return Look(self.now, self.versions[np.ix_(among, among)], self.publications.of(among), self.live[among])


@dataclass(frozen=True, slots=True)
class Traffic:
    """What nodes have sent, received and sampled since the start of the run.

    Per node: `bytes_sent` and `bytes_received` (on the wire, with headers) and `datagrams_sent`. Over all nodes: `messages_sent`
    (datagrams and stream messages), `published` (updates), `delivered` (news that arrived, newer or not), and by metric its `samples`.
    """

    bytes_sent: Sequence[int]
    datagrams_sent: Sequence[int]
    bytes_received: Sequence[int]
    messages_sent: int
    published: int
    delivered: int
    samples: Mapping[str, Counts]


class Observer:
    """Sees everything and changes nothing. `followed` origins, evenly over all `nodes`, have their updates followed, each until it begins
    another life. `verdicts` is told what nodes notice of each other, if they judge each other, by whoever shows them.

    `publications` are those of the last look, `total` holds the distributions over all probes so far, `queries` the reads, `spread` the
    updates followed, and `converged_at` the first time (ns) at which all live nodes, two at least, were seen to know each other.
    """

    def __init__(self, writer: RunWriter, metrics: Sequence[Metric], nodes: int, followed: int, verdicts: Verdicts | None = None) -> None:
        self.metrics = metrics
        self.converged_at: int | None = None
        self.publications: Publications | None = None
        self.total = Measures.blank(len(metrics))
        origins = np.linspace(0, nodes - 1, min(nodes, followed)).round().astype(int)
        self.spread = SpreadTracker(origins.tolist(), nodes)
        self.verdicts = verdicts
        self.queries = QueryTotals()
        self._numbers = count()  # of false positives
        self._lives: NDArray[np.int64] | None = None
        self._writer = writer

    def follow(self, look: Look) -> None:
        """See how far updates have come. Dissemination and convergence are known to the time between two of these looks."""
        if look.lives is not None:
            for origin in [] if self._lives is None else np.flatnonzero(look.lives != self._lives).tolist():
                self.spread.drop(origin)
            self._lives = look.lives
        self.publications = look.publications
        self.spread.look(look.versions, look.publications.newest, look.publications.times, look.live, look.now)
        if self.converged_at is None:
            versions = look.among_live().versions
            if len(versions) > 1 and versions.all():
                self.converged_at = look.now

    def probe(self, look: Look, truth: NDArray[np.float64], traffic: Traffic) -> None:
        """Measure and store a look. `truth` float64 [nodes, metrics] holds the newest samples, nan where there is none."""
        among = look.among_live()
        measured = measure(among.versions, among.publications, truth[look.live], self.metrics, look.now)
        self.total.add(measured)
        t = look.now / 1e9
        self._writer.add(
            "sample",
            [
                (
                    t,
                    measured.coverage,
                    len(among.versions),
                    sum(traffic.bytes_sent),
                    sum(traffic.datagrams_sent),
                    traffic.messages_sent,
                    traffic.published,
                    traffic.delivered,
                    *(_or_null(measured.lag.quantile(share)) for share in (0.5, 0.99, 1.0)),
                    *(_or_null(measured.age.quantile(share)) for share in (0.5, 0.99)),
                )
            ],
        )
        known = np.count_nonzero(look.versions, axis=1).tolist()
        columns = (range(len(known)), traffic.bytes_sent, traffic.datagrams_sent, traffic.bytes_received, known)
        self._writer.add("node_sample", [(t, *row) for row in zip(*columns, strict=True)])
        self._writer.add(
            "metric_sample",
            [
                (t, metric.name, *traffic.samples[metric.name], *(_or_null(errors.quantile(share)) for share in (0.5, 0.99, 1.0)))
                for metric, errors in zip(self.metrics, measured.bounds, strict=True)
            ],
        )
        if look.believed is not None and look.live.any():
            held = look.believed[look.live]
            self._writer.add("belief", [(t, int(held.min()), float(np.median(held)), int(held.max()))])
        self._write_false_positives()

    def read(self, queries: Sequence[Query]) -> None:
        """Count and store reads that have ended."""
        first = self.queries.count
        self._writer.add("query", [(number, *query.row()) for number, query in enumerate(queries, first)])
        self.queries.add(queries)

    def write_ending(
        self,
        names: Sequence[str],
        places: Sequence[tuple[float, float]],
        edges: Iterable[tuple[int, int]],
        samples: Sequence[Sequence[Counts]],
        faults: Sequence[tuple[Any, ...]] = (),
    ) -> None:
        """Store what is known only at the end: distributions, spreads, and of every node its name, place in the picture and `samples`.

        `samples` [nodes, metrics] are counts; `edges` are pairs of nodes that are neighbours; `faults` are rows of the table `fault`.
        """
        writer = self._writer
        metrics = [metric.name for metric in self.metrics]
        writer.add(
            "metric_count",
            [(node, name, *counts) for node, row in enumerate(samples) for name, counts in zip(metrics, row, strict=True)],
        )
        distributions = [("lag", "", self.total.lag), ("age", "", self.total.age)]
        distributions += [("error", name, errors) for name, errors in zip(metrics, self.total.units, strict=True)]
        distributions += [("error_in_bounds", name, errors) for name, errors in zip(metrics, self.total.bounds, strict=True)]
        distributions += [("settled_error", name, errors) for name, errors in zip(metrics, self.total.settled, strict=True)]
        distributions += [("spread", f"t{share * 100:g}", self.spread.histogram(share)) for share in SHARES]
        for measured, metric, histogram in distributions:
            writer.add("distribution", [(measured, metric, *row) for row in histogram.bins()])
        writer.add(
            "update_spread",
            [(s.origin, s.version, s.published_at / 1e9, *map(_or_null, s.reached)) for s in self.spread.all()],
        )
        reached = map(_or_null, self.spread.first_contact.tolist())
        writer.add(
            "node",
            [(i, name, *place, seen) for i, (name, place, seen) in enumerate(zip(names, places, reached, strict=True))],
        )
        writer.add("edge", [(min(a, b), max(a, b)) for a, b in edges])
        writer.add("fault", faults)
        self._write_false_positives()
        ends = [] if self.verdicts is None else self.verdicts.detections()
        writer.add("detection", [(number, end.at / 1e9, *end.row()) for number, end in enumerate(ends)])

    def _write_false_positives(self) -> None:
        if self.verdicts is not None and self.verdicts.false_positives:
            found, self.verdicts.false_positives = self.verdicts.false_positives, []
            rows = [(next(self._numbers), f.at / 1e9, f.kind, f.observer, f.subject, f.circumstances) for f in found]
            self._writer.add("false_positive", rows)


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else value
