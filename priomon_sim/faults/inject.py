"""Lets a timeline of faults happen to a cluster in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from priomon_sim.driver import Driver
from priomon_sim.faults.timeline import Action, Alters, Crashes, Cuts, Freezes, Leaves, Mends, Restores, Skews, Starts, Thaws, Timeline


def inject(driver: Driver, timeline: Timeline) -> None:
    """Schedule all actions of a timeline."""
    for when, action in timeline.actions:
        driver.clock.call_at(when, _happening(driver, action))


def _happening(driver: Driver, action: Action) -> Callable[[Any], None]:
    happen = partial(_happen, driver, action)
    return lambda event: happen()


def _happen(driver: Driver, action: Action) -> None:
    links = driver.links
    match action:
        case Crashes(node):
            driver.stop(node)
        case Leaves(node):
            driver.stop(node, announced=True)
        case Starts(node, generation):
            driver.start(node, generation)
        case Freezes(node):
            driver.freeze(node)
        case Thaws(node):
            driver.thaw(node)
        case Skews(node, rate):
            driver.skew(node, rate)
        case Cuts(cut, sources, targets):
            links.cut(cut, sources, targets)
        case Mends(cut):
            links.mend(cut)
        case Alters(change, nodes, model):
            links.alter(change, nodes, model)
        case Restores(change):
            links.restore(change)
