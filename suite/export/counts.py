"""Parameters and multiply-accumulates (MACs) of a module, and what can be counted in an ONNX graph without running it.

Both are the same on every machine, so that a gate can be exact.
"""

from __future__ import annotations

import math
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from suite.errors import InputError
from suite.export.artifact import read_graph

OTHER = "other"
ELEMENT_BYTES = {"FLOAT": 4, "INT64": 8, "INT32": 4, "BOOL": 1, "FLOAT16": 2, "DOUBLE": 8, "UINT8": 1, "INT8": 1}
FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")


class Count(NamedTuple):
    """The size of one module."""

    parameters: int
    """Learned values, without batch-norm statistics."""
    macs: int
    """Multiply-accumulates of convolutions, linear layers and matrix products for one image."""


def count(model: nn.Module, height: int, width: int) -> dict[str, Count]:
    """Count a model that takes an image (1, 3, height, width); it is not changed.

    Half of torch's FLOP count is the MACs of convolutions and matrix products (attention included). Normalisation,
    activations, pooling and resizing are not counted, nor folded. Nothing is computed, shapes are traced.

    Returns:
        One entry per direct submodule in order of definition, and ``"other"`` for what the model does or holds itself,
        if anything. The sums over all entries are the model's totals.
    """
    name = type(model).__name__
    counter, _ = _traced(model, height, width)
    flops = {module: sum(operators.values()) for module, operators in counter.get_flop_counts().items()}
    counts = {
        child_name: Count(sum(p.numel() for p in child.parameters()), flops.get(f"{name}.{child_name}", 0) // 2)
        for child_name, child in model.named_children()
    }
    rest = Count(
        sum(p.numel() for p in model.parameters()) - sum(c.parameters for c in counts.values()),
        counter.get_total_flops() // 2 - sum(c.macs for c in counts.values()),
    )
    if any(rest):
        counts[OTHER] = rest
    return counts


def total(counts: dict[str, Count]) -> Count:
    """Return the sums over all modules of `count`'s result."""
    return Count(sum(c.parameters for c in counts.values()), sum(c.macs for c in counts.values()))


class Split(NamedTuple):
    """A network's MACs by how fast engines run them."""

    dense3x3: int
    """Of 3x3 convolutions of stride 1 without groups, which engines may compute by Winograd's filtering."""
    other: int
    """Of everything else: 1x1, strided, grouped and other convolutions, linear layers, matrix products."""


class _DenseConvolutions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the MACs of 3x3 convolutions of stride 1 without groups that run inside."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            _, weight, _, stride, _, dilation, transposed, _, groups = args[:9]
            plain = (list(stride), list(dilation), bool(transposed), int(groups)) == ([1, 1], [1, 1], False, 1)
            if plain and tuple(weight.shape[2:]) == (3, 3):
                self.macs += result.shape[2] * result.shape[3] * weight.numel()
        return result


def _traced(
    model: nn.Module, height: int, width: int, method: str = "forward"
) -> tuple[FlopCounterMode, _DenseConvolutions]:
    """Run a method of a copy without storage on an image: only shapes are traced."""
    # The hooks of the counter want tensors that need no gradient.
    shadow = deepcopy(model).to("meta").requires_grad_(False).eval()
    image = torch.zeros(1, 3, height, width, device="meta")
    # The fused attention kernel of the CPU has no FLOP formula; the plain one is matrix products.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, _DenseConvolutions() as dense:
        # Called as a module for its hooks, which tell the counter the submodules apart.
        (shadow if method == "forward" else getattr(shadow, method))(image)
    return counter, dense


def split_macs(model: nn.Module, height: int, width: int, method: str = "forward") -> Split:
    """Count the MACs of dense 3x3 convolutions of stride 1, and of everything else, for a batch of one.

    ``method`` is ``forward`` or another method that takes an image (1, 3, height, width).
    """
    counter, dense = _traced(model, height, width, method)
    return Split(dense.macs, counter.get_total_flops() // 2 - dense.macs)


def count_modules(model: nn.Module, height: int, width: int) -> dict[str, int]:
    """Return the MACs of every module that has any, by path (``mask_decoder.first3``), submodules included.

    Arguments as for `split_macs`; what the model itself computes is the total minus its children's.
    """
    name = type(model).__name__
    counter, _ = _traced(model, height, width)
    found = {module: sum(flops.values()) // 2 for module, flops in counter.get_flop_counts().items()}
    return {
        module.removeprefix(f"{name}."): macs
        for module, macs in found.items()
        if module.startswith(f"{name}.") and macs
    }


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
        absent = {name for name in node.input if name and name not in shapes}
        missing = [name for name in node.output if name and name not in sizes] or sorted(absent)
        if missing:
            raise InputError(f"{path}: tensor {missing[0]} has no known size; export the graph again")
        alive += sum(sizes[name] for name in node.output if name)
        peak = max(peak, alive)
        macs += _node_macs(node, shapes)
        ended = {name for name in (*node.input, *node.output) if name and name not in weights | outputs}
        alive -= sum(sizes[name] for name in ended if last_use.get(name, number) == number)
    operators = Counter(node.op_type for node in graph.node)
    return GraphCounts(parameters, macs, dict(sorted(operators.items())), peak)
