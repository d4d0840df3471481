"""The interval of a ratio of medians, against SciPy's bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from suite.records.difference import ratio_of_medians


def rounds(seed: int, count: int, ratio: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Two candidates in a machine whose speed wanders: both sides of a round share most of its noise."""
    generator = np.random.default_rng(seed)
    shared = np.exp(generator.normal(0, 0.3, size=(count, 1)))
    anchor = 10 * shared * np.exp(generator.normal(0, noise, size=(count, 2)))
    return ratio * 10 * shared * np.exp(generator.normal(0, noise, size=(count, 2))), anchor


def test_the_interval_is_the_paired_percentile_bootstrap_of_scipy() -> None:
    numerator, denominator = rounds(3, 40, 0.8, 0.05)
    ours = ratio_of_medians(numerator, denominator, 0.95, 6000, seed=1)

    def statistic(indices: np.ndarray, axis: int) -> np.ndarray:
        chosen = indices.astype(int)
        flat = (*chosen.shape[:-1], -1)
        return np.median(numerator[chosen].reshape(flat), -1) / np.median(denominator[chosen].reshape(flat), -1)

    theirs = scipy.stats.bootstrap(
        (np.arange(40),), statistic, n_resamples=6000, method="percentile", vectorized=True, random_state=2
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.value == pytest.approx(np.median(numerator) / np.median(denominator))
    assert ours.low == pytest.approx(theirs.low, abs=0.15 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.15 * width)


def test_a_candidate_against_itself_is_exactly_one() -> None:
    _, anchor = rounds(0, 9, 1, 0.5)
    interval = ratio_of_medians(anchor, anchor, 0.95, 200, seed=0)
    assert (interval.low, interval.value, interval.high) == (1.0, 1.0, 1.0)


def test_a_run_of_any_length_is_resampled_in_bounded_memory_and_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    sides = rng.uniform(1, 2, (37, 4)), rng.uniform(1, 2, (37, 4))
    whole = ratio_of_medians(*sides, 0.95, 200, seed=0)
    monkeypatch.setattr("suite.records.difference.VALUES_AT_ONCE", 1000)
    assert ratio_of_medians(*sides, 0.95, 200, seed=0) == whole
