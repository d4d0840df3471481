"""YOLACT: prototype masks for the image, and per anchor a class, a box and the coefficients that mix the prototypes.

Bolya et al., "YOLACT: Real-time Instance Segmentation", ICCV 2019. The semantic layer that only training uses is left
out. Backbones other than ResNet change the lateral convolutions of the pyramid and nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from suite.models import ModelEntry
from suite.models.parts.attention import mask_product
from suite.models.parts.feature_maps import FeaturePyramid
from suite.models.parts.selection import (
    DETECTIONS,
    Floats,
    Selection,
    cell_centres,
    fast_nms,
    level_sizes,
    synthetic_logits,
)
from suite.models.parts.synthetic import draw_weights, middle
from suite.models.parts.trunks import TRUNKS

ROWS = (
    ModelEntry(
        name="yolact_resnet50_550",
        method="YOLACT",
        backbone="ResNet-50",
        trunk="resnet50",
        input_shapes=((550, 550),),
        masks_apart=True,
        reading="pictures are warped to a square, so the shape is certain",
        published_rows=("table1/yolact-resnet-50-550",),
    ),
    ModelEntry(
        name="yolact_mobilenetv2_550",
        method="YOLACT",
        backbone="MobileNetV2",
        trunk="mobilenetv2_edge",
        input_shapes=((550, 550),),
        masks_apart=True,
        reading="YolactEdge's taps of 32, 64 and 160 channels, whose published AP the row repeats; "
        "pictures are warped to a square, so the shape is certain",
        published_rows=("table1/yolact-mobilenetv2-550",),
    ),
    ModelEntry(
        name="yolact_topformer_base_550",
        method="YOLACT",
        backbone="TopFormer-Base",
        trunk="topformer_base",
        input_shapes=((550, 550),),
        masks_apart=True,
        reading="TopFormer's maps after semantic injection; pictures are warped to a square, so the shape is certain",
        published_rows=("table1/yolact-topformer-base-550",),
    ),
)

STRIDES_PX = (8, 16, 32, 64, 128)
SCALES_PX = (24, 48, 96, 192, 384)
RATIOS = (1.0, 0.5, 2.0)
VARIANCES = (0.1, 0.2)
"""Of centre and size: what a box's deltas are multiplied with before they move an anchor (as in SSD)."""
WIDTH = 256
ANCHORS = 3  # one scale a level, aspect ratios 1, 1/2, 2
PROTOTYPES = 32


class YolactOutput(NamedTuple):
    """What the network computes; cells are those of the five levels, fine to coarse."""

    class_logits: Tensor
    """(B, 3, 1 + classes, cells), background first."""
    box_deltas: Tensor
    """(B, 3, 4, cells), against the anchors, before decoding."""
    coefficients: Tensor
    """(B, 3, 32, cells) in (-1, 1)."""
    prototypes: Tensor
    """(B, 32, H/4, W/4), not negative."""
    mask_probabilities: Tensor | None = None
    """(B, 100, H/4, W/4) with masks, else None; not yet cropped to the boxes."""


