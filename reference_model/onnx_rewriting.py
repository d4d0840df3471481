"""An exported graph in the form a runtime runs best, with the same outputs.

* ``"straightforward"``: as torch's exporter leaves it (batch norm folded into convolutions, uneven adaptive pooling as
  two constant matrices), with names by module.
* ``"portable"``: the same, with everything that depends on constants only computed once (the sine encoding, the first
  queries' projection, transposed weights) and no node that no output needs. For every runtime, among them those with
  Winograd convolutions and layouts of their own (ncnn, TNN).
* ``"onnxruntime"``: portable, and large 3x3 convolutions as Winograd's filtering, which ONNX Runtime lacks, and
  bilinear enlargements kept in its blocked layout. Needs fixed sizes.

Any model exported by torch can be rewritten, so that every contestant of a comparison gets the same care.
"""

from __future__ import annotations

from typing import Literal

import onnx

from reference_model.onnx_blocked import keep_blocks
from reference_model.onnx_graph import fold_constants
from reference_model.onnx_names import name_by_module, strip_metadata
from reference_model.onnx_winograd import winograd_convolutions

Form = Literal["straightforward", "portable", "onnxruntime"]


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
