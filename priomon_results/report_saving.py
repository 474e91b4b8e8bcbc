"""A saving in words and cells, for screens and reports."""

from __future__ import annotations

from collections.abc import Mapping

from priomon_results.plots.style import in_bytes
from priomon_results.saving import Rung, Saving
from priomon_results.schema import Run
from priomon_results.words import NOTHING, number, quantiles, seconds

HEADINGS = ("protocol", "sent per node", "what it does beside", "times less", "lag", "error in bounds")


def lines(saving: Saving) -> list[tuple[str, ...]]:
    """A line of cells per rung, then the product, and the own protocol without its filter if it was run."""
    result = [_line(rung, factor) for rung, factor in zip(saving.rungs, saving.factors(), strict=True)]
    result.append(("all together", "", "", number(saving.total), "", ""))
    if saving.unfiltered is not None:
        name, sent, *_, lag, error = _line(saving.unfiltered, None)
        result.append((f"beside: {name}", sent, f"its filter saves {number(saving.by_filter)} times", "", lag, error))
    return result


def sentence(saving: Saving) -> str:
    """The saving in plain words."""
    ratio = saving.total
    less = f"{number(ratio)} times fewer bytes than" if ratio >= 1 else f"{number(1 / ratio)} times the bytes of"
    known = "measured on the same workload" if saving.rungs[0].summary is not None else "computed for as many nodes"
    return f"A node sends {less} the prototype's protocol ({known})."


def conditions(run: Run) -> str:
    """What a saving holds for: nodes, loss, sampling, and the bounds of the metrics."""
    settings = run.parameters
    gossip, loss = settings.get("gossip", {}), settings.get("network", {}).get("loss", {})
    every = settings.get("sample_every", "period")
    bounds = ", ".join(
        f"{name} {metric['bound']:g} {'times' if metric.get('scale') == 'log' else metric.get('unit', '')}".rstrip()
        for name, metric in settings.get("metrics", {}).items()
        if metric.get("enabled", True) and "bound" in metric
    )
    parts = [
        f"{run.nodes:,} nodes",
        f"a round per {gossip.get('period', NOTHING)}, a sample per {'round' if every == 'period' else every}",
        f"loss {loss.get('share', 'in bursts')}" if loss else "",
        f"bounds: {bounds}" if bounds else "",
    ]
    return "; ".join(filter(None, parts)) + "."


def _line(rung: Rung, factor: float | None) -> tuple[str, ...]:
    lag = NOTHING if rung.lag is None else quantiles(_two(rung.lag), seconds)
    error = NOTHING if rung.error is None else quantiles(rung.error, number)
    return rung.name, f"{in_bytes(rung.bytes)}/s", " + ".join(rung.ideas), "" if factor is None else number(factor), lag, error


def _two(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: values[name] for name in ("p50", "p99")}
