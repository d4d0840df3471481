"""YOLACT: prototype masks for the image, and per anchor a class, a box and the coefficients that mix the prototypes.

Bolya et al., "YOLACT: Real-time Instance Segmentation", ICCV 2019. The semantic layer that only training uses is left
out. Backbones other than ResNet change the lateral convolutions of the pyramid and nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.models.parts.fpn import FeaturePyramid
from suite.models.parts.instances import middle
from suite.models.parts.trunks import TrunkName, build_trunk

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
        trunk: backbone, see `suite.models.parts.trunks.build_trunk`.
        num_classes: categories without background.
    """

    def __init__(self, trunk: TrunkName, num_classes: int = 80) -> None:
        super().__init__()
        self.trunk = build_trunk(trunk)
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
        prototypes = output.prototypes
        chosen = output.coefficients[:, :1, :, middle(output.coefficients.shape[3])].flatten(1, 2)
        masks = chosen.transpose(1, 2) @ prototypes.flatten(2)
        return output._replace(mask_probabilities=masks.sigmoid().view(len(masks), -1, *prototypes.shape[2:]))
