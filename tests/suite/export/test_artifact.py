from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from suite.errors import InputError
from suite.export.artifact import (
    GraphArtifact,
    graph_digest,
    graph_problems,
    output_problems,
    read_reference,
    write_reference,
)
from suite.export.runtime import open_session, prepare_graph
from suite.export.runtimes import ncnn_cpu

GraphMaker = Callable[..., GraphArtifact]
RUNTIME = "onnxruntime_cpu"


def test_a_graph_equals_an_independent_convolution(make_graph: GraphMaker) -> None:
    artifact = make_graph()
    session = open_session(RUNTIME, artifact.path)
    assert output_problems(session, artifact, 1e-5) == []
    assert session.input_shapes() == {"image": (1, 3, 24, 24)}
    assert session.precision_problems() == []


def test_digests_cover_weights_kept_beside_the_graph(make_graph: GraphMaker, tmp_path: Path) -> None:
    model = onnx.load(make_graph().path)
    outside = tmp_path / "outside.onnx"
    onnx.save(model, outside, save_as_external_data=True, location="weights.bin", size_threshold=0)
    before = graph_digest(outside)
    assert graph_digest(outside) == before
    weights = bytearray((tmp_path / "weights.bin").read_bytes())
    weights[0] ^= 1
    (tmp_path / "weights.bin").write_bytes(weights)
    assert graph_digest(outside) != before
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match=r"weights\.bin"):
        graph_digest(outside)


@pytest.mark.parametrize("place", ["constant", "branch"])
def test_digests_cover_constants_and_weights_of_branches_kept_beside_the_graph(place: str, tmp_path: Path) -> None:
    kept = numpy_helper.from_array(np.array([1], np.float32), "c")
    kept.ClearField("raw_data")
    kept.data_location = TensorProto.EXTERNAL
    kept.external_data.add(key="location", value="constants.bin")
    value = helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])
    branch = helper.make_graph([], "branch", [], [value], [kept])
    node = {
        "constant": helper.make_node("Constant", [], ["c"], value=kept),
        "branch": helper.make_node("If", ["on"], ["c"], then_branch=branch, else_branch=branch),
    }[place]
    on = numpy_helper.from_array(np.array(True), "on")
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(helper.make_model(helper.make_graph([node], "g", [], [value], [on])).SerializeToString())
    digests = set()
    for number in (1, 2):
        (tmp_path / "constants.bin").write_bytes(np.float32(number).tobytes())
        digests.add(graph_digest(graph))
    assert len(digests) == 2


@pytest.mark.parametrize("attributes", [False, True])
def test_every_engine_takes_a_graph_whose_weights_lie_beside_it(
    attributes: bool, tmp_path: Path, make_graph: GraphMaker
) -> None:
    model = onnx.load(make_graph().path)
    (stored,) = model.graph.initializer
    if attributes:
        model.graph.node.insert(0, helper.make_node("Constant", [], [stored.name], value=stored))
        del model.graph.initializer[:]
    path = tmp_path / "outside" / "graph.onnx"
    path.parent.mkdir()
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0, convert_attribute=True)
    weights = (path.parent / "weights.bin").read_bytes()
    image = {"image": np.random.default_rng(5).normal(size=(1, 3, 24, 24)).astype(np.float32)}
    wanted = open_session(RUNTIME, make_graph().path).run(image)["mask_logits"]
    for runtime in (RUNTIME, "ncnn_cpu"):
        prepare_graph(runtime, path)
        found = open_session(runtime, path).run(image)["mask_logits"]
        np.testing.assert_allclose(found, wanted, atol=1e-3 * float(np.abs(wanted).max()))
        (path.parent / "weights.bin").write_bytes(weights[:-4])
        with pytest.raises(InputError, match=r"graph\.onnx"):
            open_session(runtime, path)
        (path.parent / "weights.bin").write_bytes(weights)


