"""An exported graph on disk: its number formats, its digest, and the proof that it computes what the model computes."""

from __future__ import annotations

import hashlib
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from suite.errors import InputError
from suite.export.runtime import Arrays, Session
from suite.files import atomic_path, file_digest

INPUT_PREFIX, OUTPUT_PREFIX = "input/", "output/"
_TYPES = onnx.TensorProto.DataType
# Integers and booleans carry shapes and indices; int8, uint8 and below carry quantised weights.
FP32_GRAPH_TYPES = frozenset({"FLOAT", "INT64", "INT32", "BOOL", "STRING", "UNDEFINED"})
MAX_VALUES = 1 << 28
"""Numbers that a graph's inputs hold at most."""
QUANTISED_MARKS = ("qlinear", "quantize", "integer", "qgemm", "qattention", "matmulnbits")


def read_graph(path: Path) -> onnx.ModelProto:
    """Read an ONNX file without its external weights.

    Raises:
        InputError: if it is absent or not an ONNX file.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such ONNX file; check the path") from None
    except Exception as error:  # protobuf raises its own class, which differs between its implementations
        raise InputError(f"{path}: not an ONNX file ({error}); export it again") from None
    named = (*model.graph.initializer, *model.graph.input, *model.graph.value_info, *model.graph.output)
    words = [item.name for item in named]
    for node in nodes_of(model):
        words += (node.op_type, node.name, node.domain, *node.input, *node.output)
    if not all(isinstance(word, str) for word in words):  # protobuf hands out what is no UTF-8 as bytes
        raise InputError(f"{path}: not an ONNX file (a name in it is no UTF-8); export it again")
    return model


def nodes_of(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield every node of a graph, of its functions and of the graphs inside nodes (branches, loops)."""
    waiting = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                waiting += inner.node


def weights_of(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """Return the weights of one graph; of sparse ones their values and indices."""
    sparse = [tensor for weights in graph.sparse_initializer for tensor in (weights.values, weights.indices)]
    return [*graph.initializer, *sparse]


def constants_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor in an attribute of a node, and the weights of the graphs inside nodes."""
    for node in nodes_of(model):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for inner in (attribute.g, *attribute.graphs):
                yield from weights_of(inner)


def input_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shape of every input of a graph by name, in its order; 0 for a side that is not fixed.

    Weights that old files list among the inputs are none.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    return {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in model.graph.input
        if value.name not in weights
    }


def shown_shapes(shapes: Mapping[str, Sequence[int]]) -> str:
    """Return the shapes of a graph's inputs as messages name them, e.g. ``image [1, 3, 640, 864]``."""
    return ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items()) or "none"


def item_shapes(path: Path) -> list[tuple[int, ...]]:
    """Return the shape of every input of a graph without its first side, the batch, which holds one item.

    Raises:
        InputError: if the file is absent or not ONNX, or has other inputs than batches of one item of 1 to 4 fixed
            sides, as ncnn takes them.
    """
    shapes = input_shapes(read_graph(path))
    fits = [shape[:1] == (1,) and 2 <= len(shape) <= 5 and min(shape) > 0 for shape in shapes.values()]
    if not shapes or not all(fits) or sum(map(math.prod, shapes.values())) > MAX_VALUES:
        raise InputError(
            f"{path}: its inputs are {shown_shapes(shapes)}; export it with fixed shapes (1, ...) of 2 to 5 sides and "
            f"at most {MAX_VALUES} numbers"
        )
    return [shape[1:] for shape in shapes.values()]


