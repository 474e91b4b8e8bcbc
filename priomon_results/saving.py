"""What a run saves over the prototype's protocol on the same workload, and which part of it comes from what.

The saving is a ladder. Each rung is a protocol that differs from the one before in one idea; the bytes of one rung over those of the next
are what that idea saves, and the product over all rungs is the saving. A saving is worth only what lag and error allow, so they stand
beside it. The order of the rungs is a choice: with fewer updates to send, a digest is a larger part of what is sent.

The first two rungs can be computed for every run (see prototype.py). The others are runs of the same nodes, network, workload and seed,
where the store has them. A rung that is not there leaves its idea to the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from priomon_results.prototype import FANOUT
from priomon_results.schema import Run

LOAD = ("nodes", "duration", "topology", "network", "workload", "sample_every", "start", "faults")
OURS = (*LOAD, "detection", "queries")  # what runs of our own protocol have in common beside
PROTOTYPE, DIGESTS = "demon", "scuttlebutt"
CODEC, RESENDING, FILTER, DIGEST = "binary codec", "nothing sent twice", "filter", "no digest"


@dataclass(frozen=True, slots=True)
class Rung:
    """A protocol on the run's workload: its bytes per node and second, and what it does that the rung before does not (`ideas`).

    `summary` is that of the run that it was measured in; None where it was computed.
    """

    name: str
    ideas: tuple[str, ...]
    bytes: float
    summary: Mapping[str, Any] | None = None

    @property
    def lag(self) -> Mapping[str, float | None] | None:
        """Quantiles of the lag (s)."""
        return None if self.summary is None else self.summary["lag_seconds"]

    @property
    def error(self) -> Mapping[str, float | None] | None:
        """Quantiles of the error of the worst metric, in bounds."""
        if self.summary is None:
            return None
        errors = self.summary["error_in_bounds"].values()
        return {name: max((each[name] for each in errors if each[name] is not None), default=None) for name in ("p50", "p99")}


@dataclass(frozen=True, slots=True)
class Saving:
    """The ladder of a run, from the prototype to the run itself, and the run's own protocol without its filter (None: not there)."""

    rungs: tuple[Rung, ...]
    unfiltered: Rung | None

    def factors(self) -> list[float | None]:
        """What each rung saves over the one before; None for the first."""
        return [None, *(before.bytes / after.bytes for before, after in zip(self.rungs, self.rungs[1:], strict=False))]

    @property
    def total(self) -> float:
        """Bytes of the prototype over those of the run."""
        return self.rungs[0].bytes / self.rungs[-1].bytes

    @property
    def by_filter(self) -> float | None:
        """Bytes of the run's own protocol without its filter over those with it."""
        return None if self.unfiltered is None else self.unfiltered.bytes / self.rungs[-1].bytes

    @property
    def complete(self) -> bool:
        """Whether every idea has a rung of its own."""
        return all(len(rung.ideas) <= 1 for rung in self.rungs) and self.rungs[0].summary is not None


def saving_of(run: Run, others: Sequence[Run]) -> Saving | None:
    """The ladder of a run of our protocol, with what is found among others; None where there is nothing to tell."""
    summary = run.summary
    prototype = summary.get("prototype_bytes_per_node_per_second") if summary else None
    if run.strategy == PROTOTYPE or not prototype or not summary["bytes_per_node_per_second"]:
        return None
    beside = [other for other in others if _comparable(run, other)]
    filtered = not _unfiltered(run)
    measured = next((other for other in beside if _is_prototype(other)), None)
    if measured is None:
        rungs = [Rung("the prototype (computed)", (), prototype)]
    else:
        rungs = [Rung("the prototype", (), _bytes(measured), measured.summary)]
    ideas = [CODEC]
    if codec := summary.get("prototype_in_our_codec_bytes_per_node_per_second"):
        rungs.append(Rung("the same in our codec (computed)", (CODEC,), codec))
        ideas = []
    order = [RESENDING, *([FILTER] if filtered else []), *([DIGEST] if run.strategy != DIGESTS else [])]
    for idea in order[:-1]:
        ideas.append(idea)
        if found := _ours(run, beside, DIGESTS, filtered=idea == FILTER):
            name = f"{DIGESTS}, filtered" if idea == FILTER else f"{DIGESTS}, every sample"
            rungs.append(Rung(name, tuple(ideas), _bytes(found), found.summary))
            ideas = []
    rungs.append(Rung(f"{run.strategy} (this run)", (*ideas, order[-1]), _bytes(run), summary))
    own = _ours(run, beside, run.strategy, filtered=False) if filtered else None
    return Saving(tuple(rungs), None if own is None else Rung(f"{run.strategy}, every sample", (), _bytes(own), own.summary))


def _bytes(run: Run) -> float:
    return float(run.summary["bytes_per_node_per_second"])


def _comparable(run: Run, other: Run) -> bool:
    """Whether two complete runs put the same load on the same network, by the same code and seed."""
    if (other.seed, other.code_version, other.mode, other.status) != (run.seed, run.code_version, run.mode, "complete"):
        return False
    return _same(run, other, LOAD) and _metrics(run) == _metrics(other)


def _same(run: Run, other: Run, keys: Sequence[str]) -> bool:
    return all(run.parameters.get(key) == other.parameters.get(key) for key in keys)


def _is_prototype(run: Run) -> bool:
    return run.strategy == PROTOTYPE and _unfiltered(run) and run.parameters["gossip"]["fanout"] == FANOUT


def _ours(run: Run, others: Sequence[Run], strategy: str, *, filtered: bool) -> Run | None:
    """A run by a strategy, with the run's own filter or without any, that differs in nothing else."""

    def gossip(one: Run) -> dict[str, Any]:
        return {key: value for key, value in one.parameters["gossip"].items() if key != "strategy"}

    def fits(other: Run) -> bool:
        filters = _filters(other) == _filters(run) if filtered else _unfiltered(other)
        return other.strategy == strategy and filters and gossip(other) == gossip(run) and _same(run, other, OURS)

    return next((other for other in others if fits(other)), None)


def _metrics(run: Run) -> dict[str, Any]:
    """What is measured, whatever is published of it."""
    return {
        name: {key: value for key, value in metric.items() if key != "filter"}
        for name, metric in run.parameters.get("metrics", {}).items()
        if metric.get("enabled", True)
    }


def _filters(run: Run) -> dict[str, str]:
    return {name: metric.get("filter", "") for name, metric in run.parameters.get("metrics", {}).items() if metric.get("enabled", True)}


def _unfiltered(run: Run) -> bool:
    return set(_filters(run).values()) == {"none"}
