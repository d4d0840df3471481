"""A difference between two measured cells: how large, how sure, and in one word.

The interval comes from the best evidence both sides hold, in this order: training seeds that both have (paired
Student interval), several seeds on each side (Welch's interval), bootstrap draws of the same images, bootstrap
intervals of each side, rounds of timing samples. Where there is none, the word says so.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from suite.records.schema import METRICS, Measurement
from suite.report.raw_samples import RawSamples
from suite.report.select import Cell, Sample
from suite.seeds import derive_seed

LEVEL = 0.95
RESAMPLES = 2000
Floats = NDArray[np.float64]
Word = Literal["better", "worse", "equal", "undecided", "no interval"]
EXACT_UNITS = frozenset({"count"})


@dataclass(frozen=True)
class Delta:
    """Second cell minus first.

    Attributes:
        value: difference in the metric's unit.
        low: lower end of its 95 % interval, None where the records give none.
        high: upper end.
        word: ``"better"`` or ``"worse"`` where the interval excludes 0, ``"equal"`` where every sample is the same,
            ``"undecided"`` where the interval holds 0, ``"no interval"``.
        basis: where the interval comes from and what it covers.
    """

    value: float
    low: float | None
    high: float | None
    word: Word
    basis: str

    def to_json(self) -> dict[str, Any]:
        """Return the difference as plain values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


def student_quantile(freedom: float, level: float = LEVEL) -> float:
    """Return how many standard errors a two-sided Student interval reaches.

    Args:
        freedom: degrees of freedom, at least 1.
        level: coverage, between 0 and 1.
    """
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)

    def covered(reach: float) -> float:
        # Simpson's rule after t = sqrt(freedom) tan(angle), which makes the heavy tail finite.
        angles = np.linspace(0, math.atan(reach / math.sqrt(freedom)), 401)
        heights = scale * math.sqrt(freedom) * np.cos(angles) ** (freedom - 1)
        weights = np.ones(401)
        weights[1:-1:2], weights[2:-1:2] = 4, 2
        return float(2 * (heights @ weights) * angles[1] / 3)

    low, high = 0.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if covered(middle) < level else (low, middle)
    return (low + high) / 2


def _word(metric: str, low: float, high: float) -> Word:
    if low <= 0 <= high:
        return "undecided"
    return "better" if (low > 0) == METRICS[metric].higher_is_better else "worse"


def _with_interval(metric: str, value: float, low: float, high: float, basis: str) -> Delta:
    return Delta(value, low, high, _word(metric, low, high), basis)


def _student(metric: str, value: float, error: float, freedom: float, basis: str) -> Delta:
    reach = student_quantile(freedom) * error
    return _with_interval(metric, value, value - reach, value + reach, basis)


def _by_seeds(first: Cell, second: Cell) -> Delta | None:
    """Return the difference judged by training seeds, or None where there are too few."""
    old, new = ({sample.seed: sample.value for sample in cell.samples} for cell in (first, second))
    shared = sorted((set(old) & set(new)) - {None}, key=str)
    metric = first.metric
    if len(shared) > 1:
        gains = [new[seed] - old[seed] for seed in shared]
        value = statistics.fmean(gains)
        if not any(gains):
            return Delta(0.0, 0.0, 0.0, "equal", f"the same to the last digit in {len(shared)} seeds")
        error = statistics.stdev(gains) / math.sqrt(len(gains))
        return _student(metric, value, error, len(gains) - 1, f"paired by seed, {len(shared)} seeds: training noise")
    if min(len(first.samples), len(second.samples)) > 1:
        parts = [statistics.variance(values) / len(values) for values in (list(old.values()), list(new.values()))]
        value = second.value - first.value
        if not sum(parts):
            return _with_interval(metric, value, value, value, "no spread over seeds on either side")
        freedom = sum(parts) ** 2 / sum(
            part**2 / (len(cell.samples) - 1) for part, cell in zip(parts, (first, second), strict=True)
        )
        basis = f"{len(first.samples)} and {len(second.samples)} other seeds, not paired: training noise"
        return _student(metric, value, math.sqrt(sum(parts)), freedom, basis)
    return None


