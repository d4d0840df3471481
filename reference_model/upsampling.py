"""Mask logits at a quarter of the input -> binary masks at the picture's own size, touching only where a mask can be.

A mask is upsampled bilinearly to the padded input, cropped to the picture, and resized bilinearly to its original
size, as in SparseInst, except that logits are interpolated instead of probabilities: then no sigmoid is needed at full
size and a probability threshold p becomes the logit threshold log(p / (1 - p)). Both interpolations together are one
matrix a row axis and one a column axis. An interpolated value is a weighted mean of its neighbours, so it can exceed
the threshold only beside a cell that does: only the box of such cells is computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reference_model.preprocess import Geometry
from reference_model.targets import MASK_STRIDE


class BoxedMask(NamedTuple):
    """A binary mask given by its content inside a box; everything outside is background.

    Attributes:
        top: first row of the box, in pixels of the original picture.
        left: first column of the box.
        crop: (height, width) bool, stored column by column as run-length encoders want it.
    """

    top: int
    left: int
    crop: np.ndarray

    def paint(self, height: int, width: int) -> np.ndarray:
        """Returns the whole mask, (height, width) bool, stored column by column."""
        mask = np.zeros((width, height), dtype=bool).T
        mask[self.top : self.top + self.crop.shape[0], self.left : self.left + self.crop.shape[1]] = self.crop
        return mask


class _Axis(NamedTuple):
    """Interpolation along one axis: weights (pixels, cells), and the first and last cell that each pixel reads."""

    weights: Tensor
    first: np.ndarray
    last: np.ndarray


@lru_cache(maxsize=32)
def _axis(cells: int, resized: int, original: int) -> _Axis:
    enlarged = F.interpolate(torch.eye(cells)[None], size=cells * MASK_STRIDE, mode="linear", align_corners=False)
    weights = F.interpolate(enlarged[..., :resized], size=original, mode="linear", align_corners=False)[0].T
    read = weights.numpy() > 0
    return _Axis(weights.contiguous(), read.argmax(1), cells - 1 - read[:, ::-1].argmax(1))


def _reach(axis: _Axis, low: int, high: int) -> tuple[slice, slice]:
    """The pixels that read any cell of [low, high], and the cells that these pixels read."""
    start = int(np.searchsorted(axis.last, low))
    stop = int(np.searchsorted(axis.first, high, side="right"))
    if start >= stop:
        return slice(0, 0), slice(0, 0)
    return slice(start, stop), slice(int(axis.first[start]), int(axis.last[stop - 1]) + 1)


def logit(probability: float) -> float:
    """The logit of a probability in (0, 1)."""
    return math.log(probability / (1 - probability))


def upsample_masks(mask_logits: Tensor, geometry: Geometry, threshold: float) -> Iterator[BoxedMask | None]:
    """Brings masks to the size of the original picture and binarises them.

    Args:
        mask_logits: (K, h, w), a quarter of the padded input.
        geometry: of the picture.
        threshold: probability above which a pixel is foreground, in (0, 1).

    Yields:
        K masks in order; None for one without any foreground.
    """
    logits = mask_logits.detach().float().cpu()
    limit = logit(threshold)
    rows = _axis(logits.shape[1], geometry.resized_height, geometry.original_height)
    columns = _axis(logits.shape[2], geometry.resized_width, geometry.original_width)
    foreground = logits > limit
    in_rows, in_columns = foreground.any(2).numpy(), foreground.any(1).numpy()
    for index in range(len(logits)):
        cells_y, cells_x = in_rows[index].nonzero()[0], in_columns[index].nonzero()[0]
        if len(cells_y) == 0:
            yield None
            continue
        pixels_y, read_y = _reach(rows, int(cells_y[0]), int(cells_y[-1]))
        pixels_x, read_x = _reach(columns, int(cells_x[0]), int(cells_x[-1]))
        narrow = columns.weights[pixels_x, read_x] @ logits[index, read_y, read_x].T
        crop = (narrow @ rows.weights[pixels_y, read_y].T > limit).numpy().T
        yield BoxedMask(pixels_y.start, pixels_x.start, crop) if crop.any() else None
