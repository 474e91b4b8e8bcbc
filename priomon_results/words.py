"""Figures as people read them, in reports and on screens."""

from __future__ import annotations

from collections.abc import Callable, Mapping

NOTHING = "-"


def seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.3g} s"


def number(value: float | None) -> str:
    return NOTHING if value is None else f"{float(f'{value:.3g}'):,.12g}"


def quantiles(values: Mapping[str, float | None] | None, form: Callable[[float | None], str]) -> str:
    """ "0.4 s (p50), 2.5 s (p99)" of {"p50": 0.4, "p99": 2.5}."""
    return ", ".join(f"{form(value)} ({name})" for name, value in (values or {}).items()) or NOTHING
