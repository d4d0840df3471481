"""One picture through a trained model: preprocess, network, postprocess.

A mask is upsampled bilinearly to the padded input, cropped to the picture, and resized bilinearly to its original
size, as in SparseInst, except that logits are interpolated instead of probabilities: then no sigmoid is needed at full
size and a probability threshold p becomes the logit threshold log(p / (1 - p)). Both interpolations together are one
matrix a row axis and one a column axis. An interpolated value is a weighted mean of its neighbours, so it can exceed
the threshold only beside a cell that does: only the box of such cells is computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reference_model.config import ModelConfig
from reference_model.mobileinst import MobileInst, NonFiniteError
from reference_model.targets import MASK_STRIDE

IMAGE_MEAN = (123.675, 116.28, 103.53)
"""ImageNet's mean of R, G and B, in [0, 255]."""
IMAGE_STD = (58.395, 57.12, 57.375)
"""ImageNet's standard deviation of R, G and B, in [0, 255]."""


class ImageError(ValueError):
    """An array that is not an 8-bit RGB picture."""


@dataclass(frozen=True)
class Geometry:
    """How a picture came into the network: sizes in pixels before and after the resize, padding left out."""

    original_height: int
    original_width: int
    resized_height: int
    resized_width: int

    @property
    def original_size(self) -> tuple[int, int]:
        """Height and width of the original picture."""
        return self.original_height, self.original_width


def resized_size(height: int, width: int, short_side_px: int, long_side_px: int) -> tuple[int, int]:
    """Scales a size until its shorter side is `short_side_px`, or less where the longer would exceed `long_side_px`.

    Args:
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        short_side_px: wanted length of the shorter side.
        long_side_px: upper limit of the longer side.

    Returns:
        Height and width, at least 1, the aspect kept to half a pixel.
    """
    scale = min(short_side_px / min(height, width), long_side_px / max(height, width))
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


