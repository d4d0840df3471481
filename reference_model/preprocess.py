"""From a picture to the network's input: resize, normalise, pad."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reference_model.config import ModelConfig

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
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    if size != (height, width):
        pixels = F.interpolate(pixels, size=size, mode="bilinear", align_corners=False, antialias=True)
    padded_height, padded_width = padded_size(*size, config.size_divisor_px)
    return F.pad(normalise(pixels), (0, padded_width - size[1], 0, padded_height - size[0])), geometry
