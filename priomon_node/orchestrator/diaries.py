"""Puts the diaries of all agents of a run together and shows them to the observer, instant by instant, as the simulator shows its world.

An instant is complete when every node has told of it or of a later one, or counts as silent. A node that tells nothing of an instant
did not run then: it is not live, and what it held is not asked for.

Nodes look some ms after an instant, not all at once. What counts as published is what the origin itself had published at its own look, so
that it fits the truth told there; whoever looked later and holds more is taken to hold that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priomon_core.identity import Identity
from priomon_core.metrics import Metric
from priomon_results.measures import Publications
from priomon_results.observer import Counts, Look, Observer, Traffic
from priomon_sim.ledger import Ledger

NOTHING: dict[str, Any] = {"bytes_sent": 0, "datagrams_sent": 0, "bytes_received": 0, "delivered": 0, "lost": {}}


class Diaries:
    """The diaries of `identities`, with looks every `follow_every` and `probe_every` ns."""

    def __init__(self, identities: Sequence[Identity], metrics: Sequence[Metric], follow_every: int, probe_every: int) -> None:
        count = len(identities)
        self._ledger = Ledger(identities, metrics)
        self._metrics = metrics
        self._index = {identity.key: node for node, identity in enumerate(identities)}
        self._every = {"held": follow_every, "probe": probe_every}
        self._told: list[dict[tuple[str, int], Any]] = [{} for _ in identities]  # (kind, instant) -> what is held, or deeds
        self._until = [0] * count  # the last instant that a node told of
        self._versions: NDArray[np.int64] = np.zeros((count, count), np.int64)
        self._newest: NDArray[np.int64] = np.zeros(count, np.int64)
        self._truth: NDArray[np.float64] = np.full((count, len(metrics)), np.nan)
        blank = {**NOTHING, "published": [0] * len(metrics), "filtered": [0] * len(metrics)}
        self._deeds: list[dict[str, Any]] = [blank] * count
        self.endings: dict[int, dict[str, Any]] = {}  # what nodes that rest told at their end
        self.shown = 0
        self._sampled: list[list[list[float]]] = [[] for _ in identities]

    def take(self, node: int, entries: Sequence[Sequence[Any]]) -> None:
        """Add entries of a node's diary, in their order."""
        for kind, *content in entries:
            match kind:
                case "published":
                    version, now, changes = content
                    self._ledger.publish(node, version, [(metric, level) for metric, level in changes], now)
                case "sampled":
                    self._sampled[node].append([np.nan if value is None else value for value in content[0]])
                case "ending":
                    self.endings[node] = content[1]
                case _:
                    number, said = content
                    instant = number * self._every[kind]
                    self._until[node] = instant
                    if instant > self.shown:  # a node that was silent may come back with what nobody waited for
                        self._told[node][kind, instant] = said

    def show(self, observer: Observer, silent: Collection[int]) -> None:
        """Show all instants that are complete to the observer; nodes in `silent` are not waited for."""
        while True:
            due = min(self.shown // every * every + every for every in self._every.values())
            if not any(until >= due for until in self._until):
                for node, ending in self.endings.items():
                    self._deeds[node] = ending
                return
            if any(until < due and node not in self.endings and node not in silent for node, until in enumerate(self._until)):
                return
            if due % self._every["held"] == 0:
                live = self._see("held", due)
                observer.follow(self._look(due, live))
            if due % self._every["probe"] == 0:
                live = self._see("probe", due)
                observer.probe(self._look(due, live), self._truth, self.traffic())
            self.shown = due

    def _see(self, kind: str, instant: int) -> NDArray[np.bool_]:
        """Bring what is known up to an instant; returns which nodes told of it."""
        live = np.zeros(len(self._told), np.bool_)
        for node, told in enumerate(self._told):
            said = told.pop((kind, instant), None)
            if said is None:
                continue
            live[node] = True
            if kind == "probe":
                self._deeds[node] = said
                self._truth[node] = [np.nan if value is None else value for value in said["truth"]]
                said = said["held"]
            row = self._versions[node]
            row[:] = 0
            for key, version in zip(said[::2], said[1::2], strict=True):
                if key in self._index:
                    row[self._index[key]] = version
        return live

    def _look(self, instant: int, live: NDArray[np.bool_]) -> Look:
        ledger = self._ledger
        ledger.refresh()
        numbers = np.arange(1, ledger.depth)
        told = (numbers <= np.array(ledger.newest)[:, None]) & (ledger.times[:, 1:] <= instant)
        self._newest = np.maximum(self._newest, np.where(live, self._versions.diagonal(), told.sum(axis=1)))
        times = np.minimum(ledger.times, instant)  # a publication between the instant and the look has no age
        publications = Publications(self._newest, times, ledger.last_change, ledger.levels)
        return Look(instant, np.minimum(self._versions, self._newest), publications, live)

    def traffic(self) -> Traffic:
        """What all nodes have done, as far as they told."""
        deeds = self._deeds
        sent, datagrams, received = ([deed[name] for deed in deeds] for name in ("bytes_sent", "datagrams_sent", "bytes_received"))
        totals = np.array(self.samples()).sum(axis=0).tolist()
        samples = {metric.name: (published, filtered) for metric, (published, filtered) in zip(self._metrics, totals, strict=True)}
        return Traffic(sent, datagrams, received, sum(datagrams), sum(deed["delivered"] for deed in deeds), samples)

    def samples(self) -> list[list[Counts]]:
        """What became of every node's samples, by metric."""
        return [list(zip(deed["published"], deed["filtered"], strict=True)) for deed in self._deeds]

    def measured(self) -> list[NDArray[np.float64]]:
        """What every node measured of its machine: float64 [samples, metrics] each; a node that told of none has one of NaN."""
        nothing = [[np.nan] * len(self._metrics)]
        return [np.array(rows or nothing) for rows in self._sampled]

    def published(self) -> int:
        """Updates that all nodes have published, as far as they told."""
        return sum(self._ledger.newest)

    def lost(self) -> dict[str, int]:
        """Datagrams that the modelled links lost, by cause."""
        total: Counter[str] = Counter()
        for deed in self._deeds:
            total.update(deed["lost"])
        return dict(total)
