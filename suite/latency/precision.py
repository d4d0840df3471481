"""Which number formats an ONNX graph computes in."""

from __future__ import annotations

from pathlib import Path

import onnx

from suite.errors import InputError
from suite.latency.validity import Problem

_TYPES = onnx.TensorProto.DataType
# Integers and booleans carry shapes and indices; int8, uint8 and below carry quantised weights.
FP32_GRAPH_TYPES = frozenset({"FLOAT", "INT64", "INT32", "BOOL", "STRING", "UNDEFINED"})
QUANTISED_MARKS = ("qlinear", "quantize", "integer", "qgemm", "qattention", "matmulnbits")


def read_graph(path: Path) -> onnx.ModelProto:
    """Read an ONNX file without its external weights.

    Raises:
        InputError: if it is absent or not an ONNX file.
    """
    try:
        return onnx.load(str(path), load_external_data=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such ONNX file; check the path") from None
    except Exception as error:  # protobuf raises its own class, which differs between its implementations
        raise InputError(f"{path}: not an ONNX file ({error}); export it again") from None


def external_files(model: onnx.ModelProto) -> list[str]:
    """Return the names of the files beside the graph that hold its weights, sorted."""
    return sorted(
        {entry.value for tensor in model.graph.initializer for entry in tensor.external_data if entry.key == "location"}
    )


def _type_name(number: int) -> str:
    return _TYPES.Name(number) if number in _TYPES.values() else f"type {number}"


def graph_problems(model: onnx.ModelProto, where: str) -> list[Problem]:
    """Return every kind of tensor or operator of a graph, and its functions, that is not plain fp32.

    Args:
        model: the graph, weights not needed.
        where: how the message calls it, e.g. ``"exported graph"``.
    """
    graph = model.graph
    found: set[str] = set()
    for tensor in graph.initializer:
        if _type_name(tensor.data_type) not in FP32_GRAPH_TYPES:
            found.add(f"weights of type {_type_name(tensor.data_type)}")
    for value in (*graph.input, *graph.output, *graph.value_info):
        name = _type_name(value.type.tensor_type.elem_type)
        if name not in FP32_GRAPH_TYPES:
            found.add(f"tensors of type {name}")
    for node in (*graph.node, *(node for function in model.functions for node in function.node)):
        if any(mark in node.op_type.lower() for mark in QUANTISED_MARKS):
            found.add(f"operator {node.op_type}")
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and _type_name(attribute.i) not in FP32_GRAPH_TYPES:
                found.add(f"casts to {_type_name(attribute.i)}")
            if attribute.HasField("t") and _type_name(attribute.t.data_type) not in FP32_GRAPH_TYPES:
                found.add(f"constants of type {_type_name(attribute.t.data_type)}")
    return [Problem("precision_not_fp32", f"{where} has {what}") for what in sorted(found)]
