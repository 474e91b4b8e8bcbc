"""Two groups of runs beside each other: which are compared, how far their measures lie apart, and whether that is near enough.

A group is the complete runs that differ in nothing but the seed. The first group A is the reference, which differences are relative to:
the simulation where live runs are compared with it, else the older runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from priomon_core.errors import PriomonError
from priomon_results.schema import Run

Summary = Mapping[str, Any]
Group = list[Run]

SAME_DURATION = 0.02  # share by which durations may differ: a live run ends when its processes do, a moment late
NAMED_SETTINGS = 2  # scenarios that differ in more settings are told apart by their hashes
MODES = {"sim": "simulated", "live": "live"}


class CompareError(PriomonError):
    """There are no two groups of runs that can be compared."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two values may lie apart: a share of the first, or in `unit` if there is one."""

    limit: float
    unit: str = ""

    def holds(self, a: float, b: float) -> bool:
        """Two values that are both infinite agree; one alone never does."""
        return a == b or abs(b - a) <= self.limit * (1 if self.unit else a) < math.inf

    def __str__(self) -> str:
        return f"{self.limit:g} {self.unit}" if self.unit else f"{self.limit * 100:g} %"


@dataclass(frozen=True, slots=True)
class Measure:
    """A line of the comparison: how to read it from a run's summary (None: it never came to that), and its tolerance if it has one."""

    name: str
    unit: str
    read: Callable[[Summary], float | None]
    tolerance: Tolerance | None = None


@dataclass(frozen=True, slots=True)
class Quartiles:
    """Lower quartile, median and upper quartile of a measure over the runs of a group; infinite where so many never came to it."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """A measure of both groups. `difference` is that of B's median from A's, as a share of A's; None if there is no such number.

    `inside` says whether the medians are within the tolerance; None for a measure without one.
    """

    measure: Measure
    a: Quartiles
    b: Quartiles
    difference: float | None
    inside: bool | None


MEASURES = (
    Measure("convergence", "rounds", lambda s: s["convergence_rounds"], Tolerance(1, "round")),
    Measure("coverage at the end", "", lambda s: s["coverage_final"]),
    Measure("bytes per node", "B/s", lambda s: s["bytes_per_node_per_second"], Tolerance(0.05)),
    Measure("lower bound", "B/s", lambda s: s.get("lower_bound_bytes_per_node_per_second")),
    Measure(
        "bytes over the lower bound",
        "times",
        lambda s: _ratio(s["bytes_per_node_per_second"], s.get("lower_bound_bytes_per_node_per_second")),
    ),
    Measure("messages per node", "/s", lambda s: s["messages_per_node_per_second"]),
    Measure("bytes per message", "B", lambda s: _ratio(s["bytes_per_node_per_second"], s["messages_per_node_per_second"])),
    Measure("redundancy", "", lambda s: s["redundancy"]),
    Measure("lag p50", "s", lambda s: s["lag_seconds"]["p50"], Tolerance(0.15)),
    Measure("lag p99", "s", lambda s: s["lag_seconds"]["p99"], Tolerance(0.15)),
    Measure("age p50", "s", lambda s: s["age_seconds"]["p50"]),
    Measure("age p99", "s", lambda s: s["age_seconds"]["p99"]),
    Measure("dissemination to 50 %", "s", lambda s: s["dissemination_seconds"]["t50"]),
    Measure("dissemination to 99 %", "s", lambda s: s["dissemination_seconds"]["t99"]),
    Measure("dissemination to 100 %", "s", lambda s: s["dissemination_seconds"]["t100"]),
)

DETECTION = (
    Measure("crash suspected", "s", lambda s: _time(s, "suspected")),
    Measure("first holds it dead", "s", lambda s: _time(s, "first")),
    Measure("99 % hold it dead", "s", lambda s: _time(s, "t99")),
    Measure("all hold it dead", "s", lambda s: _time(s, "t100")),
    Measure("false suspicions", "", lambda s: float(sum(s["detection"]["false_suspicions"].values()))),
    Measure("false deaths", "", lambda s: float(sum(s["detection"]["false_deaths"].values()))),
    Measure("false deaths, all healthy", "", lambda s: float(s["detection"]["false_deaths"]["healthy"])),
)
"""Of runs whose nodes judge each other. Times are medians over the crashes, from each of them on."""

QUERIES = (
    Measure("query success", "", lambda s: s["queries"]["success"]),
    Measure("query latency p50", "s", lambda s: s["queries"]["latency_seconds"]["p50"]),
    Measure("query latency p99", "s", lambda s: s["queries"]["latency_seconds"]["p99"]),
    Measure("messages per query", "", lambda s: s["queries"]["messages_per_query"]),
    Measure("age of answers p50", "s", lambda s: s["queries"]["age_seconds"]["p50"]),
    Measure("age of answers p99", "s", lambda s: s["queries"]["age_seconds"]["p99"]),
)
"""Of runs whose nodes read each other."""

ALARMS = (
    Measure("alarm p50", "s", lambda s: s["alarm_seconds"]["p50"]),
    Measure("alarm p99", "s", lambda s: s["alarm_seconds"]["p99"]),
)
"""Of runs whose metrics have alarms: from a crossing until 99 % of the nodes know it."""
SOMETIMES = {"detection": DETECTION, "queries": QUERIES, "alarm_seconds": ALARMS}
"""Measures that not all runs have, by the part of a summary that they are in."""


def compare(a: Sequence[Summary], b: Sequence[Summary]) -> list[Row]:
    """The measures of two groups, given as the summaries of their runs: of the cluster, detection, reads, and each metric in all."""
    everywhere = set.intersection(*({*summary["published"]} for summary in [*a, *b]))
    metrics = [metric for metric in a[0]["published"] if metric in everywhere]
    shared = [*MEASURES, *sometimes([*a, *b]), *(one for metric in metrics for one in _of_metric(metric))]
    return [_row(measure, a, b) for measure in shared]


def sometimes(summaries: Sequence[Summary]) -> list[Measure]:
    """Of the measures that not all runs have those that all of these have; runs in older stores have none."""
    return [measure for part, found in SOMETIMES.items() if all(summary.get(part) for summary in summaries) for measure in found]


def quartiles(values: Sequence[float]) -> Quartiles:
    """Quartiles of at least one value, interpolated between neighbours; unlike numpy's they may be infinite."""
    ordered = sorted(values)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        index = int(place)
        if place == index or math.isinf(ordered[index]):
            return ordered[index]
        return ordered[index] + (place - index) * (ordered[index + 1] - ordered[index])

    return Quartiles(at(0.25), at(0.5), at(0.75))


