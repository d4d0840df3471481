"""Percentiles of timing samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]


def nearest_rank(samples: Samples, percentile: float) -> float:
    """Return the nearest-rank percentile: the smallest sample that at least ``percentile`` % of samples do not exceed.

    Args:
        samples: any shape, at least one value.
        percentile: above 0, up to 100.

    Raises:
        ValueError: if there is no sample or the percentile is out of range.
    """
    if samples.size == 0 or not 0 < percentile <= 100:
        raise ValueError(f"needs samples and a percentile in (0, 100], got {samples.size} and {percentile}")
    rank = int(np.ceil(percentile / 100 * samples.size))
    return float(np.sort(samples, axis=None)[rank - 1])
