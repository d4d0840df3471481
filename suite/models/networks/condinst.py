"""CondInst: FCOS whose every location also predicts the weights of a small mask head.

Tian et al., "Conditional Convolutions for Instance Segmentation", ECCV 2020.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from suite.models.parts.dynamic_masks import (
    CONTROLS,
    OBJECT_SIZES_PX,
    MaskFeatureBranch,
    dynamic_masks,
    upsample_aligned,
)
from suite.models.parts.fcos_head import DenseOutput, FcosHead, locations_px
from suite.models.parts.fpn import FeaturePyramid
from suite.models.parts.instances import middle
from suite.models.parts.trunks import TrunkName, build_trunk


class CondInstOutput(NamedTuple):
    """What the network computes, over the locations of P3..P7; shapes are those of `DenseOutput`."""

    class_logits: Tensor
    box_sides_px: Tensor
    centerness_logits: Tensor
    controllers: Tensor
    mask_features: Tensor
    """(B, 8, H/8, W/8)."""
    mask_probabilities: Tensor | None = None
    """(B, 100, H/4, W/4) with masks, else None."""


def chosen_masks(dense: DenseOutput, mask_features: Tensor, levels: tuple[Tensor, ...]) -> Tensor:
    """Return the mask probabilities of 100 locations in the middle of all.

    Args:
        dense: the head's predictions for one image.
        mask_features: (1, 8, h, w) at 1/8.
        levels: P3..P7, for their sizes.

    Returns:
        (1, 100, 2h, 2w) in (0, 1).
    """
    device = mask_features.device
    chosen = middle(dense.controllers.shape[2])
    centres_px, numbers = locations_px([(level.shape[2], level.shape[3]) for level in levels])
    sizes_px = torch.tensor(OBJECT_SIZES_PX, dtype=torch.float32)[numbers[chosen]]
    controllers = dense.controllers[:, :, chosen].reshape(CONTROLS, -1).T
    logits = dynamic_masks(mask_features, controllers, centres_px[chosen].to(device), sizes_px.to(device))
    return upsample_aligned(logits, 2).sigmoid()


class CondInst(nn.Module):
    """The whole network.

    Args:
        trunk: backbone, see `suite.models.parts.trunks.build_trunk`.
        num_classes: categories.
    """

    def __init__(self, trunk: TrunkName, num_classes: int = 80) -> None:
        super().__init__()
        self.trunk = build_trunk(trunk)
        self.pyramid = FeaturePyramid(self.trunk.out_channels[1:], extra="two_relu")
        self.head = FcosHead(num_classes, CONTROLS)
        self.mask_branch = MaskFeatureBranch()

    def dense(self, image: Tensor) -> tuple[tuple[Tensor, ...], DenseOutput, Tensor]:
        """Return P3..P7, the head's predictions and the mask features for an image (1, 3, H, W)."""
        levels = self.pyramid(self.trunk(image)[1:])
        return levels, self.head(levels), self.mask_branch(*levels[:3])

    def forward(self, image: Tensor) -> CondInstOutput:
        """Return all head outputs for an image (1, 3, H, W); the masks are None."""
        _, dense, mask_features = self.dense(image)
        return CondInstOutput(*dense, mask_features)

    def with_masks(self, image: Tensor) -> CondInstOutput:
        """As `forward`, and the masks of 100 locations in the middle of all, for one image."""
        levels, dense, mask_features = self.dense(image)
        return CondInstOutput(*dense, mask_features, chosen_masks(dense, mask_features, levels))