def two_groups(runs: Sequence[Run], where: str) -> tuple[Group, Group]:
    """The groups A and B to compare among the runs of one store, oldest run first; `where` names the store in errors.

    Simulated against live runs of one scenario where both are there, else the two groups that were run last. Raises `CompareError`.
    """
    groups = _groups(runs, where)
    if len(groups) == 1:
        raise CompareError(
            f"{where}: there is only one group of complete runs ({_described(groups[0])}); a comparison needs live runs beside"
            " simulated ones, or runs of another scenario or code version; or give a second store"
        )
    # Combinations come in order, so the last pair of two modes is that of the newest runs.
    twins = [pair for pair in combinations(groups, 2) if _are_twins(*pair)]
    a, b = twins[-1] if twins else groups[-2:]
    return (b, a) if twins and a[0].mode == "live" else (a, b)


def chosen_groups(runs: Sequence[Run], where: str) -> tuple[Group, Group]:
    """`two_groups` of runs that somebody named one by one. Raises `CompareError` also if one is not complete or they make more groups."""
    for run in runs:
        if run.status != "complete":
            raise CompareError(f"{where}: run {run.id} is {run.status}; only complete runs can be compared")
    groups = _groups(runs, where)
    if len(groups) > 2:
        listed = "; ".join(map(_described, groups))
        raise CompareError(f"{where}: the chosen runs make {len(groups)} groups ({listed}); choose runs of two")
    return two_groups(runs, where)


def latest_group(runs: Sequence[Run], where: str) -> Group:
    """The group that was run last. Raises `CompareError` if no run is complete."""
    return _groups(runs, where)[-1]


def check_comparable(a: Group, b: Group) -> None:
    """Raises `CompareError` unless all runs have as many nodes and last as long as each other."""
    nodes = [{run.nodes for run in group} for group in (a, b)]
    if len(nodes[0] | nodes[1]) > 1:
        raise CompareError(f"the groups differ in their number of nodes: {_listed(nodes[0])} and {_listed(nodes[1])}; {_SAME_LOAD}")
    seconds = [{run.virtual_seconds or 0.0 for run in group} for group in (a, b)]
    if min(seconds[0] | seconds[1]) < (1 - SAME_DURATION) * max(seconds[0] | seconds[1]):
        raise CompareError(f"the groups differ in their duration: {_listed(seconds[0])} s and {_listed(seconds[1])} s; {_SAME_LOAD}")


