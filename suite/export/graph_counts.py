"""What can be counted in an ONNX graph without running it: the same on every machine, so that a gate can be exact."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnx

from suite.errors import InputError
from suite.export.artifact import read_graph

ELEMENT_BYTES = {"FLOAT": 4, "INT64": 8, "INT32": 4, "BOOL": 1, "FLOAT16": 2, "DOUBLE": 8, "UINT8": 1, "INT8": 1}
FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")


@dataclass(frozen=True)
class GraphCounts:
    """Exact counts of one graph at its fixed input size.

    Attributes:
        parameters: elements of all floating-point weights.
        macs: multiply-accumulates of convolutions and matrix products.
        operators: nodes by operator, sorted by name.
        peak_tensor_bytes: most bytes of inputs, outputs and intermediate tensors alive at once when nodes run in the
            graph's order and each tensor lives from its making to its last use; weights left out.
    """

    parameters: int
    macs: int
    operators: dict[str, int]
    peak_tensor_bytes: int


def _node_macs(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    if node.op_type == "Conv":
        weights = shapes[node.input[1]]  # (out, in / groups, height, width)
        return math.prod(shapes[node.output[0]]) * math.prod(weights[1:])
    if node.op_type == "MatMul":
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    if node.op_type == "Gemm":
        transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else 1]
    return 0


def count_graph(path: Path) -> GraphCounts:
    """Count a graph.

    Args:
        path: an ONNX file with fixed input sizes; its weights are needed only if a shape depends on them.

    Raises:
        InputError: if the file is not ONNX, or a tensor's size is not fixed.
    """
    model = read_graph(path)
    try:
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except Exception as error:  # onnx's own class is not part of its public interface
        raise InputError(f"{path}: sizes cannot be inferred ({error}); export it again at a fixed size") from None
    shapes: dict[str, tuple[int, ...]] = {}
    sizes: dict[str, int] = {}
    weights = {tensor.name for tensor in graph.initializer}
    parameters = 0
    for tensor in graph.initializer:
        shapes[tensor.name] = tuple(tensor.dims)
        if onnx.TensorProto.DataType.Name(tensor.data_type) in FLOATS:
            parameters += math.prod(tensor.dims)
    for value in (*graph.input, *graph.value_info, *graph.output):
        shape = tuple(side.dim_value if side.HasField("dim_value") else -1 for side in value.type.tensor_type.shape.dim)
        if any(side < 0 for side in shape):
            raise InputError(f"{path}: tensor {value.name} has no fixed size; export the graph at one")
        shapes[value.name] = shape
        kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        sizes[value.name] = math.prod(shape) * ELEMENT_BYTES.get(kind, 4)

    outputs = {value.name for value in graph.output}
    last_use = {name: number for number, node in enumerate(graph.node) for name in node.input}
    alive = sum(sizes[value.name] for value in graph.input if value.name not in weights)
    peak = alive
    macs = 0
    for number, node in enumerate(graph.node):
        missing = [name for name in node.output if name and name not in sizes]
        if missing:
            raise InputError(f"{path}: tensor {missing[0]} has no known size; export the graph again")
        alive += sum(sizes[name] for name in node.output if name)
        peak = max(peak, alive)
        macs += _node_macs(node, shapes)
        ended = {name for name in (*node.input, *node.output) if name and name not in weights | outputs}
        alive -= sum(sizes[name] for name in ended if last_use.get(name, number) == number)
    operators = Counter(node.op_type for node in graph.node)
    return GraphCounts(parameters, macs, dict(sorted(operators.items())), peak)
