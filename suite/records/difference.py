"""Compare two sets of numbers: by how much they differ, how sure that is, and one word for it.

The interval comes from the best evidence that both sets hold, in this order: seeds that both have (paired), several
seeds on each side (Welch's interval), bootstrap draws of the same images, rounds of timing samples, both sets' own
intervals. Gates, comparisons and verdicts all judge by `difference` or, where they have an interval already, by
`word_of`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from suite.records.cells import grouped
from suite.records.schema import Interval, Series
from suite.seeds import derive_seed

LEVEL = 0.95
RESAMPLES = 2000
VALUES_AT_ONCE = 1 << 22
"""Values drawn at a time, which bounds the memory of a long run's resampling."""
Floats = NDArray[np.float64]
Word = Literal["better", "worse", "equal", "undecided"]


@dataclass(frozen=True)
class Draws:
    """An AP computed on bootstrap draws, shape (draws,), of the ``"images"`` or ``"videos"`` of one dataset.

    Draw k of equal base seeds takes the same ones.
    """

    values: Floats
    seed: int | None
    units: str


@dataclass(frozen=True)
class Number:
    """One measured number in its metric's unit, with its training seed and what is known of its noise.

    ``rounds`` are timing samples, shape (rounds, samples per round); those of one run were interleaved and are paired.
    """

    value: float
    seed: int | None = None
    interval: Interval | None = None
    draws: Draws | None = None
    rounds: Floats | None = None
    run: str = ""


@dataclass(frozen=True)
class Difference:
    """The second set minus the first.

    Attributes:
        value: difference of the means, over the shared seeds where there are several.
        low: lower end of its interval, None where nothing is known of the noise.
        high: upper end.
        word: ``"better"`` or ``"worse"`` where the interval lies beyond the tolerance, ``"equal"`` where it lies
            within, else ``"undecided"``.
        basis: where the interval comes from and what it covers.
        by_seed: difference of each shared seed.
    """

    value: float
    low: float | None
    high: float | None
    word: Word
    basis: str
    by_seed: Mapping[int | None, float] = field(default_factory=dict)

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over the shared seeds; None for fewer than two."""
        return statistics.stdev(self.by_seed.values()) if len(self.by_seed) > 1 else None

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean over the shared seeds; None for fewer than two."""
        return None if self.deviation is None else self.deviation / math.sqrt(len(self.by_seed))

    def to_json(self) -> dict[str, Any]:
        """Return value, interval, word and basis as plain values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        del values["by_seed"]
        return values


def word_of(low: float, high: float, higher_is_better: bool, tolerance: float = 0.0) -> Word:
    """Return the word for a difference whose interval is ``[low, high]``; 0 is no difference.

    Differences up to the size ``tolerance``, at least 0, count as none.
    """
    if -tolerance <= low and high <= tolerance:
        return "equal"
    if low > tolerance or high < -tolerance:
        return "better" if (low > tolerance) == higher_is_better else "worse"
    return "undecided"


def student_quantile(freedom: float, level: float = LEVEL) -> float:
    """Return how many standard errors a two-sided Student interval of a coverage in (0, 1) reaches; freedom >= 1."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + level) / 2))


_Found = tuple[float, float | None, float | None, str]
"""A difference, the ends of its interval, and where that comes from."""


def _paired(gains: Sequence[float], reach: float | None) -> _Found:
    """Return the difference over seeds that both sets have; at least two."""
    if not any(gains):
        return 0.0, 0.0, 0.0, f"the same to the last digit in {len(gains)} seeds"
    value, error = statistics.fmean(gains), statistics.stdev(gains) / math.sqrt(len(gains))
    half = error * (reach or student_quantile(len(gains) - 1))
    return value, value - half, value + half, f"paired by seed, {len(gains)} seeds: training noise"


def _welch(first: Sequence[float], second: Sequence[float], reach: float | None) -> _Found:
    """Return the difference over different seeds, at least two on each side (Welch 1947)."""
    parts = [statistics.variance(values) / len(values) for values in (first, second)]
    value = statistics.fmean(second) - statistics.fmean(first)
    if not sum(parts):
        return value, value, value, "no spread over seeds on either side"
    shares = [part**2 / (len(values) - 1) for part, values in zip(parts, (first, second), strict=True)]
    half = math.sqrt(sum(parts)) * (reach or student_quantile(sum(parts) ** 2 / sum(shares)))
    return value, value - half, value + half, f"{len(first)} and {len(second)} other seeds, not paired: training noise"


def _pair(first: Sequence[Number], second: Sequence[Number]) -> tuple[Number, Number]:
    """Return one number of each set: of a seed that both have if there is one, else the last ones."""
    by_seed = {number.seed: number for number in first}
    shared = ((by_seed[number.seed], number) for number in second if number.seed in by_seed)
    return next(shared, (first[-1], second[-1]))


def _reach(number: Number, draws: Floats) -> float:
    """Return how many standard deviations of its draws an interval reaches; a normal one's where there is none."""
    spread = float(np.std(draws, ddof=1))
    if number.interval is None or not spread:
        return statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
    return max(number.interval.high - number.value, number.value - number.interval.low) / spread


def _by_draws(old: Number, new: Number) -> _Found | None:
    """Return the difference on the same bootstrap draws; None where they are not the same or fewer than two.

    The interval reaches as many standard deviations of the draws as the wider one of the two own intervals.
    """
    before, after = old.draws, new.draws
    if before is None or after is None or before.seed != after.seed or before.values.shape != after.values.shape:
        return None
    if before.values.size < 2:
        return None
    value = new.value - old.value
    reach = max(_reach(old, before.values), _reach(new, after.values))
    half = reach * float(np.std(after.values - before.values, ddof=1))
    basis = f"{before.values.size} bootstrap draws of the same {before.units} on both sides: not training noise"
    return value, value - half, value + half, basis


