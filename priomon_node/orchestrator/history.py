"""The history of a live run as checkers look at it, made from what its agents told at each probe.

It is examined when the run is over, for only then all have told what they published. What a simulator knows, and agents cannot tell in
every case, is taken for right as far as it is not known:

- Looks of one probe are some ms apart. Who holds what the origin published after its own look, but before the next probe, is taken to
  hold what the origin had at its own look.
- A process that somebody killed takes its last publications with it. Of a life whose diary has no end, what others hold of it after
  its last look counts as published.
- A node that does not look, though nothing keeps it from running, is not there: it did not come up in time, or its process is gone. Until
  it looks again nothing counts as calm, and nobody is blamed for what he holds it for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from priomon_sim.checkers.history import UNKNOWN, Cluster, Kept, Moment, Sending, held_as
from priomon_sim.checkers.weather import Weather
from priomon_sim.examiner import Examination, Examiner
from priomon_sim.faults.timeline import Planned
from priomon_sim.ledger import Ledger

ABSENT = 3  # probes without a look after which a node is not there; single ones are late on a busy machine
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Probe:
    """What was told of a probe at `now` (ns). `looked` bool [lives]; the other fields are as in `Moment`, and of the last look of each.

    `sent` are the messages since the probe before: (life, claimed size, true size), and how many.
    """

    now: int
    looked: NDArray[np.bool_]
    versions: NDArray[np.uint16]
    held: NDArray[np.int8]
    bytes_sent: Sequence[int]
    kept: Sequence[Kept | None]
    sent: Counter[tuple[int, int, int]]


class History:
    """The history of `cluster`, of whose nodes each looks every so many ns. It keeps 3 B for each probe and pair of lives."""

    def __init__(self, cluster: Cluster, actions: Sequence[Planned], every: int) -> None:
        self._cluster = cluster
        self._actions = actions
        self._every = every
        self._slots = {identity.key: slot for slot, identity in enumerate(cluster.lives.origins)}
        self._probes: list[_Probe] = []
        self._sent: Counter[tuple[int, int, int]] = Counter()  # since the start

    def record(self, now: int, looked: Collection[int], deeds: Sequence[dict[str, Any]]) -> None:
        """Add a probe: which lives looked, and what each life told last (see `Subject.deeds`)."""
        lives = len(deeds)
        versions, held = np.zeros((lives, lives), np.uint16), np.full((lives, lives), UNKNOWN, np.int8)
        kept: list[Kept | None] = [None] * lives
        sent: Counter[tuple[int, int, int]] = Counter()
        for slot, said in enumerate(deeds):
            for key, version in zip(said["held"][::2], said["held"][1::2], strict=True):
                if key in self._slots:
                    versions[slot, self._slots[key]] = version
            beliefs = zip(map(self._slots.get, said["beliefs"][::2]), said["beliefs"][1::2], strict=True)
            held[slot], strays = held_as(versions[slot] > 0, beliefs)
            if said["kept"] is not None:
                kept[slot] = Kept(strays, *said["kept"])
            sent.update({(slot, claim, true): count for claim, true, count in said["sendings"]})
        seen: NDArray[np.bool_] = np.zeros(lives, np.bool_)
        seen[list(looked)] = True
        bytes_sent = [sum(deeds[slot]["bytes_sent"] for slot in slots) for slots in self._cluster.lives.slots]
        self._probes.append(_Probe(now, seen, versions, held, bytes_sent, kept, sent - self._sent))
        self._sent = sent

    def examine(self, ledger: Ledger, ended: Collection[int]) -> Examination:
        """Show it to all checkers. `ledger` has what was published; `ended` are the lives that have told all that they did."""
        examiner, weather = Examiner(self._cluster), Weather(self._actions, self._cluster.lives)
        ledger.refresh()
        looks = np.array([probe.looked for probe in self._probes]).reshape(len(self._probes), len(ledger.newest))
        silent_from = (looks * np.arange(1, len(looks) + 1)[:, None]).max(axis=0, initial=0)  # the probe after its last look
        silent_from[list(ended)] = len(looks)
        for number, probe in enumerate(self._probes):
            weather.pass_to(probe.now)
            weather.missed(self._absent(looks[: number + 1]), probe.now)
            for (slot, claim, true), count in probe.sent.items():
                for _ in range(count):
                    examiner.sent(Sending(probe.now, self._cluster.lives.node[slot], claim, true))
            newest, versions = self._corrected(probe, ledger, silent_from <= number)
            examiner.see(
                Moment(
                    now=probe.now,
                    present=weather.present.copy(),
                    begun=weather.begun,
                    newest=newest,
                    versions=versions,
                    held=probe.held,
                    undisturbed=weather.undisturbed,
                    calm_since=weather.calm_since,
                    bytes_sent=probe.bytes_sent,
                    kept=probe.kept,
                )
            )
        return examiner.result()

    def _absent(self, looks: NDArray[np.bool_]) -> list[int]:
        """The nodes of which no life has looked lately."""
        lately = {*np.flatnonzero(looks[-ABSENT:].any(axis=0)).tolist()}
        return [node for node, slots in enumerate(self._cluster.lives.slots) if lately.isdisjoint(slots)]

    def _corrected(self, probe: _Probe, ledger: Ledger, silent: NDArray[np.bool_]) -> tuple[Rows, Rows]:
        """How often each life had published at its own look, and what others hold, as if all looks were at one time."""
        versions = probe.versions.astype(np.int64)
        itself = versions.diagonal()
        by_now, soon = _published(ledger, probe.now), _published(ledger, probe.now + self._every)
        by_now, soon = (np.where(silent, np.maximum(times, versions.max(axis=0)), times) for times in (by_now, soon))
        newest = np.where(probe.looked, np.maximum(by_now, np.minimum(itself, soon)), by_now)
        versions = np.where(versions <= soon, np.minimum(versions, newest), versions)
        others = np.flatnonzero(~probe.looked)
        versions[others, others] = newest[others]  # whatever a node published, it has
        return newest, versions


def _published(ledger: Ledger, now: int) -> Rows:
    """How often each life had published by then."""
    numbers = np.arange(1, ledger.depth)
    told: Rows = ((numbers <= np.array(ledger.newest)[:, None]) & (ledger.times[:, 1:] <= now)).sum(axis=1)
    return told
