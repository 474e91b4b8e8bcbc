"""What a page shows of a run: the phase it is in, how far it has come, what was seen of its nodes, and a log.

A `Progress` is written by the thread that runs and read by the one that serves. It is replaced whole at each step and never changed, so
neither waits for the other.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from priomon_core.config import SECOND
from priomon_node.orchestrator.live import Glance, Picture
from priomon_node.view import endpoint

Json = dict[str, Any]
Phase = Literal["idle", "gathering", "live", "simulated", "reporting", "complete", "interrupted", "failed"]
Point = tuple[float, float, float, float]  # run's time (s), coverage, bytes/s sent by a node: mean, most

RUNNING: frozenset[Phase] = frozenset({"gathering", "live", "simulated", "reporting"})
MOST_POINTS = 1_200  # of a curve; a longer run keeps every second, then every fourth...
MOST_LINES = 200


@dataclass(frozen=True, slots=True)
class Curve:
    """What was seen over time, thinned out evenly when it grows long: one point in `every`."""

    points: tuple[Point, ...] = ()
    every: int = 1
    seen: int = 0

    def add(self, point: Point) -> Curve:
        """The curve with another point, if it is one of those that are kept."""
        points = self.points if self.seen % self.every else (*self.points, point)
        if len(points) > MOST_POINTS:
            return Curve(points[::2], self.every * 2, self.seen + 1)
        return Curve(points, self.every, self.seen + 1)


@dataclass(frozen=True, slots=True)
class Progress:
    """One run, or none yet (`number` 0). `t` is the run's time (s) that the phase has come to; `since` when it began (monotonic s)."""

    number: int = 0
    phase: Phase = "idle"
    since: float = 0.0
    scenario: str = ""
    seed: int = 0
    nodes: int = 0
    duration: float = 0.0
    t: float = 0.0
    folder: str = ""
    picture: Picture | None = None
    glance: Glance | None = None
    rates: tuple[float, ...] = ()
    curve: Curve = field(default_factory=Curve)
    log: tuple[tuple[float, str], ...] = ()
    problem: str | None = None
    inside: bool | None = None

    @property
    def running(self) -> bool:
        """Whether the run still goes on."""
        return self.phase in RUNNING

    def enter(self, phase: Phase, line: str) -> Progress:
        """The next phase begins, and the log says `line`."""
        return replace(self, phase=phase, since=time.monotonic(), t=0.0).say(line)

    def say(self, line: str) -> Progress:
        """The log gets another line."""
        return replace(self, log=(*self.log[1 - MOST_LINES :], (time.time(), line)))

    def see(self, glance: Glance) -> Progress:
        """What was seen of the live nodes; the rates are those since the glance before."""
        before = self.glance
        then, sent = (before.now, before.bytes_sent) if before else (0, [0] * len(glance.bytes_sent))
        if glance.now == then:
            return replace(self, glance=glance)  # nothing new but who has answered since
        elapsed = (glance.now - then) / SECOND
        rates = tuple((now - earlier) / elapsed for now, earlier in zip(glance.bytes_sent, sent, strict=True))
        point = (glance.now / SECOND, glance.coverage, sum(rates) / len(rates), max(rates))
        return replace(self, t=glance.now / SECOND, glance=glance, rates=rates, curve=self.curve.add(point))

    def left(self, now: float) -> float | None:
        """Seconds until the phase ends, as far as can be told at `now` (monotonic s)."""
        if self.phase == "live":
            return max(0.0, self.duration - self.t)
        if self.phase == "simulated" and self.t > 0:
            return max(0.0, (now - self.since) * (self.duration / self.t - 1))
        return None

    def news(self) -> Json:
        """What changes while a run goes on, as JSON: all but the picture and the points before the last."""
        return {
            "number": self.number,
            "phase": self.phase,
            "running": self.running,
            "scenario": self.scenario,
            "seed": self.seed,
            "node_count": self.nodes,
            "duration_seconds": self.duration,
            "t_seconds": self.t,
            "left_seconds": self.left(time.monotonic()),
            "coverage": None if self.glance is None else self.glance.coverage,
            "nodes": self._rows(),
            "point": self.curve.points[-1] if self.curve.points else None,
            "log": [{"unix_seconds": when, "line": line} for when, line in self.log],
            "folder": self.folder,
            "problem": self.problem,
            "inside": self.inside,
        }

    def document(self) -> Json:
        """Everything, as JSON."""
        picture = self.picture
        drawn = None if picture is None else {"names": picture.names, "places": picture.places, "edges": picture.edges}
        return {**self.news(), "picture": drawn, "points": self.curve.points}

    def _rows(self) -> list[Json]:
        if self.picture is None or self.glance is None:
            return []
        seen = self.glance
        agents = map(endpoint, self.picture.agents)
        columns = (self.picture.names, agents, seen.live, seen.known, seen.bytes_sent, self.rates, seen.unheard)
        names = ("name", "agent", "live", "known", "bytes_sent", "bytes_per_second", "unheard_seconds")
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
