"""A report of one run as a single HTML file: what happened in words, the measures with their meaning, the plots, how to repeat it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from priomon_results.files import replace_file
from priomon_results.plots.run import PLOTS
from priomon_results.plots.style import LARGEST_SVG, caption, in_bytes, unit_of
from priomon_results.report_saving import HEADINGS, conditions, lines, sentence
from priomon_results.saving import saving_of
from priomon_results.schema import Run
from priomon_results.store import Store
from priomon_results.words import NOTHING, number, quantiles, seconds

Summary = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Measure:
    """A line of the table: what it is called, what it means, how to read it from a run's summary."""

    name: str
    meaning: str
    read: Callable[[Summary], str]


def times(summary: Summary, name: str) -> str:
    """A time of detection: its median and largest value."""
    found = summary["detection"]["seconds"][name]
    return NOTHING if found is None else quantiles({"p50": found["p50"], "max": found["max"]}, seconds)


def circumstances(counts: Mapping[str, int]) -> str:
    """ "12 (2 healthy, 10 parted)" of {"healthy": 2, "starved subject": 0, "parted": 10}."""
    named = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    return f"{sum(counts.values()):,}" + (f" ({named})" if named else "")


MEASURES = (
    Measure(
        "Convergence time",
        "First time at which every live node knows some value of every other.",
        lambda s: seconds(s["convergence_seconds"]),
    ),
    Measure("Convergence rounds", "The convergence time in gossip periods.", lambda s: number(s["convergence_rounds"])),
    Measure(
        "Coverage at the end",
        "Share of pairs (observer, origin) of live nodes in which the observer knows a value of the origin.",
        lambda s: f"{s['coverage_final'] * 100:.4g} %",
    ),
    Measure(
        "Traffic",
        "Bytes that a node sends per second, mean over nodes and time, with all headers down to those of IPv4.",
        lambda s: f"{in_bytes(s['bytes_per_node_per_second'])}/s per node",
    ),
    Measure(
        "Messages",
        "Messages that a node sends per second, mean over nodes and time.",
        lambda s: f"{number(s['messages_per_node_per_second'])} /s per node",
    ),
    Measure(
        "Redundancy",
        "Deliveries of an update over the deliveries that are needed, which is one per other node.",
        lambda s: number(s["redundancy"]),
    ),
    Measure(
        "Lag",
        "0 while an observer holds the newest published version of an origin, else the time since the oldest version that it lacks.",
        lambda s: quantiles(s["lag_seconds"], seconds),
    ),
    Measure(
        "Age of Information",
        "Time since the sample was taken that a held value comes from.",
        lambda s: quantiles(s["age_seconds"], seconds),
    ),
    Measure(
        "Dissemination time",
        "From the publication of an update until 50, 99 and 100 % of the live nodes hold it or a newer one; median over updates.",
        lambda s: quantiles(s["dissemination_seconds"], seconds),
    ),
    Measure("Events", "Events that the simulator worked off.", lambda s: "-" if s["events"] is None else f"{s['events']:,}"),
)

DETECTION = (
    Measure(
        "Crashes",
        "Nodes that stopped without a word, and of these those that no node held dead by the end.",
        lambda s: f"{s['detection']['crashes']:,}, {s['detection']['unnoticed']:,} unnoticed",
    ),
    Measure(
        "First suspicion",
        "From a crash until the first node suspects the crashed one.",
        lambda s: times(s, "suspected"),
    ),
    Measure(
        "First verdict",
        "From a crash until the first node holds the crashed one dead.",
        lambda s: times(s, "first"),
    ),
    Measure(
        "Known to 99 %",
        "From a crash until 99 % hold the crashed node dead, of the nodes that ran and knew it then.",
        lambda s: times(s, "t99"),
    ),
    Measure(
        "False suspicions",
        "Accusations of nodes that ran and could be reached, at every observer; see validation.md for the circumstances.",
        lambda s: circumstances(s["detection"]["false_suspicions"]),
    ),
    Measure(
        "False deaths",
        "Verdicts on nodes that ran and could be reached, at every observer.",
        lambda s: circumstances(s["detection"]["false_deaths"]),
    ),
)
"""Of a run whose nodes judge each other."""

QUERIES = (
    Measure(
        "Query success",
        "Share of the reads that met their level in time; of the others, those that answered with less.",
        lambda s: f"{s['queries']['success'] * 100:.5g} % of {s['queries']['count']:,}, {s['queries']['partial'] * 100:.3g} % partial",
    ),
    Measure(
        "Query latency",
        "From the beginning of a read to its end, partial ones among them.",
        lambda s: quantiles(s["queries"]["latency_seconds"], seconds),
    ),
    Measure("Messages per query", "Questions sent and answers received.", lambda s: number(s["queries"]["messages_per_query"])),
    Measure(
        "Age of answers",
        "From the sample of what a read returned to the read's end.",
        lambda s: quantiles(s["queries"]["age_seconds"], seconds),
    ),
)
"""Of a run whose nodes read each other."""


EXAMINATION = Measure(
    "Checkers",
    "Whether anything that the agents recorded is what must never happen; see validation.md.",
    lambda s: str(s["examination"]["verdict"]),
)
"""Of a run of real agents."""


def measures(summaries: Sequence[Summary]) -> tuple[Measure, ...]:
    """The lines that a table of these runs has."""
    detection = DETECTION if all(summary.get("detection") for summary in summaries) else ()
    queries = QUERIES if all(summary.get("queries") for summary in summaries) else ()
    examination = (EXAMINATION,) if all(summary.get("examination") for summary in summaries) else ()
    return MEASURES + detection + queries + examination


