"""Comparisons and choices of the highest scores, spelled in the sums, products and clamps that every engine has.

ncnn has no comparisons, no arg max, no top-k and no gather by computed indices, on which Mask2Former and FastInst rest.
Each is replaced by arithmetic with the same result where numbers that are compared are equal or differ by more than
1e-9: a comparison by a steep ramp, a rank by the number of higher scores, a gather by a product with ones and zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import onnx

from suite.export.graph_editor import GraphEditor, NodeMaker, alive, attributes

FLOAT = onnx.TensorProto.FLOAT
STEEPNESS = 3e4
"""Applied twice, so that the product of a difference with it stays finite in half precision."""


class _Spelling(NodeMaker):
    """Makes the nodes that replace one node of a graph, and the constants they read."""

    def __init__(self, node: onnx.NodeProto, editor: GraphEditor) -> None:
        super().__init__(node.name or node.output[0])
        self.editor = editor

    def number(self, value: float) -> str:
        return self.editor.add_constant(f"elementary.number.{value:g}", np.array(value, np.float32))

    def integers(self, values: Sequence[int]) -> str:
        return self.editor.add_constant(f"elementary.sides.{'x'.join(map(str, values))}", np.array(values, np.int64))

    def reshape(self, value: str, shape: Sequence[int], suffix: str, output: str = "") -> str:
        return self("Reshape", [value, self.integers(shape)], suffix, output)

    def clamp(self, value: str, suffix: str, output: str = "") -> str:
        return self("Clip", [value, self.number(0), self.number(1)], suffix, output)

    def opposite(self, flag: str, suffix: str, output: str = "") -> str:
        return self("Sub", [self.number(1), flag], suffix, output)

    def above(self, left: str, right: str, suffix: str, output: str = "") -> str:
        """1 where left > right, else 0."""
        value = self("Sub", [left, right], f"{suffix}.difference")
        for turn in (1, 2):
            value = self("Mul", [value, self.number(STEEPNESS)], f"{suffix}.steep{turn}")
        return self.clamp(value, suffix, output)

    def row_sums(self, rows: str, width: int, suffix: str) -> str:
        """(..., N, width) to (..., N, 1); pnnx loses the axes of a sum."""
        ones = self.editor.add_constant(f"elementary.ones.{width}", np.ones((width, 1), np.float32))
        return self("MatMul", [rows, ones], suffix)

    def chosen_rows(self, scores: str, count: int) -> str:
        """(1, count, N) of ones and zeros that picks the ``count`` highest of N scores, in the order of their places.

        Where a tie of scores leaves more than ``count``, the first ones are taken.
        """
        (places,) = self.editor.shape(scores) or (0,)
        row, column = (self.reshape(scores, shape, f"of_{shape[0]}") for shape in ((1, places), (places, 1)))
        rank = self.row_sums(self.above(row, column, "higher"), places, "rank")
        left = self("Sub", [self.number(count), rank], "left")
        chosen = self.clamp(left, "chosen")
        # Running number of the chosen, counted within short rows and then over the rows before.
        width = next(side for side in range(math.isqrt(places), 0, -1) if places % side == 0)
        rows = places // width
        grid = self.reshape(chosen, (rows, width), "grid")
        upto = self.editor.add_constant(f"elementary.upto.{width}", np.triu(np.ones((width, width), np.float32)))
        before = self.editor.add_constant(f"elementary.before.{rows}", np.tril(np.ones((rows, rows), np.float32), -1))
        earlier = self("MatMul", [before, self.row_sums(grid, width, "in_row")], "earlier")
        numbers = self("Add", [self("MatMul", [grid, upto], "within"), earlier], "numbers")
        wanted = self.editor.add_constant(
            f"elementary.first.{count}", np.arange(1, count + 1, dtype=np.float32)[:, None]
        )
        distance = self("Abs", [self("Sub", [self.reshape(numbers, (1, places), "line"), wanted], "off")], "distance")
        fits = self.clamp(self.opposite(distance, "near"), "fits")
        picks = self("Mul", [fits, self.reshape(chosen, (1, places), "chosen_row")], "picks")
        return self.reshape(picks, (1, count, places), "matrix")


def _axes(node: onnx.NodeProto, editor: GraphEditor) -> list[int] | None:
    """Return the constant axes of a reduction, an attribute or an input; None where they are neither."""
    given = attributes(node).get("axes")
    found = given if given is not None or len(node.input) < 2 else editor.constant(node.input[1])
    return None if found is None else [int(axis) for axis in found]


class _Speller:
    """Finds what can be spelled, node by node in the graph's order; each method returns whether it replaced a node."""

    def __init__(self, editor: GraphEditor) -> None:
        self.editor = editor
        self.flags: set[str] = set()
        self.largest: dict[str, str] = {}
        self.matrices: dict[str, str] = {}

    def comparison(self, node: onnx.NodeProto, make: _Spelling) -> bool:
        """``Less`` or ``GreaterOrEqual``, cast to fp32."""
        source = self.editor.producers.get(node.input[0])
        if source is None or attributes(node)["to"] != FLOAT or source.op_type not in ("Less", "GreaterOrEqual"):
            return False
        left, right = source.input
        if source.op_type == "Less":
            make.above(right, left, "above", node.output[0])
        else:
            make.opposite(make.above(right, left, "above"), "not_above", node.output[0])
        self.flags.add(node.output[0])
        return True

    def all_set(self, node: onnx.NodeProto, make: _Spelling) -> bool:
        """The minimum of flags along the last axis."""
        shape = self.editor.shape(node.input[0])
        if node.input[0] not in self.flags or shape is None or not attributes(node).get("keepdims", 1):
            return False
        if _axes(node, self.editor) not in ([-1], [len(shape) - 1]):
            return False
        unset = make.row_sums(make.opposite(node.input[0], "unset"), shape[-1], "how_many")
        make.opposite(make.clamp(unset, "any"), "all", node.output[0])
        return True

    def channel_maximum(self, node: onnx.NodeProto, make: _Spelling) -> bool:
        """The maximum over the channels of one image."""
        shape, kept = self.editor.shape(node.input[0]) or (), attributes(node).get("keepdims", 1)
        if len(shape) != 4 or shape[0] != 1 or not kept or _axes(node, self.editor) != [1]:
            return False
        _, channels, height, width = shape
        flat = make.reshape(node.input[0], (1, 1, channels, height * width), "flat")
        top = make("MaxPool", [flat], "top", kernel_shape=[channels, 1])
        self.largest[node.input[0]] = make.reshape(top, (1, 1, height, width), "map", node.output[0])
        return True

    def at_maximum(self, node: onnx.NodeProto, make: _Spelling) -> bool:
        """The value of a map at the channel that is the most probable one in another."""
        index, shape = self.editor.producers.get(node.input[1]), self.editor.shape(node.input[0])
        if index is None or index.op_type != "ArgMax" or attributes(node).get("axis", 0) != 1 or shape is None:
            return False
        of, given = index.input[0], attributes(index)
        if of not in self.largest or given.get("axis", 0) != 1 or not given.get("keepdims", 1):
            return False
        if self.editor.shape(of) != shape or not self._are_probabilities(of):
            return False
        _, channels, height, width = shape
        is_top = make.opposite(make.above(self.largest[of], of, "below"), "is_top")
        rows = make.reshape(make("Mul", [is_top, node.input[0]], "at_top"), (channels, height * width), "rows")
        sums = make.row_sums(make("Transpose", [rows], "places", perm=[1, 0]), channels, "sums")
        make.reshape(sums, (1, 1, height, width), "map", node.output[0])
        return True

    def _are_probabilities(self, value: str) -> bool:
        """Tell whether values come from a softmax, so that two of them are hardly ever the same."""
        source = self.editor.producers.get(value)
        return source is not None and (
            source.op_type == "Softmax" or (source.op_type == "Slice" and self._are_probabilities(source.input[0]))
        )

    def choice(self, node: onnx.NodeProto, make: _Spelling) -> bool:
        """The places of the highest scores of a vector, where they are only read by a ``TopK`` that sorts them."""
        shape, count = self.editor.shape(node.input[0]), self.editor.constant(node.input[-1])
        sorts = self.editor.only_reader(node.output[1])
        if shape is None or len(shape) != 1 or count is None or node.output[0] in self.editor.readers:
            return False
        if not attributes(node).get("largest", 1) or sorts is None or sorts.op_type != "TopK":
            return False
        taken = self.editor.constant(sorts.input[1])
        if attributes(sorts).get("largest", 1) or taken is None or taken.item() != count.item():
            return False
        self.matrices[sorts.output[0]] = make.chosen_rows(node.input[0], int(count.item()))
        return True

    def flat_places(self, node: onnx.NodeProto, make: _Spelling) -> bool:
        """Chosen places in another shape are the same ones; the node goes when nothing reads it any more."""
        if node.input[0] in self.matrices and len(self.editor.shape(node.output[0]) or ()) == 1:
            self.matrices[node.output[0]] = self.matrices[node.input[0]]
        return False

    def gathered(self, node: onnx.NodeProto, make: _Spelling) -> bool:
        """The tokens (1, N, C) at the chosen places."""
        matrix, shape = self.matrices.get(node.input[1]), self.editor.shape(node.input[0])
        if matrix is None or attributes(node).get("axis", 0) != 1 or shape is None or len(shape) != 3 or shape[0] != 1:
            return False
        make("MatMul", [matrix, node.input[0]], "picked", node.output[0])
        return True


def spell_elementary(proto: onnx.ModelProto) -> bool:
    """Replace comparisons, maxima over channels with their places, and gathers of the highest scores, in place.

    What `_Speller` does not know in just this form stays as it is, and so does what else reads a replaced value.

    Args:
        proto: a model of fixed sizes.

    Returns:
        Whether anything was replaced.
    """
    editor = GraphEditor(proto)
    speller, nodes, replaced = _Speller(editor), list[onnx.NodeProto](), False
    known: dict[str, Callable[[onnx.NodeProto, _Spelling], bool]] = {
        "Cast": speller.comparison,
        "ReduceMin": speller.all_set,
        "ReduceMax": speller.channel_maximum,
        "GatherElements": speller.at_maximum,
        "TopK": speller.choice,
        "Reshape": speller.flat_places,
        "Gather": speller.gathered,
    }
    for node in proto.graph.node:
        make = _Spelling(node, editor)
        done = node.op_type in known and known[node.op_type](node, make)
        # A choice stays beside its matrix until nothing reads it.
        nodes += [*make.nodes, *[node] * (not done or node.op_type == "TopK")]
        replaced |= done
    editor.rebuild(alive(nodes, editor.outputs))
    return replaced
