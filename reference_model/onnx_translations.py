"""Operators that torch's ONNX exporter translates badly, translated here.

TopFormer pools maps to sizes that do not divide theirs when an image side is no multiple of 64. The exporter writes
such an adaptive average pooling as hundreds of gathers and additions, which would distort every timing. It is linear
along rows and along columns, so two constant matrices say the same thing exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxscript import opset18 as op


def averaging_matrix(count: int, cells: int) -> NDArray[np.float32]:
    """Return the matrix (cells, count) that averages ``count`` values into ``cells`` adaptive windows.

    Window i reaches from floor(i * count / cells) to ceil((i + 1) * count / cells), as in PyTorch.
    """
    matrix = np.zeros((cells, count), np.float32)
    for cell in range(cells):
        start, stop = cell * count // cells, -(-(cell + 1) * count // cells)
        matrix[cell, start:stop] = 1 / (stop - start)
    return matrix


def adaptive_average_pool(x: Any, output_size: Sequence[int]) -> Any:
    """Translate ``aten._adaptive_avg_pool2d`` of a map with known height and width."""
    height, width = int(x.shape[2]), int(x.shape[3])
    rows = averaging_matrix(height, int(output_size[0]))
    columns = averaging_matrix(width, int(output_size[1])).T.copy()
    return op.MatMul(
        op.Constant(value=onnx.numpy_helper.from_array(rows)),
        op.MatMul(x, op.Constant(value=onnx.numpy_helper.from_array(columns))),
    )


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.aten._adaptive_avg_pool2d.default: adaptive_average_pool
}
"""What `torch.onnx.export` takes as ``custom_translation_table``."""
