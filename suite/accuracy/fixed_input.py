"""Pictures for a graph of fixed input size: resized to fit, padded to it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reference_model.config import ModelConfig
from reference_model.images import Detection, postprocess, preprocess, resized_size
from reference_model.mobileinst import MobileInst
from suite.accuracy.segmenter import ReferenceSegmenter, at_size, thresholds


def fitting_config(config: ModelConfig, height: int, width: int, fixed_size: tuple[int, int]) -> ModelConfig:
    """Return the configuration at whose input size a picture fits a graph; padding is left to `padded_to`.

    Args:
        config: gives the input size wanted, which is kept wherever it fits.
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        fixed_size: height and width of the graph's input, in pixels.
    """
    config = replace(config, size_divisor_px=1)
    resized = resized_size(height, width, config.short_side_px, config.long_side_px)
    if all(side <= most for side, most in zip(resized, fixed_size, strict=True)):
        return config
    fitting = int(min(fixed_size[0] / height, fixed_size[1] / width) * min(height, width))
    return replace(config, short_side_px=max(1, min(config.short_side_px, fitting)))


def padded_to(images: Tensor, fixed_size: tuple[int, int]) -> Tensor:
    """Return images (..., H, W) with zeros at the right and the bottom up to a graph's height and width."""
    height, width = (wanted - have for wanted, have in zip(fixed_size, images.shape[-2:], strict=True))
    return nn.functional.pad(images, (0, width, 0, height))


class PaddedReference:
    """A MobileInst of `reference_model` that sees images as its graph of fixed input size does.

    Where a graph is compared with its model, only what the export did may differ, and not how far images are padded.

    Args:
        model: the network; is put into evaluation mode.
        config: of the model.
        fixed_size: height and width of the graph's input, in pixels.
    """

    def __init__(self, model: MobileInst, config: ModelConfig, fixed_size: tuple[int, int]) -> None:
        self.reference, self.fixed_size = ReferenceSegmenter(model, config), fixed_size
        self.name, self.num_classes = config.name, config.num_classes
        self.protocol = self.reference.protocol

    def digest(self) -> str:
        """Return the SHA-256 of configuration, weights and input size."""
        return hashlib.sha256(f"{self.reference.digest()} {self.fixed_size}".encode()).hexdigest()

    def segment(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Return the detections of one image."""
        height, width = image.shape[:2]
        config = fitting_config(at_size(self.reference.config, self.protocol), height, width, self.fixed_size)
        pixels, geometry = preprocess(image, config)
        with torch.inference_mode():
            out = self.reference.model(padded_to(pixels, self.fixed_size))
        logits = (out.class_logits[0], out.objectness_logits[0], out.mask_logits[0])
        return postprocess(*logits, geometry, thresholds(self.protocol))
