"""Holds what nodes notice of each other against what happened: how soon an end is known, and who is accused without cause.

A *life* is one generation of a node, from its start until it crashes or leaves. Lives are numbered by whoever tells this story, the
simulator or the orchestrator of real agents; it tells all that happens and all that is noticed in the order of time, in nanoseconds.

An observer is asked to notice the end of a life if it ran and knew that life at that time, and no cut lay between them. It is let off
when it stops itself, or hears of the node's next life first.

A suspicion or a verdict is a *false positive* if its subject ran and did not stand still, and no cut lay between subject and observer,
then or lately. Lately means: so shortly ago that an old suspicion may still be under way. False positives are told apart by their
circumstances, for those among healthy nodes are the ones that a detector has no excuse for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Accusation = Literal["suspicion", "death"]
Circumstances = Literal["healthy", "starved observer", "starved subject", "parted"]
"""Of a false positive: both were well; one of them had stood still lately; or a cut lay, now or lately, between one of them and others."""
CIRCUMSTANCES: tuple[Circumstances, ...] = ("healthy", "starved observer", "starved subject", "parted")
TIMES = ("suspected", "first", "t50", "t99", "t100")


@dataclass(frozen=True, slots=True)
class FalsePositive:
    """An accusation of a live node (`subject`) by another node (`observer`) at `at` (ns)."""

    at: int
    kind: Accusation
    observer: int
    subject: int
    circumstances: Circumstances


@dataclass(frozen=True, slots=True)
class Detection:
    """How the end of a life at `at` (ns) became known to its `audience`, of whom `missed` did not notice it.

    Seconds from the end until it was `suspected` by anybody, and until the first, 50 %, 99 % and all of the audience held it dead or
    gone; None for what did not happen.
    """

    node: int
    at: int
    announced: bool
    audience: int
    missed: int
    suspected: float | None
    first: float | None
    t50: float | None
    t99: float | None
    t100: float | None

    def row(self) -> tuple[Any, ...]:
        """A line of the table `detection`, without its number and time."""
        kind = "leave" if self.announced else "crash"
        return (self.node, kind, self.audience, self.missed, *(getattr(self, name) for name in TIMES))


@dataclass(slots=True)
class _End:
    """The end of a life: who has still to notice it, and when others did."""

    node: int
    at: int
    announced: bool
    waiting: set[int]
    suspected: int | None = None
    noticed: list[int] = field(default_factory=list)

    def detection(self) -> Detection:
        audience = len(self.noticed) + len(self.waiting)
        return Detection(
            self.node,
            self.at,
            self.announced,
            audience,
            len(self.waiting),
            None if self.suspected is None else (self.suspected - self.at) / 1e9,
            *(self._reached(-(-audience * percent // 100)) for percent in (0, 50, 99, 100)),
        )

    def _reached(self, count: int) -> float | None:
        """Seconds until `count` observers, one at least, had noticed."""
        place = max(count, 1) - 1
        return (self.noticed[place] - self.at) / 1e9 if place < len(self.noticed) else None


@dataclass(slots=True)
class _Cut:
    """Nodes from which no datagram passes to others, until a time if it is over."""

    sources: frozenset[int]
    targets: frozenset[int]
    until: int | None = None

    def lies_between(self, a: int, b: int) -> bool:
        return (a in self.sources and b in self.targets) or (b in self.sources and a in self.targets)


class Verdicts:
    """The story of a run; `nodes[life]` is whose life it is, and all nodes run their first life from the start on.

    `lately` (ns) is how long an old suspicion may live. `false_positives` are for the caller to take away, and
    `counts` says by (kind, circumstances) how many there were in all.
    """

    def __init__(self, nodes: Sequence[int], first: Sequence[int], lately: int) -> None:
        self.false_positives: list[FalsePositive] = []
        self.counts: Counter[tuple[Accusation, Circumstances]] = Counter()
        self._nodes = nodes
        self._present: dict[int, int] = dict(enumerate(first))  # node -> life, of those that run
        self._running = set(first)
        self._lately = lately
        self._down: dict[int, int] = {}  # node -> since when
        self._lost = 0
        self._still: set[int] = set()
        self._thawed: dict[int, int] = {}
        self._cuts: dict[int, _Cut] = {}
        self._held: defaultdict[int, set[int]] = defaultdict(set)  # life that runs -> who holds it dead
        self._ends: dict[int, _End] = {}
        self._settled: list[Detection] = []

    def present(self, node: int) -> int:
        """The life of a node that runs."""
        return self._present[node]

    # What happens

    def stopped(self, node: int, at: int, *, announced: bool, knowing: Iterable[int]) -> None:
        """A node's life ends; `knowing` are the lives that know it."""
        life = self._present.pop(node)
        self._running.discard(life)
        self._still.discard(life)
        self._thawed.pop(life, None)
        self._down[node] = at
        for end in self._ends.values():
            end.waiting.discard(life)
        for observers in self._held.values():
            observers.discard(life)
        self._settle()
        asked = (self._running & set(knowing)) - self._held.pop(life, set())
        cuts = [cut for cut in self._cuts.values() if cut.until is None]
        asked = {other for other in asked if not any(cut.lies_between(self._nodes[other], node) for cut in cuts)}
        self._ends[life] = _End(node, at, announced, asked)

    def started(self, life: int, at: int) -> None:
        """A node that was down begins a life."""
        node = self._nodes[life]
        self._present[node] = life
        self._running.add(life)
        self._lost += at - self._down.pop(node)

    def froze(self, node: int) -> None:
        """A node that runs stands still from now on."""
        self._still.add(self._present[node])

    def thawed(self, node: int, at: int) -> None:
        """A node goes on."""
        self._still.discard(self._present[node])
        self._thawed[self._present[node]] = at

    def cut(self, number: int, sources: frozenset[int], targets: frozenset[int]) -> None:
        """No datagram passes from the nodes `sources` to `targets` any more."""
        self._cuts[number] = _Cut(sources, targets)

    def mended(self, number: int, at: int) -> None:
        """A cut is over."""
        self._cuts[number].until = at
        self._cuts = {number: cut for number, cut in self._cuts.items() if self._is_fresh(cut.until, at)}

    # What is noticed

    def suspected(self, at: int, observer: int, subject: int) -> None:
        """A life suspects another."""
        if subject in self._running:
            self._judge("suspicion", at, observer, subject)
        elif (end := self._ends.get(subject)) is not None and end.suspected is None and observer in end.waiting:
            end.suspected = at

    def died(self, at: int, observer: int, subject: int) -> None:
        """A life holds another dead, or gone."""
        if subject in self._running:
            self._held[subject].add(observer)
            self._judge("death", at, observer, subject)
        elif (end := self._ends.get(subject)) is not None and observer in end.waiting:
            end.waiting.remove(observer)
            end.noticed.append(at)

    def cleared(self, observer: int, subject: int) -> None:
        """A life takes back what it held against another."""
        if subject in self._held:
            self._held[subject].discard(observer)

    def succeeded(self, observer: int, subject: int) -> None:
        """A life has heard of the one that came after `subject`."""
        if (end := self._ends.get(subject)) is not None:
            end.waiting.discard(observer)

    # What it came to

    def detections(self) -> list[Detection]:
        """All ends so far, in their order."""
        self._settle()
        return sorted([*self._settled, *(end.detection() for end in self._ends.values())], key=lambda one: (one.at, one.node))

    def lost(self, now: int) -> int:
        """Nanoseconds in which nodes did not run, added up over all nodes."""
        return self._lost + sum(now - since for since in self._down.values())

    def summary(self, period: int) -> dict[str, Any]:
        """What a run's summary says of detection: counts, and the times of crashes in seconds and in gossip periods (`period` in ns).

        In a quantile, what has not happened comes after all that has; mean and maximum are of what has.
        """
        ends = self.detections()
        crashes = [end for end in ends if not end.announced and end.audience]
        seconds = {name: [getattr(end, name) for end in crashes] for name in TIMES}
        return {
            "crashes": sum(not end.announced for end in ends),
            "leaves": sum(end.announced for end in ends),
            "unnoticed": sum(end.first is None for end in crashes),
            "missed": sum(end.missed for end in ends),
            "seconds": {name: _described(values, 1) for name, values in seconds.items()},
            "periods": {name: _described(values, period / 1e9) for name, values in seconds.items()},
            "false_suspicions": self._counted("suspicion"),
            "false_deaths": self._counted("death"),
        }

    def _counted(self, kind: Accusation) -> dict[str, int]:
        return {circumstances: self.counts[kind, circumstances] for circumstances in CIRCUMSTANCES}

    def _settle(self) -> None:
        """Keep no more than the figures of ends that everybody has noticed."""
        for life in [life for life, end in self._ends.items() if not end.waiting]:
            self._settled.append(self._ends.pop(life).detection())

    def _judge(self, kind: Accusation, at: int, observer: int, subject: int) -> None:
        """Count an accusation of a life that runs, if it is a false positive."""
        nodes = self._nodes[observer], self._nodes[subject]
        fresh = [cut for cut in self._cuts.values() if self._is_fresh(cut.until, at)]
        if subject in self._still or any(cut.lies_between(*nodes) for cut in fresh):
            return
        circumstances: Circumstances = "healthy"
        if self._starved(subject, at):
            circumstances = "starved subject"
        elif self._starved(observer, at):
            circumstances = "starved observer"
        elif any(node in cut.sources or node in cut.targets for cut in fresh for node in nodes):
            circumstances = "parted"
        self.counts[kind, circumstances] += 1
        self.false_positives.append(FalsePositive(at, kind, *nodes, circumstances))

    def _starved(self, life: int, at: int) -> bool:
        return life in self._still or (life in self._thawed and self._is_fresh(self._thawed[life], at))

    def _is_fresh(self, until: int | None, at: int) -> bool:
        return until is None or at - until <= self._lately


def _described(seconds: Sequence[float | None], unit: float) -> dict[str, float | None] | None:
    """Mean, median, 99th percentile and largest of some times in units of so many seconds, None if there are none."""
    times = sorted(time / unit for time in seconds if time is not None)
    if not times:
        return None
    places = {f"p{percent}": -(-len(seconds) * percent // 100) - 1 for percent in (50, 99)}
    quantiles = {name: times[place] if place < len(times) else None for name, place in places.items()}
    return {"mean": sum(times) / len(times), **quantiles, "max": times[-1]}
