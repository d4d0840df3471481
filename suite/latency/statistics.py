"""Medians, percentiles and intervals of timing samples, paired by round."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]


@dataclass(frozen=True)
class RatioInterval:
    """A ratio of medians with its bootstrap interval (percentile method, rounds resampled with replacement)."""

    value: float
    low: float
    high: float
    level: float
    resamples: int


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


def ratio_of_medians(
    numerator: Samples, denominator: Samples, level: float, resamples: int, seed: int
) -> RatioInterval:
    """Compare two candidates timed in the same rounds.

    Whole rounds are resampled, the same ones for both, so that what disturbed a round disturbs both sides of the ratio
    (paired bootstrap; Efron and Tibshirani 1993, chapter 13: percentile interval).

    Args:
        numerator: samples of the candidate, shape (rounds, samples per round).
        denominator: samples of the anchor, same shape.
        level: coverage of the interval, e.g. 0.95.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.

    Raises:
        ValueError: if the shapes differ, there is no round, or a median of the anchor is not positive.
    """
    if numerator.shape != denominator.shape or numerator.ndim != 2 or numerator.size == 0:
        raise ValueError(f"needs two equal shapes (rounds, samples), got {numerator.shape} and {denominator.shape}")
    if float(np.median(denominator)) <= 0:
        raise ValueError("the anchor's median time is not positive")
    rounds = numerator.shape[0]
    chosen = np.random.default_rng(seed).integers(0, rounds, size=(resamples, rounds))
    ratios = np.median(numerator[chosen].reshape(resamples, -1), axis=1) / np.median(
        denominator[chosen].reshape(resamples, -1), axis=1
    )
    tail = (1 - level) / 2 * 100
    low, high = np.percentile(ratios, [tail, 100 - tail])
    return RatioInterval(
        value=float(np.median(numerator) / np.median(denominator)),
        low=float(low),
        high=float(high),
        level=level,
        resamples=resamples,
    )
