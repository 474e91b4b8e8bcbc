"""The core's kernels, compiled: the same functions, made fast by numba on rows of 16-bit versions.

Halving the width of a version halves the memory that the inner loop streams through, which is what bounds it at 10,000 nodes. Compiled
code is kept between runs: beside the source where that is writable, else in the user's cache folder (numba's own rule), and in no
place at all where neither is.

numba may be missing. Functions then run as they are, to the same bits: small runs hardly notice, large ones take many times as long.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from inspect import getmembers, isfunction
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from priomon_core import kernels, push_kernels
from priomon_core.replica import RowKind

try:
    import numba
except ImportError:
    numba = None  # type: ignore[assignment]

HAS_NUMBA = numba is not None
ASK = 1 << 15
LARGEST_VERSION = ASK - 1


def compiled(function: Callable[..., Any], signature: str | None = None) -> Any:
    """`function` compiled by numba for a signature, or at its first call; with a cache on disk if there is a place for one.

    Without numba, `function` as it is, see `interpreted`.
    """
    if not HAS_NUMBA:
        return interpreted(function)
    try:
        return numba.njit(signature, cache=True)(function)
    except RuntimeError:  # numba finds no writable folder for its cache
        warnings.warn("no writable folder for compiled kernels: set NUMBA_CACHE_DIR to spare each run some seconds", stacklevel=2)
        return numba.njit(signature)(function)


def interpreted(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` for arrays as it is: those of one dimension are handed over as their memory.

    Python reads its own integers from memory. numpy's would overflow at the width of the array, and a kernel would take ten times as long.
    """

    @wraps(function)
    def call(*arguments: Any) -> Any:
        return function(*[each.data if isinstance(each, np.ndarray) and each.ndim == 1 else each for each in arguments])

    return call


def _all(module: ModuleType) -> SimpleNamespace:
    return SimpleNamespace(**{name: compiled(function) for name, function in getmembers(module, isfunction)})


COMPILED = RowKind(
    _all(kernels),
    ASK,
    lambda count: np.empty(count, np.uint16),  # type: ignore[arg-type,return-value]
    _all(push_kernels),
    lambda count: np.zeros(count, np.int32),  # type: ignore[arg-type,return-value]
)