class PrototypeNet(nn.Module):
    """The finest level to prototypes at twice its resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in range(3))
        self.after = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.project = nn.Conv2d(WIDTH, PROTOTYPES, 1)

    def forward(self, level: Tensor) -> Tensor:
        """``(B, 256, h, w)`` to ``(B, 32, 2h, 2w)``."""
        for convolution in self.before:
            level = F.relu(convolution(level))
        level = F.interpolate(level, scale_factor=2, mode="bilinear", align_corners=False)
        return F.relu(self.project(F.relu(self.after(level))))


class PredictionHead(nn.Module):
    """The head that all levels share: one 3x3 convolution, then three parallel ones, which are computed as one.

    Args:
        num_classes: categories without background.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.widths = [ANCHORS * values for values in (1 + num_classes, 4, PROTOTYPES)]
        self.shared = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.predict = nn.Conv2d(WIDTH, sum(self.widths), 3, padding=1)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(B, 256, h, w)`` to class logits, box deltas and coefficients (B, 3, values, h * w)."""
        predicted = self.predict(F.relu(self.shared(level))).flatten(2)
        classes, boxes, coefficients = (
            values.view(len(values), ANCHORS, -1, values.shape[2])
            for values in torch.split(predicted, self.widths, dim=1)
        )
        return classes, boxes, torch.tanh(coefficients)


class Yolact(nn.Module):
    """The whole network.

    Args:
        trunk: backbone, see `suite.models.parts.trunks.TRUNKS`.
        num_classes: categories without background.
    """

    def __init__(self, trunk: str, num_classes: int = 80) -> None:
        super().__init__()
        self.trunk = TRUNKS[trunk]()
        self.pyramid = FeaturePyramid(self.trunk.out_channels[1:], upsampling="bilinear", activated=True, extra="two")
        self.prototype_net = PrototypeNet()
        self.head = PredictionHead(num_classes)

    def forward(self, image: Tensor) -> YolactOutput:
        """Return all head outputs for an image (1, 3, H, W); the masks are None."""
        levels = self.pyramid(self.trunk(image)[1:])
        per_level = [self.head(level) for level in levels]
        classes, boxes, coefficients = (torch.cat(values, dim=3) for values in zip(*per_level, strict=True))
        return YolactOutput(classes, boxes, coefficients, self.prototype_net(levels[0]))

    def with_masks(self, image: Tensor) -> YolactOutput:
        """As `forward`, and the masks of 100 anchors in the middle of all cells, for one image."""
        output = self.forward(image)
        chosen = output.coefficients[:, :1, :, middle(output.coefficients.shape[3])].flatten(1, 2)
        return output._replace(mask_probabilities=mask_product(chosen.transpose(1, 2), output.prototypes).sigmoid())


def build(row: ModelEntry) -> Yolact:
    """Return the network of a row with random weights."""
    return draw_weights(Yolact(row.trunk, row.num_classes))


def yolact_anchors(height_px: int, width_px: int) -> Floats:
    """Return YOLACT's anchors (cells * 3, 4) as centre x, centre y, width, height in pixels.

    The authors make every anchor square, the width's: their released weights were trained like that.
    """
    anchors = []
    sizes = level_sizes(height_px, width_px, len(SCALES_PX))
    for (height, width), stride_px, scale_px in zip(sizes, STRIDES_PX, SCALES_PX, strict=True):
        centres = np.repeat(cell_centres(height, width, stride_px), len(RATIOS), axis=0)
        sides = np.tile(scale_px * np.sqrt(RATIOS), height * width).astype(np.float32)
        anchors.append(np.concatenate([centres, sides[:, None], sides[:, None]], axis=1))
    return np.concatenate(anchors)


def select(row: ModelEntry, height_px: int, width_px: int, seed: int) -> Selection:
    """Return YOLACT's selection.

    Softmax, foreground above 0.05, boxes decoded, Fast NMS on the 200 best of each class at IoU 0.5, 100 best overall.
    """
    anchors = yolact_anchors(height_px, width_px)
    deltas = np.random.default_rng(seed).normal(0, 0.3, anchors.shape).astype(np.float32)

    def decode(kept: NDArray[np.intp]) -> Floats:
        centre = anchors[kept, :2] + deltas[kept, :2] * np.float32(VARIANCES[0]) * anchors[kept, 2:]
        half = anchors[kept, 2:] * np.exp(deltas[kept, 2:] * np.float32(VARIANCES[1])) / 2
        return np.concatenate([centre - half, centre + half], axis=1)

    def run(logits: Floats) -> object:
        exponents = np.exp(logits - logits.max(1, keepdims=True))
        probability = (exponents / exponents.sum(1, keepdims=True))[:, 1:]
        kept = np.flatnonzero(probability.max(1) > 0.05)
        scores, boxes = probability[kept].T, decode(kept)  # (classes, candidates), (candidates, 4)
        order = np.argsort(-scores, axis=1)[:, :200]
        ranked = np.take_along_axis(scores, order, axis=1)
        category, rank = np.nonzero(fast_nms(boxes[order], 0.5))
        best = np.argsort(-ranked[category, rank])[:DETECTIONS]
        category, rank = category[best], rank[best]
        chosen = order[category, rank]
        return category, ranked[category, rank], boxes[chosen], kept[chosen]

    maps = synthetic_logits(len(anchors), 1 + row.num_classes, seed, neighbours=9, background=0)
    return Selection(run, maps, "softmax, threshold, box decoding, Fast NMS, top 100; not the cropping of masks")
