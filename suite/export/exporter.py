"""The one way from a torch module to an ONNX file, with a parity check before the file gets its name.

A graph has batch size 1 and standard operators of opset 18. Batch normalisation is folded into convolutions.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxscript import opset18 as op
from torch import Tensor, nn

from suite.errors import InputError, reason_of
from suite.export.artifact import ExportReport, largest_difference
from suite.export.rewriting import Form, rewrite
from suite.export.runtime import Arrays, cpu_session
from suite.files import atomic_path

OPSET = 18
SIZE_STEP_PX = 64
RELATIVE_TOLERANCE = 1e-3


class ParityError(InputError):
    """The exported graph does not compute what the module computes."""


@dataclass(frozen=True)
class Part:
    """One graph of a model.

    Attributes:
        name: what files, messages and the graph's metadata call it.
        method: of the module; takes a normalised image (1, 3, H, W) and then the inputs of ``further``, and returns a
            named tuple of tensors, or a tensor where ``outputs`` has one name.
        outputs: names of the outputs, in order; empty takes every field of the named tuple that is not None.
        further: shapes of the inputs after the image, by name.
    """

    name: str
    method: str = "forward"
    outputs: tuple[str, ...] = ()
    further: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def example_inputs(self, height_px: int, width_px: int) -> dict[str, Tensor]:
        """Return the inputs that parity is checked on, N(0, 1) from a fixed seed: an image (1, 3, H, W) first."""
        generator = torch.Generator().manual_seed(0)
        shapes = {"image": (1, 3, height_px, width_px), **self.further}
        return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


class Export(NamedTuple):
    """A fresh graph's report, with the inputs of the parity check and PyTorch's outputs on them, by name."""

    report: ExportReport
    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]


class PartGraph(nn.Module):
    """A part of a module, copied and in evaluation mode, as a module that returns its tensors in order."""

    def __init__(self, module: nn.Module, part: Part) -> None:
        super().__init__()
        self.model = deepcopy(module).eval().requires_grad_(False)
        self.part = part

    def named(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Return the outputs by name, in order.

        Raises:
            InputError: if the method returns neither a named tuple nor the one tensor that the part names.
        """
        found = getattr(self.model, self.part.method)(*inputs)
        if isinstance(found, Tensor) and len(self.part.outputs) == 1:
            return {self.part.outputs[0]: found}
        if not hasattr(found, "_asdict"):
            method = f"{type(self.model).__name__}.{self.part.method}"
            raise InputError(f"{method} returns no named tuple; name its outputs so that it can export")
        values = found._asdict()
        return {name: values[name] for name in self.part.outputs or values if values[name] is not None}

    def example(self, height_px: int, width_px: int) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """Return example inputs and the outputs on them, each by name."""
        inputs = self.part.example_inputs(height_px, width_px)
        with torch.no_grad():
            outputs = self.named(*inputs.values())
        return (
            {name: tensor.numpy() for name, tensor in inputs.items()},
            {name: tensor.numpy() for name, tensor in outputs.items()},
        )

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs for an image (1, 3, H, W) and the part's further inputs."""
        return tuple(self.named(*inputs).values())


def averaging_matrix(count: int, cells: int) -> NDArray[np.float32]:
    """Return the matrix (cells, count) that averages ``count`` values into ``cells`` adaptive windows."""
    matrix: NDArray[np.float32] = nn.functional.adaptive_avg_pool1d(torch.eye(count), cells).T.numpy()
    return matrix


def _adaptive_average_pool(x: Any, output_size: Sequence[int]) -> Any:
    """Translate ``aten._adaptive_avg_pool2d`` of a map with known height and width into two constant matrices.

    TopFormer pools maps to sizes that do not divide theirs when an image side is no multiple of 64. torch's exporter
    writes such a pooling as hundreds of gathers and additions, which would distort every timing. It is linear along
    rows and along columns, so two matrices say the same thing exactly.
    """
    height, width = int(x.shape[2]), int(x.shape[3])
    rows = averaging_matrix(height, int(output_size[0]))
    columns = averaging_matrix(width, int(output_size[1])).T.copy()
    return op.MatMul(
        op.Constant(value=onnx.numpy_helper.from_array(rows)),
        op.MatMul(x, op.Constant(value=onnx.numpy_helper.from_array(columns))),
    )


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.aten._adaptive_avg_pool2d.default: _adaptive_average_pool
}
"""Operators that torch's exporter translates badly: what `torch.onnx.export` takes as ``custom_translation_table``."""


