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

import onnx

from suite.export.blocked import keep_blocks
from suite.export.graph_editor import fold_constants
from suite.export.winograd import winograd_convolutions

Form = Literal["straightforward", "portable", "onnxruntime"]
SCOPES = "pkg.torch.onnx.name_scopes"
SEPARATOR = "/"
ROOT = "whole"
"""Module of what no submodule computes."""


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

    Args:
        proto: a graph as torch's exporter leaves it, with the scopes in its nodes' metadata. Graphs without them get
            `ROOT` as every node's module.
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


def rewrite(proto: onnx.ModelProto, form: Form) -> None:
    """Bring a graph fresh from torch's exporter into a form, in place.

    Args:
        proto: the model, its nodes' metadata still there.
        form: see above. Sizes that are not fixed leave ``"onnxruntime"`` as ``"portable"``, node by node.
    """
    name_by_module(proto)
    strip_metadata(proto)
    if form != "straightforward":
        fold_constants(proto)
    if form == "onnxruntime":
        winograd_convolutions(proto)
        keep_blocks(proto)
