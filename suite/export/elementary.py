"""Comparisons and choices of the highest scores, spelled in the sums, products and clamps that every engine has.

ncnn has no comparisons, no arg max, no top-k and no gather by computed indices, on which Mask2Former and FastInst rest.
Each is replaced by arithmetic with the same result on numbers that differ by more than a rounding: a comparison by a
steep ramp, a rank by the number of higher scores, a gather by a product with a matrix of ones and zeros.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx

from suite.export.graph_editor import GraphEditor, NodeMaker, alive, attributes

COMPARISONS = ("Less", "GreaterOrEqual")
STEEPNESS = 3e4
"""Applied twice, so that the product of a difference with it stays finite in half precision."""


class _Spelling(NodeMaker):
    """Makes the nodes that replace one node of a graph, and the constants they read."""

    def __init__(self, node: onnx.NodeProto, editor: GraphEditor) -> None:
        super().__init__(node.name)
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


def spell_elementary(proto: onnx.ModelProto) -> bool:
    """Replace comparisons, maxima over channels with their places, and gathers of the highest scores, in place.

    Replaced are: a comparison that is cast to numbers; the minimum of such numbers along the last axis; ``ReduceMax``
    over the channels of one image, and ``GatherElements`` at the ``ArgMax`` of the same map; ``Gather`` along axis 1 at
    the indices of a ``TopK`` of a vector, sorted or not. Everything else stays as it is.

    Args:
        proto: a model of fixed sizes.

    Returns:
        Whether anything was replaced.
    """
    editor = GraphEditor(proto)
    nodes: list[onnx.NodeProto] = []
    flags: set[str] = set()
    matrices: dict[str, str] = {}
    largest: dict[str, str] = {}
    for node in proto.graph.node:
        make = _Spelling(node, editor)
        source = editor.producers.get(node.input[0]) if node.input else None
        shape = editor.shape(node.input[0]) if node.input else None
        last = node.output[0]
        if node.op_type == "Cast" and source is not None and source.op_type in COMPARISONS:
            left, right = source.input
            if source.op_type == "Less":
                make.above(right, left, "above", last)
            else:
                make.opposite(make.above(right, left, "above"), "not_above", last)
            flags.add(last)
        elif node.op_type == "ReduceMin" and node.input[0] in flags and shape is not None:
            unset = make.row_sums(make.opposite(node.input[0], "unset"), shape[-1], "how_many")
            make.opposite(make.clamp(unset, "any"), "all", last)
        elif node.op_type == "ReduceMax" and shape is not None and len(shape) == 4 and shape[0] == 1:
            channels, height, width = shape[1:]
            flat = make.reshape(node.input[0], (1, 1, channels, height * width), "flat")
            top = make("MaxPool", [flat], "top", kernel_shape=[channels, 1])
            largest[node.input[0]] = make.reshape(top, (1, 1, height, width), "map", last)
        elif node.op_type == "GatherElements" and (found := editor.producers.get(node.input[1])) is not None:
            channels, height, width = (editor.shape(found.input[0]) or ())[1:]
            below = make.above(largest[found.input[0]], found.input[0], "below")
            at_top = make("Mul", [make.opposite(below, "is_top"), node.input[0]], "at_top")
            lines = make(
                "Transpose", [make.reshape(at_top, (channels, height * width), "lines")], "places", perm=[1, 0]
            )
            make.reshape(make.row_sums(lines, channels, "sums"), (1, 1, height, width), "map", last)
        elif node.op_type == "TopK" and source is not None and source.op_type == "TopK":
            matrices[last] = matrices[node.output[1]] = matrices[source.output[1]]
            continue
        elif node.op_type == "TopK" and shape is not None and len(shape) == 1:
            count = editor.constant(node.input[1])
            assert count is not None
            matrices[node.output[1]] = make.chosen_rows(node.input[0], int(count.item()))
        elif node.op_type == "Reshape" and node.input[0] in matrices:
            matrices[last] = matrices[node.input[0]]
            continue
        elif node.op_type == "Gather" and node.input[1] in matrices and attributes(node).get("axis", 0) == 1:
            make("MatMul", [matrices[node.input[1]], node.input[0]], "picked", last)
        else:
            make.nodes = [node]
        nodes += make.nodes
    replaced = len(nodes) != len(proto.graph.node)
    editor.rebuild(alive(nodes, editor.outputs))
    return replaced