@pytest.mark.parametrize("change", ["value", "shape", "nan", "name"])
def test_every_way_outputs_can_differ_is_seen(make_graph: GraphMaker, change: str) -> None:
    artifact = make_graph()
    with np.load(artifact.reference) as stored:
        image, masks = stored["input/image"], stored["output/mask_logits"]
    outputs = {
        "value": {"mask_logits": masks + np.float32(0.01 * np.abs(masks).max())},
        "shape": {"mask_logits": masks[:, :1]},
        "nan": {"mask_logits": np.full_like(masks, np.nan)},
        "name": {"masks": masks},
    }[change]
    write_reference(artifact.reference, {"image": image}, outputs)
    assert len(output_problems(open_session(RUNTIME, artifact.path), artifact, 1e-3)) == 1


def test_damaged_files_are_named(make_graph: GraphMaker, tmp_path: Path) -> None:
    artifact = make_graph()
    session = open_session(RUNTIME, artifact.path)
    artifact.reference.write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(InputError, match=r"graph\.npz"):
        output_problems(session, artifact, 1e-3)
    renamed = artifact.path.read_bytes().replace(b"image", b"\xff\xff\xff\xff\xff")
    for content in (b"\x08not a graph", renamed):
        artifact.path.write_bytes(content)
        for call in (graph_digest, lambda path: open_session(RUNTIME, path)):
            with pytest.raises(InputError, match=r"graph\.onnx"):
                call(artifact.path)
    with pytest.raises(InputError, match=r"\.onnx"):
        graph_digest(tmp_path / "absent.onnx")
    with pytest.raises(InputError, match=f"known runtimes: .*{RUNTIME}"):
        open_session("abacus", artifact.path)


def problems_of(nodes: list[onnx.NodeProto], initialisers: list[onnx.TensorProto]) -> list[str]:
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])]
    return graph_problems(helper.make_model(helper.make_graph(nodes, "g", values, values, initialisers)), "graph")


@pytest.mark.parametrize(
    ("number_type", "name"),
    [
        (TensorProto.FLOAT16, "FLOAT16"),
        (TensorProto.BFLOAT16, "BFLOAT16"),
        (TensorProto.DOUBLE, "DOUBLE"),
        (TensorProto.INT8, "INT8"),
    ],
)
def test_every_other_number_format_is_seen_wherever_it_hides(number_type: int, name: str) -> None:
    stored = helper.make_tensor("w", number_type, [1], [1])
    constant = helper.make_node("Constant", [], ["c"], value=helper.make_tensor("c", number_type, [1], [1]))
    cast = helper.make_node("Cast", ["x"], ["y"], to=number_type)
    found = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    branches = [helper.make_graph(nodes, "b", [], [found], [stored]) for nodes in ([], [cast])]
    branch = [helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner) for inner in branches]
    cases = [
        ([], [stored], "weights"),
        ([constant], [], "constants"),
        ([cast], [], "casts"),
        (branch[:1], [], "constants"),
    ]
    assert len(problems_of(branch, [])) == 2
    for nodes, initialisers, what in cases:
        (problem,) = problems_of(nodes, initialisers)
        assert what in problem
        assert name in problem


def test_outputs_that_are_held_outlive_the_runs_of_other_sessions(make_graph: Callable[..., GraphArtifact]) -> None:
    artifacts = [make_graph(f"graph{channels}", channels) for channels in (8, 16, 8)]
    sessions = [open_session("onnxruntime_cpu", artifact.path) for artifact in artifacts]
    assert {session.description()["arena"] for session in sessions} == {"one for all sessions"}
    held = []
    for artifact, session in [*zip(artifacts, sessions, strict=True)] * 3:
        inputs, expected = read_reference(artifact)
        held.append((session.run(inputs)["mask_logits"], expected["mask_logits"]))
    del sessions[0]
    for ours, theirs in held:
        np.testing.assert_allclose(ours.astype(np.float64), theirs.astype(np.float64), atol=1e-5)


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


def test_another_converter_or_other_code_before_it_converts_again(
    make_graph: GraphMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = make_graph().path
    found = {prepare_graph("ncnn_cpu", graph), prepare_graph("ncnn_cpu", graph)}
    with monkeypatch.context() as patch:
        patch.setattr(importlib.metadata, "version", lambda package: "1.0")
        found.add(prepare_graph("ncnn_cpu", graph))
    monkeypatch.setattr(ncnn_cpu, "PREPARATION", ("suite.export.rewriting",))
    found.add(prepare_graph("ncnn_cpu", graph))
    assert len(found) == 3
    assert all(path.is_file() for files in found for path in files)
