"""Goals of tuning and of tournaments, such as `lag_p99 <= 3 s`: what is read from a run, how it is written, by how much it is missed.

Measures are those of the table of a sweep, with underscores for whatever is no letter or digit. Where errors are in bounds, these are the
bounds that the scenario asks for, also in trials that widen them: a summary is put `in_asked_bounds` before it is read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from priomon_core.errors import SettingError
from priomon_results.compare import DETECTION, QUERIES, Measure, Summary
from priomon_results.sweep.store import ERROR_OF, MEASURES, SETTLED_ERROR
from priomon_sim.scenario.document import Scenario
from priomon_sim.scenario.units import DURATION, NUMBER, RATE, SECOND, SIZE, Quantity

GOAL = re.compile(rf"\s*(?P<name>[^<>=]+?)\s*(?P<relation><=|>=)\s*(?P<limit>{NUMBER})\s*(?P<unit>\S.*?)?\s*")
EXAMPLE = "expected a measure, <= or >=, and a limit, such as lag_p99 <= 3 s"
QUANTITIES: dict[str, tuple[Quantity, int]] = {"s": (DURATION, SECOND), "B/s": (RATE, 1), "B": (SIZE, 1)}  # and how many base units one is
SINGULAR = {"bounds": "bound", "rounds": "round", "times": "time"}
SHORT = {"bytes": "bytes per node", "error_max": SETTLED_ERROR.name}  # of measures that are often named


@dataclass(frozen=True, slots=True)
class Goal:
    """A measure that has to stay at or below its limit, or at or above it; `limit` is in the unit of the measure."""

    measure: Measure
    relation: str
    limit: float

    def __str__(self) -> str:
        return f"{identifier(self.measure.name)} {self.relation} {quantity(self.limit, self.measure.unit)}"

    def worst(self, values: Iterable[float | None]) -> float:
        """Of the values with several seeds the one that serves the goal least; None, what never came to be, is infinitely bad."""
        bad = math.inf if self.relation == "<=" else -math.inf
        known = [bad if value is None else value for value in values]
        return max(known) if self.relation == "<=" else min(known)

    def miss(self, value: float) -> float:
        """By which share of its limit a value misses the goal; 0 if it meets it."""
        beyond = value - self.limit if self.relation == "<=" else self.limit - value
        return max(0.0, beyond / (abs(self.limit) or 1.0))


def identifier(name: str) -> str:
    """The name of a measure as goals have it: `error p99` is `error_p99`."""
    return re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")


def quantity(value: float, unit: str) -> str:
    """A value with its unit, which parses back to the same number."""
    short = f"{value:g}"
    return f"{short if float(short) == value else repr(value)} {SINGULAR.get(unit, unit) if value == 1 else unit}".strip()


def measures(scenario: Scenario) -> dict[str, Measure]:
    """What can be a goal in variants of a scenario, by identifier."""
    found = [*MEASURES]
    if scenario.detection.detector != "none":
        found += DETECTION
    if scenario.queries is not None:
        found += QUERIES
    found += [_error_of(metric.name, metric.unit) for metric in scenario.enabled_metrics()]
    return {identifier(measure.name): measure for measure in found}


def find_measure(text: str, known: Mapping[str, Measure]) -> Measure:
    """The measure that is called `text`. Raises `SettingError` that lists all."""
    name = identifier(SHORT.get(text.strip(), text))
    if name in known:
        return known[name]
    near = get_close_matches(name, known, n=1)
    advice = f"did you mean {near[0]}? " if near else ""
    raise SettingError(f"unknown measure {text.strip()!r}; {advice}expected one of {', '.join(known)}")


def parse_goals(texts: Sequence[str], known: Mapping[str, Measure]) -> list[Goal]:
    """The goals in texts, each one or several with commas between them. Raises `SettingError`."""
    return [_parse(text, known) for several in texts for text in several.split(",")]


def in_asked_bounds(summary: Summary, factor: float) -> Summary:
    """A summary with errors in the bounds that were asked for, of a run whose bounds were `factor` times as wide."""
    parts = ("error_in_bounds", "settled_error_in_bounds")
    return {**summary, **{part: {metric: _times(errors, factor) for metric, errors in summary[part].items()} for part in parts}}


def _times(errors: Mapping[str, float | None], factor: float) -> dict[str, float | None]:
    return {name: None if error is None else error * factor for name, error in errors.items()}


def _error_of(metric: str, unit: str) -> Measure:
    def read(summary: Summary) -> float | None:
        error: float | None = summary["error"][metric]["p99"]
        return error

    return Measure(ERROR_OF.format(metric), unit, read)


def _parse(text: str, known: Mapping[str, Measure]) -> Goal:
    match = GOAL.fullmatch(text)
    if match is None:
        raise SettingError(f"goal {text.strip()!r}: {EXAMPLE}")
    try:
        measure = find_measure(match["name"], known)
        return Goal(measure, match["relation"], _limit(match["limit"], match["unit"] or "", measure))
    except SettingError as error:
        raise SettingError(f"goal {text.strip()!r}: {error}") from None


def _limit(number: str, unit: str, measure: Measure) -> float:
    """The limit in the unit of the measure. Raises `SettingError` for a unit that it does not have."""
    if unit and measure.unit in QUANTITIES:
        kind, worth = QUANTITIES[measure.unit]
        return kind.parse(f"{number} {unit}") / worth
    value = float(number)
    if not math.isfinite(value):
        raise SettingError(f"found {number}, expected a number that can be reached")
    if unit in (measure.unit, SINGULAR.get(measure.unit, measure.unit)):
        return value
    if measure.unit == "" and unit == "%":
        return value / 100
    expected = f"a limit in {measure.unit}" if measure.unit else "a plain number or %, which this measure has"
    raise SettingError(f"found {f'{number} {unit}'.strip()}, expected {expected}")