class ConvertedSession:
    """What sessions of converted graphs share: inputs and outputs have the ONNX graph's names, in its order."""

    def __init__(self, graph: Path) -> None:
        model = read_graph(graph)
        self.inputs = input_shapes(model)
        self.outputs = [value.name for value in model.graph.output]

    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every input by name."""
        return dict(self.inputs)


def external_files(model: onnx.ModelProto, path: Path) -> list[str]:
    """Return the names of the files beside the graph ``path`` that hold its weights, sorted.

    Raises:
        InputError: if one is not below the graph's folder: a graph must not name what else is to be read or replaced.
    """
    tensors = (*weights_of(model.graph), *constants_of(model))
    names = {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
    for name in names:
        if not isinstance(name, str) or not name.isprintable() or Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{path}: names weights outside its folder ({name!a:.80}); export it with them beside it")
    return sorted(names)


def _type_name(number: int) -> str:
    return _TYPES.Name(number) if number in _TYPES.values() else f"type {number}"


def graph_problems(model: onnx.ModelProto, where: str) -> list[str]:
    """Return every kind of tensor or operator of a graph, its functions and branches that is not plain fp32.

    Its weights are not needed; ``where`` is how the message calls it, e.g. ``"exported graph"``.
    """
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info)
    types = [("weights of type", tensor.data_type) for tensor in weights_of(graph)]
    types += [("constants of type", tensor.data_type) for tensor in constants_of(model)]
    types += [("tensors of type", value.type.tensor_type.elem_type) for value in values]
    found: set[str] = set()
    for node in nodes_of(model):
        if any(mark in node.op_type.lower() for mark in QUANTISED_MARKS):
            found.add(f"operator {node.op_type}")
        if node.op_type == "Cast":
            types += [("casts to", attribute.i) for attribute in node.attribute if attribute.name == "to"]
    for what, number in types:
        if _type_name(number) not in FP32_GRAPH_TYPES:
            found.add(f"{what} {_type_name(number)}")
    return [f"{where} has {what}" for what in sorted(found)]


@dataclass(frozen=True)
class ExportReport:
    """What was exported and how closely it follows the module.

    Attributes:
        opset: version of the standard operator set.
        nodes: number of nodes of the graph.
        parity_max_abs: largest absolute difference of any output element between ONNX Runtime and PyTorch.
        parity_max_rel: largest difference of any output element, relative to the largest magnitude of its output.
        op_counts: nodes by operator, most frequent first.
    """

    opset: int
    nodes: int
    parity_max_abs: float
    parity_max_rel: float
    op_counts: dict[str, int]


@dataclass(frozen=True)
class GraphArtifact:
    """An exported graph and what proves that it is the scored model.

    Attributes:
        path: the ONNX file.
        sha256: digest of the graph and its external weights when it was exported (`graph_digest`).
        reference: ``.npz`` with one input and the scored model's outputs on it (`write_reference`).
        report: the exporter's; None for a graph that somebody else exported.
    """

    path: Path
    sha256: str
    reference: Path
    report: ExportReport | None = None


def graph_digest(path: Path) -> str:
    """Return the SHA-256 of an ONNX file and, if it has any, of the files that hold its weights.

    Raises:
        InputError: if a file is missing or not ONNX.
    """
    names = external_files(read_graph(path), path)
    if not names:
        return file_digest(path)
    total = hashlib.sha256(file_digest(path).encode())
    for name in names:
        if not (path.parent / name).is_file():
            raise InputError(f"{path}: its weights {name} are not beside it; export it again")
        total.update(file_digest(path.parent / name).encode())
    return total.hexdigest()


def write_reference(path: Path, inputs: Arrays, outputs: Arrays) -> None:
    """Write one input and the scored model's outputs on it, for `output_problems`."""
    named = {f"{INPUT_PREFIX}{name}": value for name, value in inputs.items()}
    named |= {f"{OUTPUT_PREFIX}{name}": value for name, value in outputs.items()}
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **named)


def difference(found: NDArray[Any], wanted: NDArray[Any]) -> tuple[float, float]:
    """Return the largest absolute difference, and that over the largest magnitude wanted; infinite for other shapes."""
    if found.shape != wanted.shape:
        return float("inf"), float("inf")
    largest = float(np.abs(found.astype(np.float64) - wanted.astype(np.float64)).max(initial=0.0))
    if not np.isfinite(largest):
        return float("inf"), float("inf")
    return largest, largest / max(float(np.abs(wanted).max(initial=0.0)), 1e-12)


def largest_difference(found: Arrays, wanted: Arrays) -> tuple[float, float]:
    """Return the largest of both numbers of `difference` over outputs by name."""
    pairs = [difference(found[name], value) for name, value in wanted.items()]
    return max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)


def read_reference(artifact: GraphArtifact) -> tuple[dict[str, NDArray[np.generic]], dict[str, NDArray[np.generic]]]:
    """Return the reference input and the scored model's outputs on it, each by name.

    Raises:
        InputError: if the file cannot be read.
    """
    try:
        with np.load(artifact.reference, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{artifact.reference}: cannot read the reference outputs ({error}); export again") from None
    inputs = {name.removeprefix(INPUT_PREFIX): value for name, value in arrays.items() if name.startswith(INPUT_PREFIX)}
    outputs = {
        name.removeprefix(OUTPUT_PREFIX): value for name, value in arrays.items() if name.startswith(OUTPUT_PREFIX)
    }
    return inputs, outputs


def difference_problems(outputs: Arrays, reference: Arrays, name: str, limit: float) -> list[str]:
    """Compare outputs, wherever they were computed, with the scored model's, both by name.

    Args:
        outputs: of the timed graph.
        reference: the scored model's.
        name: how messages call the timed graph.
        limit: largest absolute difference of an output over the reference's largest magnitude.
    """
    problems: list[str] = []
    for output, wanted in reference.items():
        off = difference(outputs[output], wanted)[1] if output in outputs else float("inf")
        if off > limit:
            problems.append(f"{output} of {name} is off by {off:.1e} of its range (limit {limit:.0e})")
    return problems


def output_problems(session: Session, artifact: GraphArtifact, limit: float) -> list[str]:
    """Compare digest and outputs of the timed session itself with those of the scored model.

    The limit is that of `difference_problems`.
    """
    problems: list[str] = []
    digest = graph_digest(artifact.path)
    if digest != artifact.sha256:
        problems.append(f"{artifact.path.name} has sha256 {digest[:12]}, exported was {artifact.sha256[:12]}")
    inputs, reference = read_reference(artifact)
    return problems + difference_problems(session.run(inputs), reference, artifact.path.name, limit)