def _by_rounds(old: Number, new: Number) -> _Found | None:
    """Return the difference of medians of timing samples by resampling whole rounds; None where a side has none."""
    before, after = old.rounds, new.rounds
    if before is None or after is None:
        return None
    rng = np.random.default_rng(derive_seed(0, "report/compare"))
    together = old.run == new.run and before.shape == after.shape
    if together:
        earlier, later = _resampled(rng, RESAMPLES, before, after)
    else:
        (earlier,), (later,) = _resampled(rng, RESAMPLES, before), _resampled(rng, RESAMPLES, after)
    low, high = np.percentile(later - earlier, [2.5, 97.5])
    apart = "timing noise of each run, not what changed on the machine between the two"
    basis = "paired by round of one run: timing noise" if together else apart
    return new.value - old.value, float(low), float(high), basis


def _resampled(rng: np.random.Generator, resamples: int, *sides: Floats) -> list[Floats]:
    """Return the medians of resamples of whole rounds, (resamples,) for each side; all sides get the same rounds."""
    medians, rounds = [np.empty(resamples) for _ in sides], len(sides[0])
    step = max(1, VALUES_AT_ONCE // sides[0].size)
    for start in range(0, resamples, step):
        chosen = rng.integers(0, rounds, (min(step, resamples - start), rounds))
        for side, found in zip(sides, medians, strict=True):
            found[start : start + step] = np.median(side[chosen].reshape(len(chosen), -1), axis=1)
    return medians


def _by_intervals(old: Number, new: Number) -> _Found | None:
    """Return the difference with both numbers' own 95 % intervals joined as if independent; None where one lacks."""
    before, after = old.interval, new.interval
    if before is None or after is None or (before.level, after.level) != (LEVEL, LEVEL):
        return None
    value = new.value - old.value
    down = math.hypot(new.value - after.low, before.high - old.value)
    up = math.hypot(after.high - new.value, old.value - before.low)
    basis = f"both sides' own intervals, not paired, so rather too wide; each covers: {after.covers}"
    return value, value - down, value + up, basis


def difference(
    first: Sequence[Number],
    second: Sequence[Number],
    higher_is_better: bool,
    exact: bool = False,
    tolerance: float = 0.0,
    reach: float | None = None,
) -> Difference:
    """Return the second set minus the first, judged; both are of one metric, oldest first, and not empty.

    Args:
        first: what is compared with.
        second: what is judged.
        higher_is_better: direction of the metric.
        exact: the numbers have no noise that matters: means over the shared seeds are compared as they are.
        tolerance: differences up to this size count as none.
        reach: standard errors that an interval over seeds reaches; None takes Student's 95 % quantile.
    """
    old, new = ({number.seed: number.value for number in numbers} for numbers in (first, second))
    gains = {seed: new[seed] - old[seed] for seed in sorted(set(old) & set(new), key=str)}
    seeded = [gain for seed, gain in gains.items() if seed is not None]
    found: _Found
    if exact:
        sides = [[item.value for item in numbers if not gains or item.seed in gains] for numbers in (first, second)]
        change = statistics.fmean(sides[1]) - statistics.fmean(sides[0])
        found = (change, change, change, "exact")
    elif len(seeded) > 1:
        found = _paired(seeded, reach)
    elif min(len(first), len(second)) > 1:
        found = _welch([number.value for number in first], [number.value for number in second], reach)
    else:
        found = _single(*_pair(first, second))
    value, low, high, basis = found
    word: Word = "undecided"
    if low is not None and high is not None:
        word = word_of(low, high, higher_is_better, tolerance)
    return Difference(value, low, high, word, basis, gains)


def _single(old: Number, new: Number) -> _Found:
    """Return the difference of one number on each side by what their records hold of their noise."""
    if new.value == old.value:
        return 0.0, 0.0, 0.0, "the same to the last digit"
    found = _by_draws(old, new) or _by_rounds(old, new) or _by_intervals(old, new)
    return found or (new.value - old.value, None, None, "one sample each, and the records hold no interval")


@dataclass(frozen=True)
class RatioInterval:
    """A ratio of medians with its bootstrap interval (percentile method, rounds resampled with replacement)."""

    value: float
    low: float
    high: float
    level: float
    resamples: int


def ratio_of_medians(numerator: Floats, denominator: Floats, level: float, resamples: int, seed: int) -> RatioInterval:
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
    upper, lower = _resampled(np.random.default_rng(seed), resamples, numerator, denominator)
    tail = (1 - level) / 2 * 100
    low, high = np.percentile(upper / lower, [tail, 100 - tail])
    value = float(np.median(numerator) / np.median(denominator))
    return RatioInterval(value, float(low), float(high), level, resamples)


def rounds_of(series: Series, column: str = "cpu_ms") -> NDArray[np.float64]:
    """Return milliseconds, shape (rounds, samples per round); all rounds are cut to the shortest one."""
    number, value = series.columns.index("round"), series.columns.index(column)
    by_round = grouped(series.rows, lambda row: str(row[number]))
    shortest = min(map(len, by_round.values()), default=0)
    cut = [[float(row[value] or 0) for row in by_round[name][:shortest]] for name in sorted(by_round)]
    return np.array(cut, dtype=np.float64)
