from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from suite.errors import InputError
from suite.export.artifact import GraphArtifact, graph_digest, graph_problems, output_problems, write_reference
from suite.export.runtime import open_session, runtime_names

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
    artifact.path.write_bytes(b"\x08not a graph")
    for call in (graph_digest, lambda path: open_session(RUNTIME, path)):
        with pytest.raises(InputError, match=r"graph\.onnx"):
            call(artifact.path)
    with pytest.raises(InputError, match=r"\.onnx"):
        graph_digest(tmp_path / "absent.onnx")
    with pytest.raises(InputError, match=f"known runtimes: .*{RUNTIME}"):
        open_session("abacus", artifact.path)


def test_a_graph_the_engine_refuses_is_named(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("NoSuchOperator", ["image"], ["out"])],
        "odd",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])],
    )
    path = tmp_path / "odd.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    with pytest.raises(InputError, match=r"odd\.onnx"):
        open_session(RUNTIME, path)


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
    for nodes, initialisers, what in (([], [stored], "weights"), ([constant], [], "constants"), ([cast], [], "casts")):
        (problem,) = problems_of(nodes, initialisers)
        assert what in problem
        assert name in problem


def test_quantised_operators_are_seen_and_shape_integers_are_not() -> None:
    assert problems_of([], [numpy_helper.from_array(np.array([1, -1], dtype=np.int64), "shape")]) == []
    for operator in ("QLinearConv", "DequantizeLinear", "ConvInteger", "DynamicQuantizeLinear", "MatMulNBits"):
        assert operator in problems_of([helper.make_node(operator, ["x"], ["y"])], [])[0]


def test_runtimes_are_found_by_their_file() -> None:
    assert RUNTIME in runtime_names()
