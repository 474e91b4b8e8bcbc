"""Counts of values over many orders of magnitude, from which quantiles are read with a known precision."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

RATIO = 1.02  # a bin's upper edge over its lower edge: quantiles are known to 2 %
SMALLEST = 1e-6  # what is smaller counts as 0
BINS = 2400  # up to 4e14
_LOG_RATIO = math.log(RATIO)


class Histogram:
    """A weighted histogram of non-negative values, in logarithmic bins of 2 %, with the exact maximum.

    Exact zeros have a bin of their own: a lag of 0 is not a small lag, it is none.
    """

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BINS + 1, np.int64)
        self.maximum = math.nan

    def add(self, values: NDArray[np.float64], weights: NDArray[np.int64]) -> None:
        """Count each of `values` as often as its weight says; both of one shape."""
        present = weights > 0
        if not present.any():
            return
        values, weights = values[present], weights[present]
        bins = np.zeros(values.shape, np.int64)
        positive = values >= SMALLEST
        bins[positive] = np.clip(np.floor(np.log(values[positive] / SMALLEST) / _LOG_RATIO), 0, BINS - 1).astype(np.int64) + 1
        self.counts += np.bincount(bins, weights, BINS + 1).astype(np.int64)
        self.maximum = float(np.fmax(self.maximum, values.max()))

    def merge(self, other: Histogram) -> None:
        """Count all that `other` has counted."""
        self.counts += other.counts
        self.maximum = float(np.fmax(self.maximum, other.maximum))

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def quantile(self, share: float) -> float:
        """The value that `share` of the counted ones do not exceed, to 2 % and never above the maximum; nan if nothing was counted."""
        if not self.total:
            return math.nan
        index = int(np.searchsorted(np.cumsum(self.counts), math.ceil(share * self.total)))
        return 0.0 if index == 0 else min(_edge(index), self.maximum)

    def bins(self) -> Iterator[tuple[float, float, int]]:
        """(Lower edge, upper edge, count) of every bin that is not empty; zeros lie in (0, 0)."""
        for index in np.nonzero(self.counts)[0].tolist():
            low, high = (0.0, 0.0) if index == 0 else (_edge(index - 1), _edge(index))
            yield low, high, int(self.counts[index])


def _edge(index: int) -> float:
    return SMALLEST * math.exp(index * _LOG_RATIO)