def padded_size(height: int, width: int, divisor: int) -> tuple[int, int]:
    """Rounds height and width up to multiples of `divisor`, all in pixels."""
    return -(-height // divisor) * divisor, -(-width // divisor) * divisor


def normalise(images: Tensor) -> Tensor:
    """Subtracts ImageNet's mean and divides by its standard deviation.

    Args:
        images: (..., 3, H, W) RGB in [0, 255], uint8 or float.

    Returns:
        The same shape, float32, in the same memory format.
    """
    std = torch.tensor(IMAGE_STD, device=images.device)[:, None, None]
    mean = torch.tensor(IMAGE_MEAN, device=images.device)[:, None, None]
    return (images.float() - mean) / std


def preprocess(image: np.ndarray, config: ModelConfig) -> tuple[Tensor, Geometry]:
    """Brings a picture into the form that the network takes.

    The picture is resized bilinearly (antialiased where it shrinks, in 8 bits, as Pillow does), normalised, and padded
    with zeros at the right and the bottom.

    Args:
        image: (H, W, 3) uint8 RGB.
        config: gives the sides of the resized picture and the multiple to which it is padded.

    Returns:
        The input (1, 3, H', W') float32, and the geometry that leads back.

    Raises:
        ImageError: if the array is something else.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ImageError(f"image of shape {image.shape} and type {image.dtype}: expected (height, width, 3) uint8 RGB")
    height, width = image.shape[:2]
    geometry = Geometry(height, width, *resized_size(height, width, config.short_side_px, config.long_side_px))
    size = (geometry.resized_height, geometry.resized_width)
    # torch warns of arrays that it cannot write to, such as pictures as Pillow hands them out.
    pixels = torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)[None]
    if size != (height, width):
        pixels = F.interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=True)
    padded_height, padded_width = padded_size(*size, config.size_divisor_px)
    return F.pad(normalise(pixels), (0, padded_width - size[1], 0, padded_height - size[0])), geometry


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


def upsample_masks(
    mask_logits: Tensor, geometry: Geometry, threshold: float, as_sparseinst: bool = False
) -> Iterator[BoxedMask | None]:
    """Brings masks to the size of the original picture and binarises them.

    Args:
        mask_logits: (K, h, w), a quarter of the padded input.
        geometry: of the picture.
        threshold: probability above which a pixel is foreground, in (0, 1).
        as_sparseinst: whether probabilities are interpolated instead of logits.

    Yields:
        K masks in order; None for one without any foreground.
    """
    logits = mask_logits.detach().float().cpu()
    if as_sparseinst:
        logits = logits.sigmoid()
    limit = threshold if as_sparseinst else logit(threshold)
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


@dataclass(frozen=True)
class Thresholds:
    """What counts as a detection and as foreground.

    Args:
        score: a query is kept where sqrt(class x objectness) exceeds this; 0.005 as in SparseInst.
        mask: probability above which a pixel is foreground, in (0, 1); 0.45 as in SparseInst.
        max_detections: at most this many instances of a picture are returned, best first.
        maskness: whether a detection's score is multiplied by the mean probability of its foreground.
        as_sparseinst: whether masks are interpolated as probabilities and padding counts in maskness.

    Raises:
        ValueError: if a value is outside its range.
    """

    score: float = 0.005
    mask: float = 0.45
    max_detections: int = 100
    maskness: bool = True
    as_sparseinst: bool = False

    def __post_init__(self) -> None:
        """Refuse values that no picture could be judged by."""
        if not 0 <= self.score < 1:
            raise ValueError(f"score threshold {self.score} must be in [0, 1)")
        if not 0 < self.mask < 1:
            raise ValueError(f"mask threshold {self.mask} must be between 0 and 1")
        if self.max_detections < 1:
            raise ValueError(f"max_detections {self.max_detections} must be at least 1")


@dataclass(frozen=True)
class Detection:
    """One instance found in a picture.

    Attributes:
        class_index: contiguous class index in [0, num_classes).
        score: in (0, 1).
        mask: (H, W) bool at the size of the original picture, stored column by column (run-length encoders take it
            without a copy).
    """

    class_index: int
    score: float
    mask: np.ndarray


def instance_scores(class_logits: Tensor, objectness_logits: Tensor) -> Tensor:
    """How sure the model is of each query and class: sqrt(class probability x objectness).

    Args:
        class_logits: (..., N, C).
        objectness_logits: (..., N).

    Returns:
        (..., N, C) in [0, 1].

    Raises:
        NonFiniteError: if logits are NaN.
    """
    scores = (class_logits.sigmoid() * objectness_logits.sigmoid()[..., None]).sqrt()
    if not bool(torch.isfinite(scores).all()):
        raise NonFiniteError("the model's class or objectness logits are not numbers: its weights are spoiled")
    return scores


def inside(mask_logits: Tensor, geometry: Geometry) -> Tensor:
    """The cells of masks (..., h, w), a quarter of the padded input, whose centres lie inside the picture."""
    height, width = (
        max(1, (side + MASK_STRIDE // 2 - 1) // MASK_STRIDE)
        for side in (geometry.resized_height, geometry.resized_width)
    )
    return mask_logits[..., :height, :width]


def maskness(mask_logits: Tensor, geometry: Geometry | None, threshold: float) -> Tensor:
    """The mean probability of each mask's foreground at the scale of the mask logits; padding does not count.

    Args:
        mask_logits: (K, h, w).
        geometry: of the picture; None: padding counts too.
        threshold: probability above which a pixel is foreground.

    Returns:
        (K,) in [0, 1]; 0 for a mask without foreground.
    """
    probabilities = (mask_logits if geometry is None else inside(mask_logits, geometry)).sigmoid()
    foreground = probabilities > threshold
    return (probabilities * foreground).sum((1, 2)) / foreground.sum((1, 2)).clamp(min=1)


@torch.inference_mode()
def postprocess(
    class_logits: Tensor | np.ndarray,
    objectness_logits: Tensor | np.ndarray,
    mask_logits: Tensor | np.ndarray,
    geometry: Geometry,
    thresholds: Thresholds | None = None,
) -> list[Detection]:
    """Turns the network's output for one picture into detections, as in SparseInst: no suppression of overlaps.

    Each query gives at most one detection, of its likeliest class. Its score is sqrt(class x objectness), then times
    `maskness`. Only masks of kept queries are brought to the picture's size (`upsample_masks`).

    Args:
        class_logits: (N, C), of a torch model or as an array of any runtime.
        objectness_logits: (N,).
        mask_logits: (N, h, w), a quarter of the padded input.
        geometry: of the picture, from `preprocess`.
        thresholds: what counts; None: the defaults.

    Returns:
        The detections, best first; none has an empty mask.

    Raises:
        NonFiniteError: if logits are NaN.
        ValueError: if the shapes are not those of one picture.
    """
    thresholds = thresholds or Thresholds()
    class_logits, objectness_logits, mask_logits = map(torch.as_tensor, (class_logits, objectness_logits, mask_logits))
    queries = len(objectness_logits)
    if objectness_logits.dim() != 1 or class_logits.shape[:-1] != (queries,) or mask_logits.shape[:-2] != (queries,):
        raise ValueError(
            f"class, objectness and mask logits of shape {tuple(class_logits.shape)}, "
            f"{tuple(objectness_logits.shape)}, {tuple(mask_logits.shape)}: expected (N, C), (N,), (N, h, w) of one "
            "picture"
        )
    scores, classes = instance_scores(class_logits, objectness_logits).max(1)
    kept = (scores > thresholds.score).nonzero()[:, 0]
    scores, classes, mask_logits = scores[kept], classes[kept], mask_logits[kept]
    if thresholds.maskness:
        scores = scores * maskness(mask_logits, None if thresholds.as_sparseinst else geometry, thresholds.mask)
    order = scores.argsort(descending=True, stable=True)[: thresholds.max_detections]
    masks = upsample_masks(mask_logits[order], geometry, thresholds.mask, thresholds.as_sparseinst)
    return [
        Detection(class_index, score, mask.paint(*geometry.original_size))
        for class_index, score, mask in zip(classes[order].tolist(), scores[order].tolist(), masks, strict=True)
        if mask is not None
    ]


@torch.inference_mode()
def detect(
    model: MobileInst, image: np.ndarray, config: ModelConfig, thresholds: Thresholds | None = None
) -> list[Detection]:
    """Segments one picture.

    Args:
        model: in evaluation mode.
        image: (H, W, 3) uint8 RGB.
        config: of the model; gives the input size.
        thresholds: what counts; None: the defaults.

    Returns:
        As `postprocess`.

    Raises:
        ImageError: if the picture is not 8-bit RGB.
        NonFiniteError: if the model's output is NaN.
    """
    pixels, geometry = preprocess(image, config)
    output = model(pixels.to(next(model.parameters()).device))
    return postprocess(output.class_logits[0], output.objectness_logits[0], output.mask_logits[0], geometry, thresholds)
