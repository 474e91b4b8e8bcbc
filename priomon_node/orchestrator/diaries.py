"""Puts the diaries of all agents of a run together and shows them to the observer, instant by instant, as the simulator shows its world.

An instant is complete when every node has told of it or of a later one, or counts as silent. A node that tells nothing of an instant
did not run then: it is not live, and what it held is not asked for.

Nodes look some ms after an instant, not all at once. What counts as published is what the origin itself had published at its own look, so
that it fits the truth told there; whoever looked later and holds more is taken to hold that.

A node has one life after another. What is shown of it is the life that it was seen in last; what it did counts over all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priomon_core.metrics import Metric
from priomon_node.experiment.noticed import from_json
from priomon_node.orchestrator.history import History
from priomon_results.measures import Publications
from priomon_results.observer import Counts, Look, Observer, Traffic
from priomon_sim.chronicle import Chronicle
from priomon_sim.driver import Noticed
from priomon_sim.examiner import Examination
from priomon_sim.ledger import Ledger
from priomon_sim.lives import Lives

NOTHING: dict[str, Any] = {
    **{"bytes_sent": 0, "datagrams_sent": 0, "bytes_received": 0, "delivered": 0, "lost": {}},
    **{"held": [], "beliefs": [], "kept": None, "sendings": []},
}


class Diaries:
    """The diaries of the nodes of `lives`, with looks every `follow_every` and `probe_every` ns.

    `chronicle` is told what nodes noticed, `history` what they did and held.
    """

    def __init__(
        self,
        lives: Lives,
        metrics: Sequence[Metric],
        follow_every: int,
        probe_every: int,
        sample_every: int,
        chronicle: Chronicle,
        history: History,
    ) -> None:
        nodes, origins = len(lives.slots), len(lives.origins)
        self._lives = lives
        self._ledger = Ledger(lives.origins, metrics)
        self._metrics = metrics
        self._slot = {identity.key: slot for slot, identity in enumerate(lives.origins)}
        self._every = {"held": follow_every, "probe": probe_every}
        self._sample_every = sample_every
        self._chronicle = chronicle
        self._history = history
        self._writing = [slots[0] for slots in lives.slots]  # whose diary each node writes
        self._present = np.array(self._writing)  # whose life each node was seen in last
        self._told: list[dict[tuple[str, int], tuple[int, Any]]] = [{} for _ in range(nodes)]  # (kind, instant) -> slot, what it told
        self._until = [0] * nodes  # the last instant that a node told of
        self._versions: NDArray[np.int64] = np.zeros((origins, origins), np.int64)  # a line and a column for each life
        self._believed: NDArray[np.int64] | None = None
        self._newest: NDArray[np.int64] = np.zeros(origins, np.int64)
        self._truth: NDArray[np.float64] = np.full((nodes, len(metrics)), np.nan)
        blank = {**NOTHING, "published": [0] * len(metrics), "filtered": [0] * len(metrics)}
        self._deeds: list[dict[str, Any]] = [blank] * origins
        self._last_deeds: dict[int, tuple[int, dict[str, Any]]] = {}  # of lives that are over: when, and what they had done
        self.endings: dict[int, tuple[int, dict[str, Any] | None]] = {}  # what nodes that rest told at their end, and in which life
        self.shown = 0
        self._noticed: list[Noticed] = []
        self._sampled: list[list[list[float]]] = [[] for _ in range(nodes)]

    def take(self, node: int, entries: Sequence[Sequence[Any]]) -> None:
        """Add entries of a node's diary, in their order."""
        slot = self._writing[node]
        for kind, *content in entries:
            match kind:
                case "born":
                    generation, now = content
                    slot = self._writing[node] = self._lives.slots[node][generation - 1]
                    self._skip_samples(node, now // self._sample_every)
                case "published":
                    version, now, changes = content
                    self._ledger.publish(slot, version, [(metric, level) for metric, level in changes], now)
                case "noticed":
                    now, document = content
                    self._noticed.append((now, slot, from_json(document)))
                case "sampled":
                    self._sampled[node].append([np.nan if value is None else value for value in content[0]])
                case "over":
                    self._last_deeds[slot] = content[0], content[1]
                case "ending":
                    self.endings[node] = slot, content[1]
                case _:
                    number, said = content
                    instant = number * self._every[kind]
                    self._until[node] = instant
                    if instant > self.shown:  # a node that was silent may come back with what nobody waited for
                        self._told[node][kind, instant] = slot, said

    def _skip_samples(self, node: int, taken: int) -> None:
        """A life begins where the node would have taken its sample number `taken`; it measured nothing while it was down."""
        rows = self._sampled[node]
        rows += [[np.nan] * len(self._metrics)] * (taken - len(rows))

    def show(self, observer: Observer, silent: Collection[int]) -> None:
        """Show all instants that are complete to the observer; nodes in `silent` are not waited for."""
        while True:
            due = min(self.shown // every * every + every for every in self._every.values())
            if not any(until >= due for until in self._until):
                for slot, ending in self.endings.values():
                    if ending is not None:
                        self._deeds[slot] = ending
                return
            if any(until < due and node not in self.endings and node not in silent for node, until in enumerate(self._until)):
                return
            if due % self._every["held"] == 0:
                live = self._see("held", due)
                observer.follow(self._look(due, live))
            if due % self._every["probe"] == 0:
                live = self._see("probe", due)
                self._tell(due)
                observer.probe(self._look(due, live), self._truth, self.traffic())
                self._history.record(due, self._present[live].tolist(), self._deeds)
            self.shown = due

    def _see(self, kind: str, instant: int) -> NDArray[np.bool_]:
        """Bring what is known up to an instant; returns which nodes ran then, as they told."""
        live = np.zeros(len(self._told), np.bool_)
        for node, told in enumerate(self._told):
            slot, said = told.pop((kind, instant), (0, None))
            if said is None:
                continue
            live[node] = True
            self._present[node] = slot
            if kind == "probe":
                self._deeds[slot] = said
                self._truth[node] = [np.nan if value is None else value for value in said["truth"]]
                self._believe(node, said["believed"])
                said = said["held"]
            row = self._versions[slot]
            row[:] = 0
            for key, version in zip(said[::2], said[1::2], strict=True):
                if key in self._slot:
                    row[self._slot[key]] = version
        for slot, (ended, deeds) in self._last_deeds.items():
            if ended <= instant:
                self._deeds[slot] = deeds
        return live

    def _believe(self, node: int, live: int | None) -> None:
        """A node holds so many alive, itself among them; None if it judges nobody."""
        if live is not None:
            if self._believed is None:
                self._believed = np.ones(len(self._told), np.int64)
            self._believed[node] = live

    def _tell(self, now: int) -> None:
        """Let the run's story go on up to an instant."""
        noticed, self._noticed = self._noticed, []
        self._chronicle.tell(now, noticed, lambda life: np.flatnonzero(self._versions[:, life]).tolist())

    def _look(self, instant: int, live: NDArray[np.bool_]) -> Look:
        """The knowledge in the cluster, of the life of each node that was seen last."""
        ledger, present = self._ledger, self._present
        ledger.refresh()
        numbers = np.arange(1, ledger.depth)
        told = ((numbers <= np.array(ledger.newest)[:, None]) & (ledger.times[:, 1:] <= instant)).sum(axis=1)
        versions = self._versions[np.ix_(present, present)]
        told[present] = np.where(live, versions.diagonal(), told[present])
        self._newest = np.maximum(self._newest, told)
        times = np.minimum(ledger.times, instant)  # a publication between the instant and the look has no age
        publications = Publications(self._newest, times, ledger.last_change, ledger.levels).of(present)
        lives = present.copy() if self._lives.several else None
        return Look(instant, np.minimum(versions, publications.newest), publications, live, lives, self._believed)

    def traffic(self) -> Traffic:
        """What all nodes have done, as far as they told."""
        sent, datagrams, received = (self._by_node(name) for name in ("bytes_sent", "datagrams_sent", "bytes_received"))
        totals = np.array(self.samples()).sum(axis=0).tolist()
        samples = {metric.name: (published, filtered) for metric, (published, filtered) in zip(self._metrics, totals, strict=True)}
        published, delivered = int(self._newest.sum()), sum(self._by_node("delivered"))
        return Traffic(sent, datagrams, received, sum(datagrams), published, delivered, samples)

    def is_over(self, node: int) -> bool:
        """Whether a node has told that the life it tells of is over."""
        return self._writing[node] in self._last_deeds

    def examine(self) -> Examination:
        """What all checkers say of the run."""
        ended = {*self._last_deeds, *(slot for slot, ending in self.endings.values() if ending is not None)}
        return self._history.examine(self._ledger, ended)

    def _by_node(self, name: str) -> list[int]:
        """The sum of a deed over all lives of each node."""
        return [sum(self._deeds[slot][name] for slot in slots) for slots in self._lives.slots]

    def samples(self) -> list[list[Counts]]:
        """What became of every node's samples, by metric."""
        counts = [
            np.sum([[self._deeds[slot][of] for of in ("published", "filtered")] for slot in slots], axis=0) for slots in self._lives.slots
        ]
        return [list(map(tuple, count.T.tolist())) for count in counts]

    def measured(self) -> list[NDArray[np.float64]]:
        """What every node measured of its machine: float64 [samples, metrics] each; a node that told of none has one of NaN."""
        nothing = [[np.nan] * len(self._metrics)]
        return [np.array(rows or nothing) for rows in self._sampled]

    def lost(self) -> dict[str, int]:
        """Datagrams that the modelled links lost, by cause."""
        total: Counter[str] = Counter()
        for deed in self._deeds:
            total.update(deed["lost"])
        return dict(total)
