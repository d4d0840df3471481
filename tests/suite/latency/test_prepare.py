"""From a name to something that can be timed, and what its spans say that they are the times of."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from reference_model.config import VARIANTS, config_to_dict
from suite.errors import InputError
from suite.export.artifact import GraphArtifact, output_problems
from suite.export.runtime import open_session
from suite.latency import prepare
from suite.latency.device import Protocol
from suite.latency.host import measure_host
from suite.latency.spans import PictureSpans, TimedModel
from suite.latency.validity import ENVIRONMENTAL

TINY = "mobileinst_topformer_tiny_shapes"


def ends_at_once(name: str, **options: Any) -> None:
    """As the system ends a process when memory runs out."""
    os._exit(9)


def test_a_process_that_the_system_ends_is_an_error_of_that_model_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "prepare_model", ends_at_once)
    with pytest.raises(InputError, match="large"):
        prepare.prepare_apart("large")


def test_a_measured_run_proves_one_thread_and_fp32(make_graph: Callable[..., GraphArtifact], quick: Protocol) -> None:
    model = TimedModel("small", {"whole": make_graph(channels=64)}, runtime="ncnn_cpu")
    result = measure_host([model], quick).results[0]
    assert set(result.broken_rules) <= ENVIRONMENTAL
    assert (result.engine["runtime"], result.engine["threads"]) == ("ncnn", "1")
    assert result.labels.runtime == "ncnn"


def test_preprocessing_is_labelled_with_the_size_that_it_makes(quick: Protocol) -> None:
    model = TimedModel(TINY, {}, spans=(), config=config_to_dict(VARIANTS[TINY]))
    candidate = PictureSpans(model, quick).preprocess()
    image, _ = candidate.run(candidate.fresh_input(0))
    assert (candidate.labels.height_px, candidate.labels.width_px) == tuple(image.shape[-2:]) == (128, 192)


@pytest.mark.parametrize("weights", ["rival.npz", "rival.onnx"])
def test_weights_beside_a_graph_are_kept_whatever_their_name(
    weights: str, make_graph: Callable[..., GraphArtifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / "root"))
    model = onnx.load(make_graph("other").path)
    source = tmp_path / "source" / "graph.onnx"
    source.parent.mkdir()
    onnx.save(model, source, save_as_external_data=True, location=weights, size_threshold=0)
    graph = prepare.prepare_given(source, "rival", "onnxruntime_cpu", 0).graphs["whole"]
    assert (graph.path.parent / weights).read_bytes() == (source.parent / weights).read_bytes()
    assert output_problems(open_session("onnxruntime_cpu", graph.path), graph, 1e-5) == []


def endless(path: Path) -> None:
    """A graph whose loop has no end."""
    sides, kind = [1, 3, 8, 8], helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still_on"]), helper.make_node("Neg", ["x"], ["y"])],
        "body",
        [kind("turn", TensorProto.INT64, []), kind("on", TensorProto.BOOL, []), kind("x", TensorProto.FLOAT, sides)],
        [kind("still_on", TensorProto.BOOL, []), kind("y", TensorProto.FLOAT, sides)],
    )
    start = onnx.numpy_helper.from_array(np.array(True), "start")
    nodes = [helper.make_node("Loop", ["", "start", "image"], ["out"], body=body)]
    shapes = [kind(name, TensorProto.FLOAT, sides) for name in ("image", "out")]
    graph = helper.make_graph(nodes, "graph", shapes[:1], shapes[1:], [start])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def test_a_graph_that_never_ends_is_refused_after_a_while_and_can_be_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / "root"))
    monkeypatch.setattr("suite.export.runtime.RUN_LIMIT_S", 0.2)
    endless(tmp_path / "endless.onnx")
    with pytest.raises(InputError, match=r"endless\.onnx"):
        prepare.prepare_given(tmp_path / "endless.onnx", "endless", "onnxruntime_cpu", 0)
    monkeypatch.setattr("suite.export.runtime.RUN_LIMIT_S", 60)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        prepare.prepare_given(tmp_path / "endless.onnx", "endless", "onnxruntime_cpu", 0)
    assert time.monotonic() - started < 30