def labels(a: Group, b: Group, places: tuple[str, str]) -> tuple[str, str]:
    """Short names that tell two groups apart by what they differ in; `places` are their stores, named if all else is equal."""
    pairs = [(ours, theirs) for ours, theirs in zip(_facets(a[0]), _facets(b[0]), strict=True) if ours != theirs]
    if a[0].scenario == b[0].scenario and a[0].scenario_hash != b[0].scenario_hash:
        pairs.append(_settings_apart(a[0], b[0]))
    first, second = zip(*(pairs or [places]), strict=True)
    return ", ".join(first), ", ".join(second)


_SAME_LOAD = "a comparison means something only for runs of the same size and length"


def _row(measure: Measure, a: Sequence[Summary], b: Sequence[Summary]) -> Row:
    ours, theirs = (quartiles([_or_infinite(measure.read(summary)) for summary in group]) for group in (a, b))
    inside = None if measure.tolerance is None else measure.tolerance.holds(ours.median, theirs.median)
    return Row(measure, ours, theirs, _difference(ours.median, theirs.median), inside)


def _of_metric(metric: str) -> list[Measure]:
    return [
        Measure(f"{metric}: published", "%", lambda s: _published(s, metric)),
        Measure(f"{metric}: error p50", "bounds", lambda s: s["error_in_bounds"][metric]["p50"]),
        Measure(f"{metric}: error p99", "bounds", lambda s: s["error_in_bounds"][metric]["p99"]),
    ]


def _published(summary: Summary, metric: str) -> float | None:
    """Percent of the samples that were published."""
    published, filtered = summary["published"][metric], summary["filtered"][metric]
    return _ratio(100 * published, published + filtered)


def _time(summary: Summary, name: str) -> float | None:
    """The median of a time of detection, None without a crash."""
    times: Mapping[str, float | None] | None = summary["detection"]["seconds"][name]
    return None if times is None else times["p50"]


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _or_infinite(value: float | None) -> float:
    return math.inf if value is None else float(value)


def _difference(a: float, b: float) -> float | None:
    if a == b:
        return 0.0
    return b / a - 1 if a and math.isfinite(a) and math.isfinite(b) else None


def _groups(runs: Sequence[Run], where: str) -> list[Group]:
    """Complete runs by scenario, mode and code version, the group with the newest run last."""
    groups: dict[tuple[str, str, str, str], Group] = {}
    for run in sorted(runs, key=lambda run: run.id):
        if run.status == "complete":
            groups.setdefault((run.scenario, run.scenario_hash, run.mode, run.code_version), []).append(run)
    if not groups:
        raise CompareError(f"{where}: it holds no complete run; run a scenario to its end first")
    return sorted(groups.values(), key=lambda group: group[-1].id)


def _are_twins(a: Group, b: Group) -> bool:
    """Whether they are live and simulated runs of one scenario."""
    return a[0].mode != b[0].mode and a[0].scenario_hash == b[0].scenario_hash


def _facets(run: Run) -> tuple[str, ...]:
    """What a reader tells runs apart by."""
    return run.scenario, run.strategy, MODES[run.mode], run.code_version


def _settings_apart(a: Run, b: Run) -> tuple[str, str]:
    """The settings that differ between two scenarios of one name, or the scenarios' hashes if they are many."""
    ours, theirs = dict(_flat(a.parameters)), dict(_flat(b.parameters))
    apart = [path for path in {**ours, **theirs} if path != "seed" and ours.get(path) != theirs.get(path)]
    if not 1 <= len(apart) <= NAMED_SETTINGS:
        return f"{a.scenario} {a.scenario_hash[:6]}", f"{b.scenario} {b.scenario_hash[:6]}"
    one, other = (", ".join(f"{path}={side.get(path)}" for path in apart) for side in (ours, theirs))
    return one, other


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(Path, value) of every setting, as `--set` takes them."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _described(group: Group) -> str:
    return f"{', '.join(_facets(group[0]))}: {'run' if len(group) == 1 else 'runs'} {_listed({run.id for run in group})}"


def _listed(values: set[int] | set[float]) -> str:
    return ", ".join(f"{value:,.12g}" for value in sorted(values))
