"""Rewritten graphs compute what they did, and are what each runtime should get."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import helper

from suite.export.elementary import spell_elementary
from suite.export.exporter import Part, export_graph
from suite.export.graph_editor import fold_constants
from suite.export.mobileinst import export_mobileinst
from suite.export.rewriting import keep_blocks, module_of
from suite.export.runtime import open_session
from suite.export.winograd import MIN_CHANNELS, winograd_convolutions
from suite.models.fastinst import choose_places
from suite.models.parts.attention import QueryOutput, attention_bias, to_tokens
from tests.reference_model.small import image, small_model
from tests.suite.conftest import graph


def run(proto: onnx.ModelProto, **inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    output: NDArray[np.float32] = session.run(None, inputs)[0]
    return output


def convolution(
    height: int,
    width: int,
    in_channels: int = MIN_CHANNELS,
    out_channels: int = MIN_CHANNELS,
    bias: bool = True,
    relu: bool = True,
    **options: object,
) -> tuple[onnx.ModelProto, NDArray[np.float32]]:
    rng = np.random.default_rng(height * 1000 + width)
    constants = {"w": rng.standard_normal((out_channels, in_channels, 3, 3), dtype=np.float32)}
    if bias:
        constants["b"] = rng.standard_normal(out_channels, dtype=np.float32)
    settings_: dict[str, Any] = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3], **options}
    nodes = [helper.make_node("Conv", ["x", *constants], ["middle" if relu else "y"], **settings_)]
    if relu:
        nodes.append(helper.make_node("Relu", ["middle"], ["y"]))
    strides = settings_.get("strides", [1, 1])
    assert isinstance(strides, list)
    output = [1, out_channels, -(-height // strides[0]), -(-width // strides[1])]
    proto = graph(nodes, {"x": [1, in_channels, height, width], "y": output}, constants)
    return proto, rng.standard_normal((1, in_channels, height, width), dtype=np.float32)


@given(
    height=st.integers(16, 30), width=st.integers(16, 30), wide=st.booleans(), bias=st.booleans(), relu=st.booleans()
)
@settings(max_examples=8, deadline=None)
def test_winograd_is_the_convolution(height: int, width: int, wide: bool, bias: bool, relu: bool) -> None:
    proto, x = convolution(height, width, out_channels=MIN_CHANNELS + 16 * wide, bias=bias, relu=relu)
    expected = run(proto, x=x)
    assert winograd_convolutions(proto) == 1
    kinds = Counter(node.op_type for node in proto.graph.node)
    assert not kinds["Conv"]
    assert kinds["Relu"] == relu
    np.testing.assert_allclose(run(proto, x=x), expected, atol=2e-5 * float(np.abs(expected).max()))


def test_uneven_maps_are_brought_back_into_blocks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.standard_normal((32, 32, 1, 1), dtype=np.float32),
        "uneven": np.array([1, 32, 5, 7], np.int64),
        "even": np.array([1, 32, 10, 14], np.int64),
    }
    linear = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Resize", ["a", "", "", "uneven"], ["b"], **linear),
        helper.make_node("Resize", ["b", "", "", "even"], ["c"], **linear),
        helper.make_node("Conv", ["z", "w"], ["d"]),
        helper.make_node("Add", ["d", "c"], ["e"]),
        helper.make_node("Conv", ["e", "w"], ["y"]),
    ]
    shapes = {"x": [1, 32, 3, 4], "z": [1, 32, 10, 14], "y": [1, 32, 10, 14]}
    proto = graph(nodes, shapes, constants)  # type: ignore[arg-type]
    feeds = {"x": rng.standard_normal((1, 32, 3, 4), dtype=np.float32)}
    feeds["z"] = rng.standard_normal((1, 32, 10, 14), dtype=np.float32)
    expected = run(proto, **feeds)
    assert keep_blocks(proto) == 1
    np.testing.assert_allclose(run(proto, **feeds), expected, rtol=1e-5, atol=1e-4)
    assert keep_blocks(proto) == 0, "done once is done"


def test_constants_are_computed_and_dead_branches_dropped() -> None:
    constants = {"a": np.ones((2, 3), np.float32), "b": np.full((2, 3), 2, np.float32)}
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Exp", ["x"], ["unread"]),
        helper.make_node("Mul", ["x", "sum"], ["y"]),
    ]
    proto = graph(nodes, {"x": [2, 3], "y": [2, 3]}, constants)
    fold_constants(proto)
    assert [node.op_type for node in proto.graph.node] == ["Mul"]
    assert [item.name for item in proto.graph.initializer] == ["sum"]
    np.testing.assert_array_equal(run(proto, x=np.ones((2, 3), np.float32)), np.full((2, 3), 3, np.float32))


@pytest.mark.slow
def test_fastest_form_computes_what_the_model_computes(tmp_path: Path) -> None:
    """At a size whose pooling and enlargements are uneven; at an even one `test_command` compares masks."""
    path, model = tmp_path / "model.onnx", small_model(hidden_dim=64, num_heads=4)
    report = export_mobileinst(model, path, (160, 224), form="onnxruntime", tolerance=1e-4).report
    assert report.op_counts["Gather"] >= 2
    names = [node.name for node in onnx.load(path).graph.node]
    assert len(set(names)) == len(names)
    modules = {name for name, _ in model.named_modules()} | {"whole"}
    assert {module_of(name) for name in names} <= modules
    assert any(module_of(name).startswith("mask_decoder.first3") for name in names)
    picture = image(160, 224, seed=7)
    with torch.no_grad():
        expected = model(picture).mask_logits.numpy()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["mask_logits"], {"image": picture.numpy()})
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(np.abs(expected).max()))


class Choosing(torch.nn.Module):
    """The tokens at the places that FastInst chooses, and masked attention's bias of the same maps as masks."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.maps = torch.nn.Conv2d(3, 9, 3, padding=1)
        with torch.no_grad():
            self.maps.bias[4] = -9.0  # a mask without foreground sees everything

    def forward(self, image: torch.Tensor) -> QueryOutput:
        maps = self.maps(image)
        return QueryOutput(to_tokens(maps).index_select(1, choose_places(maps, 7)), attention_bias(maps))


