"""Draws pictures/drift.png: what observers hold of a slow drift under `bounded` and under `schedule`.

python docs/draw_drift.py
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from priomon_core.config import SECOND
from priomon_core.metrics import STORAGE, Filter
from priomon_core.priority import Publisher
from priomon_results.plots.distribution import drift
from priomon_results.plots.style import Floats, save

PICTURE = Path(__file__).parent / "pictures" / "drift.png"
SECONDS = 60
SLOPE = 0.4  # % of the disk per sample: under half a bound, so two samples in a row never differ by one


def held(name: Filter, truth: Floats) -> Floats:
    """What an observer holds that lacks no publication, one value per sample of `truth` (one per second)."""
    publisher = Publisher([replace(STORAGE, filter=name)])
    values = np.empty_like(truth)
    last = 0
    for second, value in enumerate(truth.tolist()):
        changes = publisher.select([value], second * SECOND)
        last = changes[0][1] if changes else last
        values[second] = STORAGE.value(last)
    return values


def main() -> None:
    times = np.arange(SECONDS, dtype=np.float64)
    truth = 40.0 + SLOPE * times
    figure = drift(
        times,
        truth,
        held("bounded", truth),
        held("schedule", truth),
        bound=STORAGE.bound,
        quantity="storage used (%), one sample per second",
    )
    PICTURE.parent.mkdir(exist_ok=True)
    svg, _ = save(figure, PICTURE.with_suffix(""))
    svg.unlink()


if __name__ == "__main__":
    main()
