"""Every validity rule, provoked by real means in a real measured process.

Other work on the machine may break further rules at the same time, so each test asks for its own rule by name, and the
honest subject may be disturbed but never accused of anything else.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from suite.errors import NothingMeasuredError
from suite.export.artifact import GraphArtifact
from suite.latency.child import usable_cores
from suite.latency.device import Protocol
from suite.latency.host import Maker, measure_host, measure_makers
from suite.latency.report import LatencyReport
from suite.latency.spans import TimedModel
from suite.latency.validity import ENVIRONMENTAL
from tests.suite.latency import subjects

GraphMaker = Callable[..., GraphArtifact]

several_cores = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs a second core to stray to")


def subject(kind: str, **arguments: Any) -> Maker:
    return functools.partial(getattr(subjects, kind), **{"name": kind, **arguments})


def broken(report: LatencyReport, index: int = 0) -> set[str]:
    return set(report.results[index].broken_rules)


@contextlib.contextmanager
def busy_neighbour(core: int) -> Iterator[None]:
    """Another process that never rests, on the same core."""
    code = f"import os\nos.sched_setaffinity(0, {{{core}}})\nprint('busy', flush=True)\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()


def test_honest_subjects_break_no_rule_of_their_own(quick: Protocol) -> None:
    report = measure_makers([subject("honest"), subject("honest", name="slower", times=3)], quick)
    for index in range(2):
        assert broken(report, index) <= ENVIRONMENTAL
    assert report.run.affinities == [str(report.core)]
    assert [result.samples for result in report.results] == [40, 40]
    ratio = report.result("slower network").ratio_cpu
    assert ratio is not None
    assert ratio.low <= ratio.value <= ratio.high
    assert 1.2 < ratio.value < 1.9  # three digests instead of two


@pytest.mark.parametrize(
    ("kinds", "rules", "changes"),
    [
        pytest.param(["loses_its_core"], ["not_pinned"], {}, marks=several_cores),
        (["honest", "two_threads", "remembers"], ["", "more_than_one_thread", "cached"], {}),
        (["slows_down", "honest"], ["throttled", "throttled"], {}),  # an anchor that slows down spoils the others
        (["honest"], ["too_few_samples"], {"min_samples": 100_000, "max_duration_s": 0.1}),
    ],
)
def test_each_rule_that_a_subject_breaks_is_named(
    kinds: list[str], rules: list[str], changes: dict[str, Any], quick: Protocol
) -> None:
    report = measure_makers([subject(kind) for kind in kinds], msgspec.structs.replace(quick, **changes))
    for place, rule in enumerate(rules):
        found = broken(report, place)
        assert rule in found if rule else found <= ENVIRONMENTAL


def test_a_busy_neighbour_takes_the_core_away_and_the_run_is_tried_again(
    quick: Protocol, capsys: pytest.CaptureFixture[str]
) -> None:
    # Both with everybody's priority from the start, so that the child's imports get their half of the core.
    core, short = usable_cores()[-1], msgspec.structs.replace(quick, attempts=2, min_samples=12, niceness=0)
    with busy_neighbour(core):
        report = measure_makers([subject("honest")], short, core=core)
    assert "core_taken_away" in broken(report)
    assert "attempt 1" in capsys.readouterr().err


def test_half_precision_and_a_graph_changed_after_scoring_are_not_the_scored_model(
    make_graph: GraphMaker, quick: Protocol
) -> None:
    half, artifact = make_graph("half", weight_type=TensorProto.FLOAT16), make_graph()
    graph = onnx.load(artifact.path)
    weights = numpy_helper.to_array(graph.graph.initializer[0]) * np.float32(1.01)
    graph.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, graph.graph.initializer[0].name))
    onnx.save(graph, artifact.path)
    report = measure_host([TimedModel("half", {"whole": half}), TimedModel("changed", {"whole": artifact})], quick)
    assert "precision_not_fp32" in broken(report)
    assert "FLOAT16" in report.results[0].summary
    assert "outputs_differ" in broken(report, 1)
    with pytest.raises(NothingMeasuredError, match=r"outputs_differ.*precision_not_fp32"):  # no load on the machine
        report.require_valid("test")
    for named in ("sha256", "mask_logits"):
        assert named in report.results[1].summary
