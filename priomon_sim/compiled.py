"""The core's kernels, compiled: the same functions, made fast by numba on rows of 16-bit versions.

Halving the width of a version halves the memory that the inner loop streams through, which is what bounds it at 10,000 nodes. Compiled
code is kept between runs: beside the source where that is writable, else in the user's cache folder (numba's own rule), and in no
place at all where neither is.
"""

from __future__ import annotations

import warnings
from inspect import getmembers, isfunction
from types import ModuleType, SimpleNamespace
from typing import Any

import numba
import numpy as np

from priomon_core import kernels, push_kernels
from priomon_core.replica import RowKind

ASK = 1 << 15
LARGEST_VERSION = ASK - 1


def compiled(function: Any, signature: str | None = None) -> Any:
    """`function` compiled by numba for a signature, or at its first call; with a cache on disk if there is a place for one."""
    try:
        return numba.njit(signature, cache=True)(function)
    except RuntimeError:  # numba finds no writable folder for its cache
        warnings.warn("no writable folder for compiled kernels: set NUMBA_CACHE_DIR to spare each run some seconds", stacklevel=2)
        return numba.njit(signature)(function)


def _all(module: ModuleType) -> SimpleNamespace:
    return SimpleNamespace(**{name: compiled(function) for name, function in getmembers(module, isfunction)})


COMPILED = RowKind(
    _all(kernels),
    ASK,
    lambda count: np.empty(count, np.uint16),  # type: ignore[arg-type,return-value]
    _all(push_kernels),
    lambda count: np.zeros(count, np.int32),  # type: ignore[arg-type,return-value]
)