def _pair(first: Cell, second: Cell) -> tuple[Sample, Sample]:
    """Return one sample of each side: of a seed that both have if there is one, else the latest ones."""
    by_seed = {sample.seed: sample for sample in first.samples}
    for sample in second.samples:
        if sample.seed in by_seed:
            return by_seed[sample.seed], sample
    latest = [max(cell.samples, key=lambda item: item.run.started_utc) for cell in (first, second)]
    return latest[0], latest[1]


def _reach(item: Measurement, draws: Floats) -> float:
    """Return how many standard deviations of its draws an interval on record reaches; a normal one's where none is."""
    spread = float(np.std(draws, ddof=1)) if len(draws) > 1 else 0.0
    if item.interval is None or item.value is None or not spread:
        return statistics.NormalDist().inv_cdf((1 + LEVEL) / 2)
    return max(item.interval.high - item.value, item.value - item.interval.low) / spread


def _by_draws(old: Sample, new: Sample, raw: RawSamples) -> Delta | None:
    """Return the difference on the same bootstrap draws, or None where the records hold none.

    Its interval reaches as many standard deviations of the draws as the intervals on record do, the wider one of both.
    """
    before, after = raw.draws(old), raw.draws(new)
    if before is None or after is None or before.seed != after.seed or before.values.shape != after.values.shape:
        return None
    if before.values.size < 2:
        return None
    value = new.value - old.value
    reaches = [_reach(old.measurement, before.values), _reach(new.measurement, after.values)]
    half = max(reaches) * float(np.std(after.values - before.values, ddof=1))
    low, high = value - half, value + half
    basis = f"{before.values.size} bootstrap draws of the same {before.units} on both sides: not training noise"
    return _with_interval(new.measurement.metric, value, float(low), float(high), basis)


def _by_intervals(old: Sample, new: Sample) -> Delta | None:
    """Return the difference with the two sides' own intervals joined as if independent, or None."""
    before, after = old.measurement.interval, new.measurement.interval
    if before is None or after is None or (before.level, after.level) != (LEVEL, LEVEL):
        return None
    value = new.value - old.value
    down = math.hypot(new.value - after.low, before.high - old.value)
    up = math.hypot(after.high - new.value, old.value - before.low)
    basis = f"both sides' own intervals, not paired, so rather too wide; each covers: {after.covers}"
    return _with_interval(new.measurement.metric, value, value - down, value + up, basis)


def _medians(rounds: Floats, chosen: NDArray[np.int64]) -> Floats:
    medians: Floats = np.median(rounds[chosen].reshape(len(chosen), -1), axis=1)
    return medians


def _by_rounds(old: Sample, new: Sample, raw: RawSamples) -> Delta | None:
    """Return the difference of medians of timing samples, whole rounds resampled, or None where there are none."""
    before, after = raw.rounds(old), raw.rounds(new)
    if before is None or after is None:
        return None
    rng = np.random.default_rng(derive_seed(0, "report/compare"))
    together = old.run.run_id == new.run.run_id and before.shape == after.shape
    first = rng.integers(0, len(before), (RESAMPLES, len(before)))
    second = first if together else rng.integers(0, len(after), (RESAMPLES, len(after)))
    low, high = np.percentile(_medians(after, second) - _medians(before, first), [2.5, 97.5])
    basis = (
        "paired by round of one run: timing noise"
        if together
        else "timing noise of each run, not what changed on the machine between the two"
    )
    return _with_interval(new.measurement.metric, new.value - old.value, float(low), float(high), basis)


def compare_cells(first: Cell, second: Cell, raw: RawSamples) -> Delta:
    """Return the second cell minus the first; both are of one metric.

    Args:
        first: what is compared with.
        second: what is judged.
        raw: timing samples and bootstrap draws of the runs behind both.
    """
    value = second.value - first.value
    if METRICS[first.metric].unit in EXACT_UNITS:
        word: Word = "equal" if value == 0 else _word(first.metric, value, value)
        return Delta(value, value, value, word, "exact")
    found = _by_seeds(first, second)
    if found is not None:
        return found
    old, new = _pair(first, second)
    value = new.value - old.value
    if value == 0:
        return Delta(0.0, 0.0, 0.0, "equal", "the same to the last digit")
    attempts: Sequence[Delta | None] = (
        _by_draws(old, new, raw),
        _by_rounds(old, new, raw),
        _by_intervals(old, new),
    )
    known = next((attempt for attempt in attempts if attempt is not None), None)
    return known or Delta(value, None, None, "no interval", "one sample each, and the records hold no interval")
