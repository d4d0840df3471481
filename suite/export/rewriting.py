"""An exported graph in the form a runtime runs best, with the same outputs.

* ``"straightforward"``: as torch's exporter leaves it (batch norm folded into convolutions, uneven adaptive pooling as
  two constant matrices), with names by module.
* ``"portable"``: the same, with everything that depends on constants only computed once (the sine encoding, the first
  queries' projection, transposed weights) and no node that no output needs. For every runtime, among them those with
  Winograd convolutions and layouts of their own (ncnn, TNN).
* ``"onnxruntime"``: portable, and large 3x3 convolutions as Winograd's filtering, which ONNX Runtime lacks, and
  bilinear enlargements kept in its blocked layout. Needs fixed sizes.

Any model exported by torch can be rewritten, so that every contestant of a comparison gets the same care.

Nodes and values are named after the module they come from: profilers of runtimes report node names, and runtimes name
fused nodes after their outputs. So each node is called ``module.path/operator``
(``mask_decoder.first3.1/relu_24``), which leads every measured millisecond back to a module.
"""

from __future__ import annotations

import ast
from typing import Literal

import numpy as np
import onnx

from suite.export.graph_editor import GraphEditor, NodeMaker, attributes, fold_constants
from suite.export.winograd import winograd_convolutions

Form = Literal["straightforward", "portable", "onnxruntime"]
SCOPES = "pkg.torch.onnx.name_scopes"
SEPARATOR = "/"
ROOT = "whole"
"""Module of what no submodule computes."""
CHANNEL_BLOCK = 16
KEEPS_BLOCKS = ("Relu", "Clip", "Sigmoid", "HardSigmoid", "AveragePool", "MaxPool")


def module_of(name: str) -> str:
    """Return the module's path of a node or value named by `name_by_module`; empty for other names."""
    return name.partition(SEPARATOR)[0] if SEPARATOR in name else ""


def _scope(node: onnx.NodeProto) -> str:
    """Return the path of the module that a node was traced in, without the wrapper that was exported."""
    for entry in node.metadata_props:
        if entry.key == SCOPES:
            scopes = [str(scope) for scope in ast.literal_eval(entry.value)][:-1]
            path = next((scope for scope in reversed(scopes) if scope), "")
            return path.partition(".")[2] or ROOT
    return ROOT


def name_by_module(proto: onnx.ModelProto) -> None:
    """Rename nodes and inner values by module, in place; inputs, outputs and weights keep their names.

    The scopes are those that torch's exporter leaves in the nodes' metadata; a node without one belongs to `ROOT`.
    """
    fixed = {value.name for value in (*proto.graph.input, *proto.graph.output)}
    renamed: dict[str, str] = {}
    taken: set[str] = set()
    for node in proto.graph.node:
        module = _scope(node)
        for output in node.output:
            if output and output not in fixed:
                renamed[output] = f"{module}{SEPARATOR}{output.rpartition(SEPARATOR)[2]}"
        first = renamed.get(node.output[0], node.output[0])
        name = f"{module}{SEPARATOR}{first.rpartition(SEPARATOR)[2]}"
        while name in taken:
            name += "_"
        taken.add(name)
        node.name = name
    for node in proto.graph.node:
        for values in (node.input, node.output):
            values[:] = [renamed.get(value, value) for value in values]
    for info in proto.graph.value_info:
        info.name = renamed.get(info.name, info.name)


def strip_metadata(proto: onnx.ModelProto) -> None:
    """Remove stack traces and module scopes, full of local paths, in place."""
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        del value.metadata_props[:]
    del proto.graph.metadata_props[:]
    del proto.metadata_props[:]


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

    ONNX Runtime's convolutions keep maps in blocks of channels, and a resize between two of them stays in that layout
    (where it is several times faster, and the sum behind it becomes part of a convolution) only if its input is in
    blocks already. A sum or product with a map that is not (such as one from an uneven resize) brings the whole path
    back to plain layout. A depthwise 1x1 convolution with weights 1 in front of the resize is almost free and keeps the
    blocks.

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


def rewrite(proto: onnx.ModelProto, form: Form) -> None:
    """Bring a graph fresh from torch's exporter, its nodes' metadata still there, into a form, in place.

    Sizes that are not fixed leave ``"onnxruntime"`` as ``"portable"``, node by node.
    """
    name_by_module(proto)
    strip_metadata(proto)
    if form != "straightforward":
        fold_constants(proto)
    if form == "onnxruntime":
        winograd_convolutions(proto)
        keep_blocks(proto)
