"""Counts of a graph: parameters, multiply-accumulates, operators and the tensors alive at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from suite.errors import InputError
from suite.export.artifact import GraphArtifact
from suite.export.graph_counts import count_graph

GraphMaker = Callable[..., GraphArtifact]


def test_counts_of_one_convolution_are_those_on_paper(make_graph: GraphMaker) -> None:
    counts = count_graph(make_graph(channels=8).path)
    assert counts.parameters == 8 * 3 * 3 * 3
    assert counts.macs == 8 * 3 * 3 * 3 * 24 * 24
    assert counts.operators == {"Conv": 1, "Identity": 1}
    # The image, the copy of the weights that the graph makes, and the masks are alive at once.
    assert counts.peak_tensor_bytes == 4 * (3 * 24 * 24 + 8 * 27 + 8 * 24 * 24)


def test_tensors_are_alive_from_their_making_to_their_last_use(tmp_path: Path) -> None:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [100]) for name in ("x", "y")]
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Add", ["c", "a"], ["y"]),
    ]
    path = tmp_path / "chain.onnx"
    model = helper.make_model(
        helper.make_graph(nodes, "chain", values[:1], values[1:]), opset_imports=[helper.make_opsetid("", 18)]
    )
    onnx.save(model, path)
    assert count_graph(path).peak_tensor_bytes == 3 * 400  # a, b and c; x has gone, y comes when b has
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "length"
    onnx.save(model, path)
    with pytest.raises(InputError, match="chain"):
        count_graph(path)
