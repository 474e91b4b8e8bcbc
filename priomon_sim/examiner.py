"""All checkers before one history, which a simulation tells while it runs and a live run when it is over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from priomon_core.config import DetectionSettings
from priomon_core.links import UNREACHABLE
from priomon_sim.checkers.costs import BytesCounted, DatagramsFit, MemoryBounded
from priomon_sim.checkers.history import Checker, Cluster, Moment, Sending
from priomon_sim.checkers.knowledge import HeldWasPublished, NoResurrection, VersionsGrow
from priomon_sim.checkers.verdicts import Converges, DeathsRefuted
from priomon_sim.lives import Lives
from priomon_sim.world import Blueprint

CHECKERS = (VersionsGrow, HeldWasPublished, NoResurrection, DeathsRefuted, BytesCounted, DatagramsFit, MemoryBounded)
MOST_LOSS = 0.99  # where more is lost nobody can promise anything, and waiting longer would not help


@dataclass(frozen=True, slots=True)
class Finding:
    """What a checker objects to, `at` seconds of the run. If what is examined crashed, `checker` is the name of its exception."""

    checker: str
    at: float
    what: str

    def __str__(self) -> str:
        return f"{self.checker} at {self.at:g} s: {self.what}"


@dataclass(frozen=True, slots=True)
class Examination:
    """What became of a run: the first finding, None if all is well; when the cluster converged, in seconds after its last fault."""

    finding: Finding | None
    converged_after: float | None
    messages: int

    def __str__(self) -> str:
        if self.finding is not None:
            return str(self.finding)
        took = self.converged_after
        converged = "it did not converge before its end" if took is None else f"it converged {took:.1f} s after its last fault"
        return f"ok: {self.messages:,} messages; {converged}"

    def document(self) -> dict[str, Any]:
        """All of it as plain values, and as `verdict` in words."""
        return {**asdict(self), "verdict": str(self)}


class Examiner:
    """Shows the history of `cluster` to all checkers until one objects. `finding` is what that one said, None so far."""

    def __init__(self, cluster: Cluster) -> None:
        self.finding: Finding | None = None
        self.messages = 0
        self._converges = Converges(cluster)
        self._checkers: list[Checker] = [*(kind(cluster) for kind in CHECKERS), self._converges]
        self._listening = [checker for checker in self._checkers if type(checker).sent is not Checker.sent]

    @property
    def converged_at(self) -> int | None:
        """When (ns) all agreed in the present calm, None before."""
        return self._converges.converged_at

    def sent(self, sending: Sending) -> None:
        """Show a message."""
        self.messages += 1
        for checker in self._listening:
            self._hear(checker, checker.sent(sending), sending.at)

    def see(self, moment: Moment) -> None:
        """Show a moment."""
        for checker in self._checkers:
            self._hear(checker, checker.see(moment), moment.now)

    def result(self) -> Examination:
        """What is known so far."""
        return Examination(self.finding, self._converges.took, self.messages)

    def _hear(self, checker: Checker, objections: Iterable[str], now: int) -> None:
        if self.finding is None and (what := next(iter(objections), None)) is not None:
            self.finding = Finding(type(checker).__name__, now / 1e9, what)


def cluster_of(plan: Blueprint, lives: Lives, detection: DetectionSettings) -> Cluster:
    """What stays as it is in a run of `plan`."""
    return Cluster(lives, plan.peers, plan.gossip, detection, usual_loss(plan), plan.overhead)


def usual_loss(plan: Blueprint) -> float:
    """The share of datagrams that is lost without faults, over the longest path; single links may be worse. Below 1 in any case."""
    nodes = range(len(plan.peers))
    hops = 1
    if plan.hops is not None:
        hops = max(length for a in nodes for b in nodes if (length := plan.hops(a, b)) != UNREACHABLE)
    return min(1.0 - (1.0 - plan.link.loss.share) ** hops, MOST_LOSS)
