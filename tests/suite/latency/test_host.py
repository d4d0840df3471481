"""The measured process and its parent: what goes wrong between them, and what becomes a record."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from suite.errors import InputError, NothingMeasuredError
from suite.latency.device import Protocol, load_device
from suite.latency.host import measure_makers
from suite.latency.report import LatencyReport, record_lines, report_table
from suite.latency.timing import Problem, Timing, Verdict
from suite.records.provenance import start_run
from suite.records.schema import Measurement, Series
from suite.records.store import read_run, writing
from tests.suite.latency import subjects


@pytest.fixture
def hasty(quick: Protocol) -> Protocol:
    return msgspec.structs.replace(quick, min_samples=4, min_duration_s=0.0)


@pytest.fixture(scope="module")
def report() -> LatencyReport:
    """Three candidates, marked valid whatever the machine was doing."""
    protocol = msgspec.structs.replace(load_device("host").protocol(), min_samples=6, min_duration_s=0.0, attempts=1)
    makers = [functools.partial(subjects.honest, name) for name in ("anchor", "other", "third")]
    measured = measure_makers(makers, protocol)
    return with_results(measured, lambda place, result: Verdict((), 0.0, 0.0, 1.0))


def with_results(report: LatencyReport, verdict: Callable[[int, Timing], Verdict | None]) -> LatencyReport:
    results = [
        msgspec.structs.replace(result, verdict=verdict(place, result)) for place, result in enumerate(report.results)
    ]
    return dataclasses.replace(report, run=msgspec.structs.replace(report.run, timings=results))


def spoiled(report: LatencyReport, *places: int) -> LatencyReport:
    bad = Verdict((Problem("throttled", "too warm"),), 0.0, 0.0, 2.0)
    return with_results(report, lambda place, result: bad if place in places else result.verdict)


@pytest.mark.parametrize(
    ("kind", "core", "error", "words"),
    [
        ("crashes", None, NothingMeasuredError, "RuntimeError"),
        ("dies", None, NothingMeasuredError, "signal 9"),
        ("refuses", None, InputError, "refuses"),
        ("honest", 4095, InputError, "core 4095"),
    ],
)
def test_a_failing_process_gives_one_line(
    kind: str, core: int | None, error: type[Exception], words: str, hasty: Protocol
) -> None:
    with pytest.raises(error) as caught:
        measure_makers([functools.partial(getattr(subjects, kind), kind)], hasty, core)
    assert words in str(caught.value)


def test_an_engine_that_prints_does_not_spoil_the_answer(hasty: Protocol) -> None:
    measured = measure_makers([functools.partial(subjects.chatters, "chatters")], hasty)
    assert measured.results[0].samples == 4


def test_valid_candidates_become_records_that_can_be_read_back(report: LatencyReport, tmp_path: Path) -> None:
    run = start_run("latency-host")
    with writing(run, tmp_path) as writer:
        for line in record_lines(report):
            writer.add(line)
    read = read_run(tmp_path / f"{run.run_id}.jsonl")
    metrics = [(line.subject.model, line.metric) for line in read.measurements]
    plain = ["latency_wall_ms", "latency_p90_wall_ms", "latency_cpu_ms"]
    assert metrics == [("anchor", metric) for metric in plain] + [
        (model, metric) for model in ("other", "third") for metric in [*plain, "latency_ratio_cpu"]
    ]
    expected = {"device": "host", "threads": 1, "precision": "fp32", "valid": True, "samples": 6}
    for line in read.measurements:
        assert line.value is not None
        assert {key: line.protocol[key] for key in expected} == expected
    ratio = read.measurements[-1]
    assert ratio.interval is not None
    assert ratio.interval.low <= float(ratio.value or 0) <= ratio.interval.high
    assert ratio.protocol["anchor"] == "anchor network"
    for series, result in zip(read.series, report.results, strict=True):
        assert series.columns == ["round", "position", "span", "wall_ms", "cpu_ms"]
        assert len(series.rows) == 6
        times = sorted(float(row[3]) for row in series.rows if isinstance(row[3], float))
        assert (times[2] + times[3]) / 2 == pytest.approx(result.wall_median_ms, abs=1e-5)
    assert [row[:2] for row in read.series[1].rows] == [[0, 1], [0, 4], [1, 1], [1, 4], [2, 1], [2, 4]]


def test_an_invalid_candidate_has_no_value_and_no_samples(report: LatencyReport) -> None:
    lines = record_lines(spoiled(report, 1))
    other = [line for line in lines if line.subject.model == "other"]
    assert not any(isinstance(line, Series) for line in other)
    for line in other:
        assert isinstance(line, Measurement)
        assert line.value is None
        assert line.reason is not None
        assert "throttled" in line.reason
    assert all(line.value is not None for line in lines if isinstance(line, Measurement) and line not in other)
    without_anchor = [line for line in record_lines(spoiled(report, 0)) if isinstance(line, Measurement)]
    ratios = [line for line in without_anchor if line.metric == "latency_ratio_cpu"]
    assert [(line.value, line.interval) for line in ratios] == [(None, None), (None, None)]


def test_the_table_shows_numbers_for_valid_candidates_only(report: LatencyReport) -> None:
    text = report_table(spoiled(report, 1))
    rows = {line.split()[0]: line for line in text.splitlines() if line.startswith(("anchor ", "other ", "third "))}
    assert "INVALID" in rows["other"]
    assert "." not in rows["other"]
    assert "[" in rows["third"]
    assert "throttled" in text
    assert "[" not in report_table(spoiled(report, 0))