def write_report(store: Store, runs: Sequence[int], path: Path, *, pictures: Sequence[Path], command: str) -> None:
    """Write the report of the last of `runs` to `path`, which is replaced whole or not at all.

    `pictures` are the files of `draw_all` for the same runs; `command` repeats the run. Raises `StoreError` when a run is missing
    and `OutputError` when `path` cannot be written.
    """
    stored = [store.run(number) for number in runs]
    run = stored[-1]
    environment = Environment(loader=PackageLoader("priomon_results"), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    html = environment.get_template("report.html").render(
        run=run,
        summary=run.summary,
        sentences=sentences(run),
        measures=[(one.name, one.meaning, one.read(run.summary)) for one in measures([run.summary])] if run.summary else [],
        metrics=_metrics(run),
        ladder=_ladder(run, store),
        baseline=_baseline(run.summary),
        plots=_plots(pictures),
        caption=caption(stored),
        parameters=yaml.safe_dump(dict(run.parameters), sort_keys=False, allow_unicode=True),
        machine=run.machine,
        command=command,
    )
    replace_file(path, html.encode())


def sentences(run: Run) -> list[str]:
    """The run in plain words."""
    what = f"{run.nodes:,} nodes gossiped for {number(run.virtual_seconds)} s by {run.strategy} (seed {run.seed})."
    if run.status != "complete":
        what += f" The run is {run.status}: what follows covers what was computed."
    if not run.summary:
        return [what]
    summary, lag = run.summary, run.summary["lag_seconds"]
    when = summary["convergence_seconds"]
    known = (
        f"At the end {summary['coverage_final'] * 100:.4g} % of the pairs of nodes knew each other, so not all."
        if when is None
        else f"Every node knew every other after {seconds(when)}."
    )
    cost = f"A node sent {in_bytes(summary['bytes_per_node_per_second'])} per second."
    result = [what, known, cost]
    if lag["p99"] is not None:
        result.append(f"In 99 of 100 cases an observer had all news of another node that was older than {seconds(lag['p99'])}.")
    if detection := summary.get("detection"):
        result += _of_detection(detection)
    if saving := summary["saving_vs_baseline"]:
        ratio = saving["bytes_ratio"]
        less = f"{ratio:.3g} times less" if ratio >= 1 else f"{1 / ratio:.3g} times more"
        result.append(f"That is {less} traffic than {saving['scenario']} on the same workload; lag and error of both are below.")
    return result


def _of_detection(detection: Mapping[str, Any]) -> list[str]:
    result = []
    if (known := detection["seconds"]["t99"]) and known["p50"] is not None:
        result.append(f"Half of {detection['crashes']:,} crashes were known to 99 % of the nodes within {seconds(known['p50'])}.")
    healthy = detection["false_deaths"]["healthy"]
    result.append(f"Healthy nodes held healthy ones dead in {healthy:,} cases." if healthy else "No healthy node held another one dead.")
    return result


def _exactly(value: float | None) -> str:
    """To six digits, for 0.9999 is within a bound and 1 is not."""
    return NOTHING if value is None else f"{value:.6g}"


def _metrics(run: Run) -> list[dict[str, str]]:
    """One line per metric: what was published, and how far held values were from the truth."""
    lines = []
    for name, published in run.summary.get("published", {}).items():
        total = published + run.summary["filtered"][name]
        lines.append(
            {
                "name": name,
                "published": f"{published:,} of {total:,}",
                "share": f"{published / total * 100:.3g} %" if total else NOTHING,
                "error": f"{quantiles(run.summary['error'].get(name), number)} {unit_of(run, name)}",
                "bounds": quantiles(run.summary["error_in_bounds"].get(name), number),
                "settled": _exactly(run.summary["settled_error_in_bounds"][name]["max"]),
            }
        )
    return lines


def _ladder(run: Run, store: Store) -> dict[str, Any] | None:
    """What the run saves over the prototype, with what the store has on the same workload."""
    found = saving_of(run, store.runs())
    if found is None:
        return None
    return {
        "sentence": sentence(found),
        "conditions": conditions(run),
        "headings": HEADINGS,
        "lines": lines(found),
        "complete": found.complete,
    }


def _baseline(summary: Summary) -> dict[str, Any] | None:
    """The comparison with the baseline: its name and lines of (measure, this run, baseline)."""
    baseline = summary.get("saving_vs_baseline")
    if not baseline:
        return None
    traffic, ratio = summary["bytes_per_node_per_second"], baseline["bytes_ratio"]
    lines = [
        ("Traffic per node", f"{in_bytes(traffic)}/s", f"{in_bytes(traffic * ratio)}/s ({number(ratio)} times this run)"),
        ("Lag", quantiles(summary["lag_seconds"], seconds), quantiles(baseline["lag_seconds"], seconds)),
    ]
    for name, values in summary["error_in_bounds"].items():
        lines.append((f"Error of {name}, in bounds", quantiles(values, number), quantiles(baseline["error_in_bounds"].get(name), number)))
    return {"scenario": baseline["scenario"], "lines": lines}


def _plots(pictures: Sequence[Path]) -> list[dict[str, str]]:
    """Address (with the picture in it) and text of every plot that was drawn."""
    drawn = {path.stem: path for path in pictures if path.suffix == ".svg"}
    result = []
    for plot in PLOTS:
        if picture := drawn.get(plot.name):
            is_small = picture.stat().st_size <= LARGEST_SVG
            kind, content = ("svg+xml", picture.read_bytes()) if is_small else ("png", picture.with_suffix(".png").read_bytes())
            result.append({"name": plot.name, "source": f"data:image/{kind};base64,{b64encode(content).decode()}", "text": plot.text})
    return result
