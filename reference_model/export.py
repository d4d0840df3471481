"""ONNX graphs of a model, with a parity check against PyTorch before the file gets its name.

Three parts can be exported, all with batch size 1 and standard operators of opset 18:

* ``"whole"``: an image to classes, objectness, kernels, mask features and masks.
* ``"key_frame"``: the same graph under the name it has in video, where its kernels are kept for the next frames.
* ``"frame"``: an image and kept kernels to masks; the instance decoder is not in this graph.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reference_model.config import config_to_dict
from reference_model.mobileinst import MobileInst
from reference_model.onnx_rewriting import Form, rewrite
from reference_model.onnx_translations import TRANSLATIONS

Part = Literal["whole", "key_frame", "frame"]
OPSET = 18
SIZE_STEP_PX = 64
RELATIVE_TOLERANCE = 1e-3
WHOLE_OUTPUTS = ("class_logits", "objectness_logits", "kernels", "mask_features", "mask_logits")
INPUTS: dict[str, tuple[str, ...]] = {"whole": ("image",), "key_frame": ("image",), "frame": ("image", "kernels")}
OUTPUTS: dict[str, tuple[str, ...]] = {"whole": WHOLE_OUTPUTS, "key_frame": WHOLE_OUTPUTS, "frame": ("mask_logits",)}


class ExportError(ValueError):
    """An export that cannot be made as asked; the message is one line."""


class ParityError(ExportError):
    """The exported graph does not compute what the model computes."""


@dataclass(frozen=True)
class ExportReport:
    """What was exported and how closely it follows the model.

    Args:
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


class WholeGraph(nn.Module):
    """Image to the five outputs of the whole network."""

    def __init__(self, model: MobileInst) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return `WHOLE_OUTPUTS` for an image (1, 3, H, W)."""
        output = self.model(image)
        return tuple(getattr(output, name) for name in WHOLE_OUTPUTS)


class FrameGraph(nn.Module):
    """Image and kept kernels to masks."""

    def __init__(self, model: MobileInst) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, kernels: Tensor) -> tuple[Tensor, ...]:
        """Return the mask logits of kernels (1, N, kernel_dim) on an image (1, 3, H, W)."""
        return (self.model.masks(kernels, self.model.encode(image).mask_features),)


def export_onnx(
    model: MobileInst,
    path: Path,
    height: int,
    width: int,
    part: Part = "whole",
    dynamic: bool = False,
    tolerance: float = RELATIVE_TOLERANCE,
    form: Form = "portable",
) -> ExportReport:
    """Write one part of a model as an ONNX file, at once or not at all.

    Args:
        model: the model; it is not changed, and exported in evaluation mode whatever mode it is in.
        path: the file to write; its folder is made.
        height: image height in pixels.
        width: image width in pixels.
        part: which graph.
        dynamic: leave height and width open, to any multiples of 64.
        tolerance: largest permitted `ExportReport.parity_max_rel`.
        form: what is done to the graph for speed; see `reference_model.onnx_rewriting`.

    Returns:
        Counts and parity. With ``dynamic`` the parity also covers a second size.

    Raises:
        ExportError: if the options do not go together or the exporter fails.
        ParityError: if ONNX Runtime's outputs differ from PyTorch's by more than the tolerance.
    """
    if part not in get_args(Part):
        raise ExportError(f"part is {part!r}, must be one of {', '.join(get_args(Part))}")
    if form not in get_args(Form):
        raise ExportError(f"form is {form!r}, must be one of {', '.join(get_args(Form))}")
    if height < 1 or width < 1:
        raise ExportError(f"size is {height}x{width} px, both sides must be positive")
    if dynamic and (height % SIZE_STEP_PX or width % SIZE_STEP_PX):
        raise ExportError(
            f"size is {height}x{width} px: a graph of dynamic size takes multiples of {SIZE_STEP_PX} only; "
            "pad to one or export at a fixed size"
        )
    frozen = deepcopy(model).eval().requires_grad_(False)
    graph = FrameGraph(frozen) if part == "frame" else WholeGraph(frozen)
    proto = _translate(graph, frozen, height, width, part, dynamic, form)
    onnx.checker.check_model(proto, full_check=True)
    sizes = [(height, width)] + ([(height + SIZE_STEP_PX, 2 * width)] if dynamic else [])
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        onnx.save(proto, temporary)
        max_abs, max_rel = _parity(graph, frozen, temporary, part, sizes)
        if not max_rel <= tolerance:
            raise ParityError(
                f"{path}: ONNX Runtime differs from PyTorch by {max_rel:.2e} of the largest output, "
                f"more than {tolerance:.0e}; nothing was written"
            )
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    op_counts = dict(Counter(node.op_type for node in proto.graph.node).most_common())
    return ExportReport(OPSET, len(proto.graph.node), max_abs, max_rel, op_counts)


def example_inputs(model: MobileInst, part: Part, height: int, width: int) -> tuple[Tensor, ...]:
    """Return the inputs that parity is checked on: an image (1, 3, H, W) and for ``"frame"`` kernels, both N(0, 1)."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, height, width, generator=generator)
    if part != "frame":
        return (image,)
    config = model.config
    return image, torch.randn(1, config.num_queries, config.kernel_dim, generator=generator)


