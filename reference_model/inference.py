"""Using a trained model on one picture: preprocess, network, postprocess."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reference_model.config import ModelConfig
from reference_model.matcher import NonFiniteError
from reference_model.mobileinst import MobileInst
from reference_model.preprocess import Geometry, ImageError, normalise, padded_size, preprocess, resized_size
from reference_model.targets import MASK_STRIDE
from reference_model.upsampling import upsample_masks

__all__ = [
    "Detection",
    "Geometry",
    "ImageError",
    "Thresholds",
    "detect",
    "instance_scores",
    "maskness",
    "normalise",
    "padded_size",
    "postprocess",
    "preprocess",
    "resized_size",
]


@dataclass(frozen=True)
class Thresholds:
    """What counts as a detection and as foreground.

    Args:
        score: a query is kept where sqrt(class x objectness) exceeds this; 0.005 as in SparseInst.
        mask: probability above which a pixel is foreground, in (0, 1); 0.45 as in SparseInst.
        max_detections: at most this many instances of a picture are returned, best first.
        maskness: whether a detection's score is multiplied by the mean probability of its foreground.

    Raises:
        ValueError: if a value is outside its range.
    """

    score: float = 0.005
    mask: float = 0.45
    max_detections: int = 100
    maskness: bool = True

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


def maskness(mask_logits: Tensor, geometry: Geometry, threshold: float) -> Tensor:
    """The mean probability of each mask's foreground at the scale of the mask logits; padding does not count.

    Args:
        mask_logits: (K, h, w).
        geometry: of the picture.
        threshold: probability above which a pixel is foreground.

    Returns:
        (K,) in [0, 1]; 0 for a mask without foreground.
    """
    height, width = (
        max(1, (side + MASK_STRIDE // 2 - 1) // MASK_STRIDE)  # cells whose centres lie inside the picture
        for side in (geometry.resized_height, geometry.resized_width)
    )
    probabilities = mask_logits[:, :height, :width].sigmoid()
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
        scores = scores * maskness(mask_logits, geometry, thresholds.mask)
    order = scores.argsort(descending=True, stable=True)[: thresholds.max_detections]
    masks = upsample_masks(mask_logits[order], geometry, thresholds.mask)
    return [
        Detection(class_index, score, mask.paint(geometry.original_height, geometry.original_width))
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
