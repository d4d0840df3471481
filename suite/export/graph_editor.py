"""A graph under rewriting: who makes and who reads each value, shapes, constants, and new nodes in their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

Array = NDArray[Any]


class GraphEditor:
    """Looks things up in a graph and rebuilds it node by node; the graph is changed by `rebuild` only.

    Shapes are inferred once, so the looked-up facts are those at construction.
    """

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.proto = proto
        self.producers = {output: node for node in proto.graph.node for output in node.output if output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in proto.graph.node:
            for value in node.input:
                if value:
                    self.readers.setdefault(value, []).append(node)
        self.outputs = {value.name for value in proto.graph.output}
        self._constants = {item.name: item for item in proto.graph.initializer}
        inferred = onnx.shape_inference.infer_shapes(proto).graph
        self._shapes = {
            value.name: tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim)
            for value in (*inferred.value_info, *inferred.input, *inferred.output)
        }

    def constant(self, value: str) -> Array | None:
        """Return a constant's content, or None where a value is none."""
        item = self._constants.get(value)
        return None if item is None else onnx.numpy_helper.to_array(item)

    def shape(self, value: str) -> tuple[int, ...] | None:
        """Return a value's shape, or None where it is not wholly known."""
        if value in self._constants:
            return tuple(self._constants[value].dims)
        found = self._shapes.get(value)
        return found if found and all(found) else None

    def only_reader(self, value: str) -> onnx.NodeProto | None:
        """Return the one node that reads a value, or None if there are others or the graph returns it."""
        found = self.readers.get(value, [])
        return found[0] if len(found) == 1 and value not in self.outputs else None

    def add_constant(self, name: str, content: Array) -> str:
        """Put a constant into the graph under a name of its own, once, and return the name."""
        if name not in self._constants:
            item = onnx.numpy_helper.from_array(np.ascontiguousarray(content), name)
            self.proto.graph.initializer.append(item)
            self._constants[name] = item
        return name

    def rebuild(self, nodes: Sequence[onnx.NodeProto]) -> None:
        """Make these the graph's nodes, in order, and drop constants and shapes that nothing names any more."""
        graph = self.proto.graph
        kept = list(nodes)
        del graph.node[:]
        graph.node.extend(kept)
        read = {value for node in kept for value in node.input} | self.outputs
        made = {value for node in kept for value in node.output}
        constants = [item for item in graph.initializer if item.name in read]
        del graph.initializer[:]
        graph.initializer.extend(constants)
        shapes = [value for value in graph.value_info if value.name in made]
        del graph.value_info[:]
        graph.value_info.extend(shapes)


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return a node's attributes by name."""
    return {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}


class NodeMaker:
    """Makes the nodes that replace one node, named after its module: ``base`` is its name, ``module/operator``."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.nodes: list[onnx.NodeProto] = []

    def __call__(self, kind: str, inputs: Sequence[str], suffix: str, output: str = "", **options: Any) -> str:
        """Add a node and return its output's name: ``output``, or the base and the suffix."""
        name = f"{self.base}.{suffix}"
        self.nodes.append(onnx.helper.make_node(kind, list(inputs), [output or name], name=name, **options))
        return output or name


def fold_constants(proto: onnx.ModelProto, largest_bytes: int = 1 << 24) -> None:
    """Compute every node that depends on constants only, in place, and drop what nothing reads.

    Results above ``largest_bytes`` stay nodes, so that the file does not grow.
    """
    from onnx.reference import ReferenceEvaluator

    editor = GraphEditor(proto)
    opsets = {item.domain: item.version for item in proto.opset_import}
    kept = []
    for node in proto.graph.node:
        feeds = {value: editor.constant(value) for value in node.input if value}
        known = {name: content for name, content in feeds.items() if content is not None}
        if not feeds or len(known) != len(feeds) or any(output in editor.outputs for output in node.output):
            kept.append(node)
            continue
        if node.op_type == "Resize":
            # onnx 1.23's evaluator gets an axis wrong whose size stays; a runtime folds it at loading, and right.
            kept.append(node)
            continue
        try:
            results = [np.asarray(item) for item in ReferenceEvaluator(node, opsets=opsets).run(None, known)]
        except Exception:  # whatever the evaluator cannot do stays a node
            kept.append(node)
            continue
        if sum(result.nbytes for result in results) > largest_bytes:
            kept.append(node)
            continue
        for output, result in zip(node.output, results, strict=True):
            if output:
                editor.add_constant(output, result)
    editor.rebuild(alive(kept, editor.outputs))


def alive(nodes: Sequence[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs depend on, in order."""
    wanted = set(outputs)
    alive = []
    for node in reversed(nodes):
        if any(output in wanted for output in node.output):
            wanted.update(value for value in node.input if value)
            alive.append(node)
    return alive[::-1]
