"""What the suite itself costs around a measurement: clocks per sample, judging, intervals.

Run with ``nox -s benchmarks -- tests/benchmarks/test_latency_overhead.py``, which sets CPU time as the timer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from suite.latency.device import Protocol, load_device
from suite.latency.timer import time_call
from suite.latency.timing import Labels, Sample, Timing
from suite.latency.validity import judge
from suite.records.difference import ratio_of_medians

ROUNDS = 512
"""As the strict protocol asks for: 1024 samples."""


@pytest.fixture
def protocol() -> Protocol:
    return load_device("host").protocol("strict")


def timings() -> Timing:
    generator = np.random.default_rng(0)
    rounds = []
    for first, second in generator.normal(50e6, 1e6, size=(ROUNDS, 2)).astype(int).tolist():
        rounds.append((Sample(first + 9000, first, first), Sample(second + 9000, second, second)))
    labels = Labels("model", "network", "none", "fp32", 1, 1)
    return Timing(labels, (0, 1), rounds=rounds, repeat_pairs=[(50_000_000, 50_000_000)] * 12)


def test_clocks_around_a_call(benchmark: Any) -> None:
    sample = benchmark(time_call, lambda value: None, None)
    assert sample.wall_ns > 0


def test_judging_a_candidate(benchmark: Any, protocol: Protocol) -> None:
    samples = timings()
    assert benchmark(judge, samples, samples, 61.0, protocol).valid


def test_interval_of_a_ratio(benchmark: Any, protocol: Protocol) -> None:
    times = np.random.default_rng(0).normal(50, 1, size=(ROUNDS, 2))
    found = benchmark(ratio_of_medians, times * 1.1, times, 0.95, protocol.bootstrap_resamples, 0)
    assert found.value == pytest.approx(1.1)
