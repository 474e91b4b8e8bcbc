"""The core's draws, compiled: the same functions, made fast by numba on rows that are arrays.

A Python function finds those it calls among the globals of its module, where they are interpreted. So each is rebuilt upon a
namespace of our own, in which the functions it calls are the compiled ones. With its types given a function is compiled on import,
or read from the cache (see compiled.py), so that calls need not look at their arguments. Without numba they are the core's plain draws.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from priomon_core import draws, latency
from priomon_sim.compiled import HAS_NUMBA, compiled

_namespace: dict[str, Any] = {**vars(latency), **vars(draws)}


def _compiled(function: Callable[..., Any], signature: str) -> Any:
    """`function` for these types, calling what was compiled before it."""
    fast = compiled(FunctionType(function.__code__, _namespace), signature)
    _namespace[function.__name__] = fast
    return fast


normal_quantile = _compiled(latency.normal_quantile, "float64(float64)")
delay = _compiled(latency.delay, "int64(float64[::1], float64)")

COMPILED_DRAWS = (
    draws.Draws(
        child=_compiled(draws.child, "uint64(uint64, uint64)"),
        uniform=_compiled(draws.uniform, "float64(uint64, uint64)"),
        path=_compiled(draws.path, "int64(uint64, int64, float64, float64[::1])"),
        transit=_compiled(draws.transit, "int64(uint64, uint64, uint64, int64, float64, float64[::1])"),
        transfer=_compiled(draws.transfer, "UniTuple(int64, 2)(uint64, uint64, uint64, int64, int64, float64, float64[::1])"),
        row=lambda row: np.array(row, np.float64),  # type: ignore[arg-type,return-value]
    )
    if HAS_NUMBA
    else draws.PLAIN
)
