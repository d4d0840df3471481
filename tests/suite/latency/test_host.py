"""The measured process and its parent: what goes wrong between them, and what becomes a record."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from suite.errors import InputError, NothingMeasuredError
from suite.export.artifact import GraphArtifact
from suite.latency.host import measure_host, measure_makers
from suite.latency.protocol import Protocol
from suite.latency.report import LatencyReport, record_lines, report_table
from suite.latency.timed_model import TimedModel
from suite.latency.timing import MeasuredRun, Problem, Timing, Verdict
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
    from suite.latency.device import load_device

    protocol = msgspec.structs.replace(load_device("host").protocol(), min_samples=6, min_duration_s=0.0, attempts=1)
    makers = [functools.partial(subjects.honest, name) for name in ("anchor", "other", "third")]
    measured = measure_makers(makers, protocol)
    return dataclasses.replace(
        measured,
        results=tuple(
            msgspec.structs.replace(result, verdict=Verdict((), 0.0, 0.0, 1.0)) for result in measured.results
        ),
    )


def spoiled(report: LatencyReport, *indices: int) -> LatencyReport:
    def with_problem(result: Timing) -> Timing:
        return msgspec.structs.replace(result, verdict=Verdict((Problem("throttled", "too warm"),), 0.0, 0.0, 2.0))

    results = [with_problem(result) if index in indices else result for index, result in enumerate(report.results)]
    return dataclasses.replace(report, results=tuple(results))


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("crashes", NothingMeasuredError, "RuntimeError"),
        ("dies", NothingMeasuredError, "signal 9"),
        ("refuses", InputError, "refuses"),
    ],
)
def test_a_failing_process_gives_one_line(kind: str, error: type[Exception], words: str, hasty: Protocol) -> None:
    with pytest.raises(error) as caught:
        measure_makers([functools.partial(getattr(subjects, kind), kind)], hasty)
    assert words in str(caught.value)


def test_an_engine_that_prints_does_not_spoil_the_answer(hasty: Protocol) -> None:
    measured = measure_makers([functools.partial(subjects.chatters, "chatters")], hasty)
    assert measured.results[0].samples == 4


def test_a_core_that_does_not_exist_is_refused_with_the_usable_ones(hasty: Protocol) -> None:
    with pytest.raises(InputError, match="core 4095"):
        measure_makers([functools.partial(subjects.honest, "honest")], hasty, core=4095)


def test_bad_requests_are_refused_before_anything_is_measured(
    make_graph: Callable[..., GraphArtifact], hasty: Protocol, tmp_path: Path
) -> None:
    model = TimedModel("twice", {"whole": make_graph()})
    with pytest.raises(InputError, match="twice"):
        measure_host([model, model], hasty)
    with pytest.raises(InputError):
        measure_host([], hasty)
    for change, words in (
        ({"spans": ("lunch",)}, "lunch"),
        ({"spans": ("video_network",)}, "key_frame"),
        ({"spans": ("preprocess",)}, "preprocess"),
        ({"key_frame_intervals": (4,)}, "4"),
        ({"images": (tmp_path / "none.png",)}, "none.png"),
    ):
        with pytest.raises(InputError, match=words):
            dataclasses.replace(model, **change)


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
    for line in read.measurements:
        assert line.value is not None
        assert line.protocol["device"] == "host"
        assert line.protocol["threads"] == 1
        assert line.protocol["precision"] == "fp32"
        assert line.protocol["valid"] is True
        assert line.protocol["samples"] == 6
    ratio = read.measurements[-1]
    assert ratio.interval is not None
    assert ratio.value is not None
    assert ratio.interval.low <= ratio.value <= ratio.interval.high
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


def test_a_ratio_to_an_invalid_anchor_is_none(report: LatencyReport) -> None:
    lines = [line for line in record_lines(spoiled(report, 0)) if isinstance(line, Measurement)]
    ratios = [line for line in lines if line.metric == "latency_ratio_cpu"]
    assert len(ratios) == 2
    for line in ratios:
        assert line.value is None
        assert line.interval is None
        assert "anchor network" in str(line.reason)
    assert all(line.value is not None for line in lines if line.subject.model == "third" and line not in ratios)


def test_the_table_shows_numbers_for_valid_candidates_only(report: LatencyReport) -> None:
    text = report_table(spoiled(report, 1))
    rows = {line.split()[0]: line for line in text.splitlines() if line.startswith(("anchor ", "other ", "third "))}
    assert "anchor" in rows["anchor"]
    assert "INVALID" in rows["other"]
    assert "." not in rows["other"]
    assert "[" in rows["third"]
    assert "throttled" in text
    assert "[" not in report_table(spoiled(report, 0))


def test_json_holds_all_but_the_samples(report: LatencyReport) -> None:
    values = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert [item["model"] for item in values["results"]] == ["anchor", "other", "third"]
    assert values["results"][0]["valid"] is True
    assert values["affinities"] == [str(values["core"])]
    assert values["protocol"]["rules"]["max_wall_over_cpu"] == 1.1
    assert "wall_ms" not in values["results"][0]
    assert report.result("third network").labels.model == "third"
    with pytest.raises(KeyError):
        report.result("fourth network")


def test_a_timing_is_the_same_after_the_way_from_the_measured_process(report: LatencyReport) -> None:
    run = MeasuredRun(list(report.results), 1.0, ["0"], 0, 1, 1)
    assert msgspec.json.decode(msgspec.json.encode(run), type=MeasuredRun) == run
