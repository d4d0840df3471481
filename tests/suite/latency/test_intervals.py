from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.latency.timing import nearest_rank
from suite.records.difference import ratio_of_medians

positive = st.floats(0.1, 1e4, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(st.lists(positive, min_size=1, max_size=60), st.integers(1, 100))
def test_nearest_rank_is_the_inverted_distribution_function(samples: list[float], percentile: int) -> None:
    ours = nearest_rank(np.array(samples), percentile)
    assert ours == np.percentile(samples, percentile, method="inverted_cdf")
    assert ours in samples


@pytest.mark.parametrize(("samples", "percentile"), [([], 90), ([1.0], 0), ([1.0], 101)])
def test_nearest_rank_refuses_what_has_no_answer(samples: list[float], percentile: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        nearest_rank(np.array(samples), percentile)


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


@pytest.mark.parametrize("shape", [(3, 2), (0, 2), (4,)])
def test_unequal_or_empty_rounds_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="equal shapes"):
        ratio_of_medians(np.ones(shape), np.ones((4, 2) if shape != (0, 2) else shape), 0.95, 10, 0)
    with pytest.raises(ValueError, match="not positive"):
        ratio_of_medians(np.ones((4, 2)), np.zeros((4, 2)), 0.95, 10, 0)