def test_ncnn_chooses_the_same_places_and_hides_the_same_pixels(tmp_path: Path) -> None:
    export_graph("choosing", Choosing(), Part("whole"), tmp_path / "graph.onnx", (12, 20))
    ours, theirs = (open_session(runtime, tmp_path / "graph.onnx") for runtime in ("ncnn_cpu", "onnxruntime_cpu"))
    for seed in range(5):
        pixels = {"image": np.random.default_rng(seed).normal(size=(1, 3, 12, 20)).astype(np.float32)}
        wanted = theirs.run(pixels)
        for name, found in ours.run(pixels).items():
            np.testing.assert_allclose(found.reshape(wanted[name].shape), wanted[name], atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    ("kind", "inputs", "output", "options"),
    [
        ("ReduceMax", ["x", "last"], "y", {}),  # not over the channels
        ("ReduceMin", ["x", "last"], "y", {}),  # not of flags
        ("TopK", ["row", "two"], "values", {}),  # its values are wanted
        ("Gather", ["x", "places"], "y", {"axis": 1}),  # in the order of the scores, which nothing restores
    ],
)
def test_what_only_looks_alike_is_left(kind: str, inputs: list[str], output: str, options: dict[str, int]) -> None:
    constants = {"last": np.array([3]), "two": np.array([2]), "flat": np.array([8])}
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["row"]),
        helper.make_node("TopK", ["row", "two"], ["best", "places"]),
        helper.make_node(kind, inputs, [output, "rest"] if kind == "TopK" else [output], **options),
    ]
    proto = graph(nodes, {"x": [1, 2, 2, 2], output: []}, constants)
    assert not spell_elementary(proto)
    assert proto.graph.node[-1] == nodes[-1]
