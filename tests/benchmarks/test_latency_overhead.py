"""What the suite itself costs around a measurement: clocks per sample, judging, intervals, reading a runner's answer.

Run with ``nox -s benchmarks -- tests/benchmarks/test_latency_overhead.py``, which sets CPU time as the timer.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from suite.latency.device import load_device
from suite.latency.protocol import Protocol
from suite.latency.remote.plan import PLAN_VERSION, Plan, PlannedCandidate, read_answer
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


def spoken() -> tuple[str, Plan]:
    """What a runner prints for two models in the strict protocol."""
    asked = PlannedCandidate((), (), ())
    order = Plan((asked, asked), load_device("snapdragon_778g").protocol("strict"), 1, 7, 0)
    reading = {"wall_ns": 50_009_000, "cpu_ns": 50_000_000, "thread_ns": 50_000_000}
    reading |= {"core_before": 7, "core_after": 7, "khz": 2_400_000}
    header: dict[str, Any] = {"kind": "header", "version": PLAN_VERSION, "runner": "ncnn", "library": "1"}
    header |= {"platform": "android", "machine": "aarch64", "core": 7, "niceness": 0}
    header |= {"built_khz": 2_400_000, "permitted_khz": 2_400_000, "flags": {}}
    lines: list[dict[str, Any]] = [header, {"kind": "spin", "when": "before", "steps": 1, "cpu_ns": 1}]
    lines += [{"kind": "warm_up", "candidate": place, "repeat": again, **reading} for place, again in order.warm_up]
    for number in range(ROUNDS):
        lines += [{"kind": "sample", "round": number, "candidate": place, **reading} for place in order.round]
        state = {"round": number, "elapsed_s": float(number), "affinities": ["7"], "threads": 1}
        lines.append({"kind": "round", **state, "sensors": {"cpu-1-6": 45_000}})
    lines.append({"kind": "spin", "when": "after", "steps": 1, "cpu_ns": 1})
    end = {"kind": "end", "samples": 4 * ROUNDS, "rounds": ROUNDS, "peak_memory_kib": 1, "lines": len(lines) + 1}
    return "\n".join(json.dumps(line) for line in (*lines, end)), order


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


def test_reading_a_runners_answer(benchmark: Any) -> None:
    text, order = spoken()
    assert len(benchmark(read_answer, text, order, "adb").samples) == 4 * ROUNDS
