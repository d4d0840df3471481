"""ncnn on the host: the same outputs as ONNX Runtime, one thread and fp32, proved and not assumed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from suite.errors import InputError
from suite.export.artifact import GraphArtifact
from suite.export.runtime import open_session, prepare_graph
from suite.export.runtimes import ncnn_cpu

GraphMaker = Callable[..., GraphArtifact]


def test_both_engines_agree_and_conversion_happens_once(make_graph: GraphMaker) -> None:
    artifact = make_graph()
    prepare_graph("ncnn_cpu", artifact.path)
    prepare_graph("onnxruntime_cpu", artifact.path)
    files = {path: path.stat().st_mtime_ns for path in artifact.path.parent.glob("*.ncnn.*")}
    assert sorted(path.suffix for path in files) == [".bin", ".param"]
    inputs = {"image": np.random.default_rng(5).normal(size=(1, 3, 24, 24)).astype(np.float32)}
    ours, theirs = (open_session(runtime, artifact.path) for runtime in ("ncnn_cpu", "onnxruntime_cpu"))
    assert ours.input_shapes() == theirs.input_shapes()
    expected = theirs.run(inputs)["mask_logits"]
    np.testing.assert_allclose(ours.run(inputs)["mask_logits"], expected, atol=1e-3 * float(np.abs(expected).max()))
    assert {path: path.stat().st_mtime_ns for path in artifact.path.parent.glob("*.ncnn.*")} == files


def test_half_precision_weights_and_options_are_seen(make_graph: GraphMaker, tmp_path: Path) -> None:
    artifact = make_graph(channels=64)
    assert open_session("ncnn_cpu", artifact.path).precision_problems() == []
    shutil.copy(artifact.path, tmp_path / "half.onnx")
    command = [ncnn_cpu._converter(), "half.onnx", "inputshape=[1,3,24,24]", "fp16=1"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    half = ncnn_cpu.NcnnSession(artifact.path, (tmp_path / "half.ncnn.param", tmp_path / "half.ncnn.bin"))
    assert ["fp16 blobs" in problem for problem in half.precision_problems()] == [True]
    full = ncnn_cpu.open_session(artifact.path)
    full._net.opt.use_bf16_storage = True
    assert "use_bf16_storage" in full.precision_problems()[0]


def test_what_cannot_be_converted_is_named(make_graph: GraphMaker, tmp_path: Path) -> None:
    graph = onnx.load(make_graph().path)
    graph.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(graph, tmp_path / "open.onnx")
    with pytest.raises(InputError, match=r"open\.onnx.*image"):
        prepare_graph("ncnn_cpu", tmp_path / "open.onnx")


def test_damaged_conversions_are_named(make_graph: GraphMaker) -> None:
    artifact = make_graph()
    param, _ = ncnn_cpu.convert(artifact.path)
    param.write_text("not a graph")
    with pytest.raises(InputError, match=param.name):
        open_session("ncnn_cpu", artifact.path)
