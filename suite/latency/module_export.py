"""Any module that maps an image to named outputs, as an ONNX graph, with a parity check before the file gets its name.

The reference model has its own exporter (`reference_model.export`); this one gives prior art the same care: constants
and batch normalisation folded, uneven adaptive pooling as two constant matrices, the checker's word, and the numbers of
ONNX Runtime against PyTorch's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import cast

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from reference_model.export import ExportReport, silence
from reference_model.onnx_rewriting import Form, rewrite
from suite.errors import InputError
from suite.files import atomic_path
from suite.models.parts.onnx_forms import TRANSLATIONS

OPSET = 18
PARITY_LIMIT = 1e-3


class MethodGraph(nn.Module):
    """A method of a module that returns a named tuple, as a module that returns its tensors in order.

    Args:
        module: the module; copied, in evaluation mode.
        method: ``forward``, or another method that takes an image.
    """

    def __init__(self, module: nn.Module, method: str = "forward") -> None:
        super().__init__()
        self.module = deepcopy(module).eval().requires_grad_(False)
        self.method = method

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the method's tensors for an image (1, 3, H, W); an output that is None is left out."""
        outputs: tuple[Tensor, ...] = getattr(self.module, self.method)(image)
        return tuple(output for output in outputs if output is not None)

    def output_names(self, height_px: int, width_px: int) -> list[str]:
        """Return the names of the outputs, found by tracing shapes alone.

        Raises:
            InputError: if the method does not return a named tuple.
        """
        shadow = deepcopy(self.module).to("meta")
        outputs = getattr(shadow, self.method)(torch.zeros(1, 3, height_px, width_px, device="meta"))
        if not hasattr(outputs, "_fields"):
            raise InputError(
                f"{type(shadow).__name__}.{self.method} returns no named tuple; name its outputs so that it can export"
            )
        return [name for name, value in zip(outputs._fields, outputs, strict=True) if value is not None]


def example_image(height_px: int, width_px: int) -> Tensor:
    """Return the image (1, 3, H, W) that parity is checked on, N(0, 1)."""
    return torch.randn(1, 3, height_px, width_px, generator=torch.Generator().manual_seed(0))


def _parity(path: Path, image: Tensor, names: Sequence[str], expected: Sequence[Tensor]) -> tuple[float, float]:
    """Return the largest absolute and relative difference of ONNX Runtime from PyTorch over all outputs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    max_abs = max_rel = 0.0
    for name, ours, theirs in zip(names, session.run(list(names), {"image": image.numpy()}), expected, strict=True):
        if ours.shape != tuple(theirs.shape):
            raise InputError(f"{path.name}: output {name} has shape {ours.shape}, in PyTorch {tuple(theirs.shape)}")
        difference = float(np.abs(ours - theirs.numpy()).max())
        max_abs = max(max_abs, difference)
        max_rel = max(max_rel, difference / max(float(theirs.abs().max()), 1e-12))
    return max_abs, max_rel


def export_module(
    name: str, module: nn.Module, method: str, path: Path, height_px: int, width_px: int, form: str = "portable"
) -> tuple[ExportReport, dict[str, Tensor]]:
    """Write one method of a module as an ONNX file of fixed size, at once or not at all.

    Args:
        name: what the file and its messages call the model.
        module: maps a normalised image (1, 3, H, W) to a named tuple of tensors; it is not changed.
        method: ``forward``, or another method of the same kind.
        path: the file to write; its folder is made.
        height_px: image height.
        width_px: image width.
        form: of `reference_model.onnx_rewriting`.

    Returns:
        The exporter's report, and PyTorch's outputs on `example_image` by name.

    Raises:
        InputError: if the module cannot take that size, torch cannot export it, or ONNX Runtime's outputs differ from
            PyTorch's by more than `PARITY_LIMIT` of their largest magnitude.
    """
    graph = MethodGraph(module, method)
    image = example_image(height_px, width_px)
    try:
        names = graph.output_names(height_px, width_px)
        with torch.no_grad():
            expected = graph(image)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{name} cannot take {height_px}x{width_px} px ({reason}); name another --size, such as multiples of 32"
        ) from None
    with silence():
        try:
            program = torch.onnx.export(
                graph,
                (image,),
                dynamo=True,
                opset_version=OPSET,
                input_names=["image"],
                output_names=names,
                custom_translation_table=TRANSLATIONS,
                verbose=False,
            )
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{name}: torch cannot export {method} at {height_px}x{width_px} px: {reason}") from None
    assert program is not None
    proto = program.model_proto
    rewrite(proto, cast(Form, form))
    onnx.helper.set_model_props(proto, {"model": name, "part": method, "form": form})
    onnx.checker.check_model(proto, full_check=True)
    with atomic_path(path) as temporary:
        onnx.save(proto, temporary)
        max_abs, max_rel = _parity(temporary, image, names, expected)
        if not max_rel <= PARITY_LIMIT:
            raise InputError(
                f"{name}: ONNX Runtime differs from PyTorch by {max_rel:.1e} of the largest output in {method}, more "
                f"than {PARITY_LIMIT:.0e}; nothing was written"
            )
    counts = dict(Counter(node.op_type for node in proto.graph.node).most_common())
    report = ExportReport(OPSET, len(proto.graph.node), max_abs, max_rel, counts)
    return report, dict(zip(names, expected, strict=True))
