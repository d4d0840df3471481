"""A one-layer network as an exported graph, for the tests of graphs, runtimes and timing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from suite.export.artifact import GraphArtifact, graph_digest, write_reference

SIZE = 24


def graph(
    nodes: list[onnx.NodeProto], shapes: dict[str, list[int]], constants: dict[str, np.ndarray]
) -> onnx.ModelProto:
    """A model from its nodes; of the values in ``shapes``, those that no node makes are inputs, the others outputs."""
    made = {value for node in nodes for value in node.output}
    infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    inputs = [info for name, info in infos.items() if name not in made]
    outputs = [info for name, info in infos.items() if name in made]
    items = [numpy_helper.from_array(content, name) for name, content in constants.items()]
    for number, node in enumerate(nodes):
        node.name = node.name or f"part.{number}/{node.op_type}"
    body = helper.make_graph(nodes, "graph", inputs, outputs, items)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def convolution(weights: np.ndarray, weight_type: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """A one-layer network image (1, 3, SIZE, SIZE) -> mask_logits; its weights may be stored as fp16."""
    kind, options = ("Identity", {}) if weight_type == TensorProto.FLOAT else ("Cast", {"to": TensorProto.FLOAT})
    nodes = [
        helper.make_node(kind, ["weights_stored"], ["weights_fp32"], **options),
        helper.make_node("Conv", ["image", "weights_fp32"], ["mask_logits"], pads=[1, 1, 1, 1]),
    ]
    shapes = {"image": [1, 3, SIZE, SIZE], "mask_logits": [1, len(weights), SIZE, SIZE]}
    return graph(nodes, shapes, {"weights_stored": weights.astype(helper.tensor_dtype_to_np_dtype(weight_type))})


def convolve(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The same layer, written out."""
    padded = np.pad(image[0], ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.einsum("chwij,ocij->ohw", windows, weights)[None].astype(np.float32)


@pytest.fixture
def make_graph(tmp_path: Path) -> Callable[..., GraphArtifact]:
    """Writes a one-layer network, and its reference as another implementation computes it."""

    def make(name: str = "graph", channels: int = 8, weight_type: int = TensorProto.FLOAT) -> GraphArtifact:
        generator = np.random.default_rng(channels)
        weights = generator.normal(size=(channels, 3, 3, 3)).astype(np.float32)
        if weight_type == TensorProto.FLOAT16:
            weights = weights.astype(np.float16).astype(np.float32)
        image = generator.normal(size=(1, 3, SIZE, SIZE)).astype(np.float32)
        path = tmp_path / f"{name}.onnx"
        onnx.save(convolution(weights, weight_type), path)
        reference = tmp_path / f"{name}.npz"
        write_reference(reference, {"image": image}, {"mask_logits": convolve(image, weights)})
        return GraphArtifact(path, graph_digest(path), reference)

    return make