def _translate(
    graph: nn.Module, model: MobileInst, height: int, width: int, part: Part, dynamic: bool, form: Form
) -> onnx.ModelProto:
    """Run torch's exporter and bring what it gives into a form, without what it leaves of this machine."""
    options: dict[str, Any] = {}
    if dynamic:
        # The trace must not see a side of one step: torch would take the 1 for a constant.
        height, width = max(height, 2 * SIZE_STEP_PX), max(width, 2 * SIZE_STEP_PX)
        sides = {
            2: SIZE_STEP_PX * torch.export.Dim("rows", min=1, max=64),
            3: SIZE_STEP_PX * torch.export.Dim("columns", min=1, max=64),
        }
        options["dynamic_shapes"] = (sides, None) if part == "frame" else (sides,)
    with silence():
        try:
            program = torch.onnx.export(
                graph,
                example_inputs(model, part, height, width),
                dynamo=True,
                opset_version=OPSET,
                input_names=list(INPUTS[part]),
                output_names=list(OUTPUTS[part]),
                custom_translation_table=TRANSLATIONS,
                verbose=False,
                **options,
            )
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise ExportError(f"torch cannot export {model.config.name} at {height}x{width} px: {reason}") from error
        assert program is not None
        proto = program.model_proto
    rewrite(proto, form)
    config = json.dumps(config_to_dict(model.config), sort_keys=True)
    onnx.helper.set_model_props(proto, {"model": model.config.name, "part": part, "form": form, "config": config})
    return proto


def _parity(
    graph: nn.Module, model: MobileInst, path: Path, part: Part, sizes: list[tuple[int, int]]
) -> tuple[float, float]:
    """Return the largest absolute and relative differences of ONNX Runtime from PyTorch over all outputs and sizes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    max_abs = max_rel = 0.0
    for height, width in sizes:
        inputs = example_inputs(model, part, height, width)
        with torch.no_grad():
            expected = [output.numpy() for output in graph(*inputs)]
        feeds = {name: tensor.numpy() for name, tensor in zip(INPUTS[part], inputs, strict=True)}
        found: list[NDArray[np.float32]] = session.run(list(OUTPUTS[part]), feeds)
        for name, ours, theirs in zip(OUTPUTS[part], found, expected, strict=True):
            if ours.shape != theirs.shape:
                raise ParityError(f"output {name} has shape {ours.shape} in ONNX Runtime, {theirs.shape} in PyTorch")
            difference = float(np.abs(ours - theirs).max())
            max_abs = max(max_abs, difference)
            max_rel = max(max_rel, difference / max(float(np.abs(theirs).max()), 1e-12))
    return max_abs, max_rel


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Keep the exporter's remarks (missing torchvision, skipped foldings) off standard output and error."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
