"""Differences between two settings, paired by seed: same initial draws, same order of data."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from suite.report.select import Cell

MIN_SEEDS = 3
STANDARD_ERRORS = 2


@dataclass(frozen=True)
class PairedGain:
    """What the first setting gains over the second, in AP points by seed."""

    by_seed: Mapping[int | None, float]

    @property
    def enough(self) -> bool:
        """Whether there are enough pairs of seeds to judge."""
        return len(self.by_seed) >= MIN_SEEDS

    @property
    def mean(self) -> float:
        """Mean gain; needs one pair."""
        return statistics.fmean(self.by_seed.values())

    @property
    def deviation(self) -> float:
        """Sample standard deviation of the gains over seeds; needs two pairs."""
        return statistics.stdev(self.by_seed.values())

    @property
    def standard_error(self) -> float:
        """Standard error of the mean gain; needs two pairs."""
        return self.deviation / math.sqrt(len(self.by_seed))

    @property
    def favours_first(self) -> bool:
        """Whether the mean gain is above zero by more than two standard errors."""
        return self.mean > STANDARD_ERRORS * self.standard_error

    @property
    def favours_second(self) -> bool:
        """Whether the mean gain is below zero by more than two standard errors."""
        return -self.mean > STANDARD_ERRORS * self.standard_error


def paired_gain(first: Cell, second: Cell) -> PairedGain:
    """Return the differences of two AP cells over the seeds that both have."""
    ours, theirs = ({sample.seed: sample.value * 100 for sample in cell.samples} for cell in (first, second))
    return PairedGain({seed: ours[seed] - theirs[seed] for seed in sorted(set(ours) & set(theirs), key=str)})