def export_graph(
    name: str,
    module: nn.Module,
    part: Part,
    path: Path,
    size: tuple[int, int],
    form: Form = "portable",
    dynamic: bool = False,
    metadata: Mapping[str, str] | None = None,
    tolerance: float = RELATIVE_TOLERANCE,
) -> Export:
    """Write one part of a module as an ONNX file, at once or not at all.

    Args:
        name: what the graph's metadata and messages call the model.
        module: the module; it is not changed, and exported in evaluation mode whatever mode it is in.
        part: which graph.
        path: the file to write; its folder is made.
        size: (height_px, width_px) of the image.
        form: what is done to the graph for speed; see `suite.export.rewriting`.
        dynamic: leave height and width open, to any multiples of 64.
        metadata: kept in the graph beside ``model``, ``part`` and ``form``.
        tolerance: largest permitted `ExportReport.parity_max_rel`.

    Returns:
        Counts, parity, and the example that parity was checked on. With ``dynamic`` the parity also covers a second
        size.

    Raises:
        InputError: if the options do not go together, the module cannot take that size, or torch cannot export it.
        ParityError: if ONNX Runtime's outputs differ from PyTorch's by more than the tolerance.
    """
    height, width = size
    if form not in get_args(Form):
        raise InputError(f"form is {form!r}, must be one of {', '.join(get_args(Form))}")
    if height < 1 or width < 1:
        raise InputError(f"size is {height}x{width} px, both sides must be positive")
    if dynamic and (height % SIZE_STEP_PX or width % SIZE_STEP_PX):
        raise InputError(
            f"size is {height}x{width} px: a graph of dynamic size takes multiples of {SIZE_STEP_PX} only; "
            "pad to one or export at a fixed size"
        )
    graph = PartGraph(module, part)
    try:
        example = graph.example(height, width)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{name} cannot take {height}x{width} px ({reason_of(error)}); name another --size, such as multiples of 32"
        ) from None
    proto = _translate(name, graph, list(example[1]), size, dynamic)
    rewrite(proto, form)
    onnx.helper.set_model_props(proto, {"model": name, "part": part.name, "form": form, **(metadata or {})})
    onnx.checker.check_model(proto, full_check=True)
    with atomic_path(path) as temporary:
        onnx.save(proto, temporary)
        examples = [example, graph.example(height + SIZE_STEP_PX, 2 * width)] if dynamic else [example]
        max_abs, max_rel = _parity(temporary, examples)
        if not max_rel <= tolerance:
            raise ParityError(
                f"{path}: ONNX Runtime differs from PyTorch by {max_rel:.2e} of the largest output in {part.name}, "
                f"more than {tolerance:.0e}; nothing was written"
            )
    op_counts = dict(Counter(node.op_type for node in proto.graph.node).most_common())
    return Export(ExportReport(OPSET, len(proto.graph.node), max_abs, max_rel, op_counts), *example)


def _translate(
    name: str, graph: PartGraph, outputs: Sequence[str], size: tuple[int, int], dynamic: bool
) -> onnx.ModelProto:
    """Run torch's exporter."""
    options: dict[str, Any] = {}
    height, width = size
    if dynamic:
        # The trace must not see a side of one step: torch would take the 1 for a constant.
        height, width = max(height, 2 * SIZE_STEP_PX), max(width, 2 * SIZE_STEP_PX)
        sides = {
            2: SIZE_STEP_PX * torch.export.Dim("rows", min=1, max=64),
            3: SIZE_STEP_PX * torch.export.Dim("columns", min=1, max=64),
        }
        options["dynamic_shapes"] = ((sides, *(None for _ in graph.part.further)),)
    inputs = graph.part.example_inputs(height, width)
    with silence():
        try:
            program = torch.onnx.export(
                graph,
                tuple(inputs.values()),
                dynamo=True,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                custom_translation_table=TRANSLATIONS,
                verbose=False,
                **options,
            )
        except Exception as error:
            raise InputError(
                f"{name}: torch cannot export {graph.part.name} at {size[0]}x{size[1]} px: {reason_of(error)}"
            ) from error
    assert program is not None
    return program.model_proto


def _parity(path: Path, examples: Sequence[tuple[Arrays, Arrays]]) -> tuple[float, float]:
    """Return the largest absolute and relative differences of ONNX Runtime from PyTorch over all examples."""
    session = cpu_session(path)
    pairs = []
    for inputs, expected in examples:
        found = dict(zip(expected, session.run(list(expected), dict(inputs)), strict=True))
        pairs.append(largest_difference(found, expected))
    return max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)


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
