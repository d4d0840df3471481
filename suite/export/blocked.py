"""Bilinear enlargements in the layout that ONNX Runtime's convolutions work in.

Its convolutions keep maps in blocks of channels, and a resize between two of them stays in that layout (where it is
several times faster, and the sum behind it becomes part of a convolution) only if its input is in blocks already.
A sum or product with a map that is not (such as one from an uneven resize) brings the whole path back to plain layout.
A depthwise 1x1 convolution with weights 1 in front of the resize is exact, almost free, and keeps the blocks.
"""

from __future__ import annotations

import numpy as np
import onnx

from suite.export.graph_editor import GraphEditor, NodeMaker, attributes

CHANNEL_BLOCK = 16
KEEPS_BLOCKS = ("Relu", "Clip", "Sigmoid", "HardSigmoid", "AveragePool", "MaxPool")


def _enlarges_evenly(node: onnx.NodeProto, editor: GraphEditor) -> bool:
    """Tell whether a node enlarges a map bilinearly by whole factors."""
    if node.op_type != "Resize" or attributes(node).get("mode") != b"linear":
        return False
    before, after = editor.shape(node.input[0]), editor.shape(node.output[0])
    if before is None or after is None or len(before) != 4 or before[1] % CHANNEL_BLOCK:
        return False
    return all(new > old and new % old == 0 for old, new in zip(before[2:], after[2:], strict=True))


def _in_blocks(value: str, editor: GraphEditor) -> bool:
    """Tell whether ONNX Runtime has a value in blocks without help."""
    node = editor.producers.get(value)
    if node is None:
        return False
    if node.op_type == "Conv":
        return True
    if node.op_type in KEEPS_BLOCKS:
        return _in_blocks(node.input[0], editor)
    if node.op_type == "Add":
        return all(_in_blocks(one, editor) for one in node.input)
    # Its input is in blocks by itself, or will be.
    return _enlarges_evenly(node, editor)


def keep_blocks(proto: onnx.ModelProto) -> int:
    """Put an exact 1x1 convolution in front of every even bilinear enlargement that would leave the blocked layout.

    Args:
        proto: a model of fixed sizes, batch norm folded; changed in place.

    Returns:
        How many were put in.
    """
    editor = GraphEditor(proto)
    nodes: list[onnx.NodeProto] = []
    made = 0
    for node in proto.graph.node:
        if _enlarges_evenly(node, editor) and not _in_blocks(node.input[0], editor):
            shape = editor.shape(node.input[0])
            assert shape is not None
            ones = editor.add_constant(f"blocked.ones.{shape[1]}", np.ones((shape[1], 1, 1, 1), np.float32))
            make = NodeMaker(node.name)
            node.input[0] = make("Conv", [node.input[0], ones], "blocked", group=shape[1], kernel_shape=[1, 1])
            nodes += make.nodes
            made += 1
        nodes.append(node)
    if made:
        editor.rebuild(nodes)
    return made
