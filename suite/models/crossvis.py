"""CrossVIS on one frame: CondInst with a third tower whose embeddings tell instances apart across frames.

Yang et al., "Crossover Learning for Fast Online Video Instance Segmentation", ICCV 2021. Crossover learning itself and
the classifier of identities belong to training; linking frames is a greedy match of at most 100 embeddings outside the
network.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from reference_model.backbones.blocks import BATCH_NORM_EPSILON
from suite.models import Row, condinst
from suite.models.condinst import DEPTH, WIDTH, CondInst, chosen_masks
from suite.models.parts.feature_maps import tower
from suite.models.parts.selection import Selection
from suite.models.parts.synthetic import draw_weights

ROWS = (
    Row(
        name="crossvis_resnet50_360",
        method="CrossVIS",
        backbone="ResNet-50",
        trunk="resnet50_msra",
        input_shapes=((384, 640),),
        num_classes=40,
        masks_apart=True,
        reading="one frame of 360x640 padded to 384x640; linking frames is not in it",
        published_rows=("table2/2019/crossvis-resnet-50", "table2/2021/crossvis-resnet-50"),
    ),
    Row(
        name="crossvis_topformer_base_360",
        method="CrossVIS",
        backbone="TopFormer-Base",
        trunk="topformer_base",
        input_shapes=((384, 640),),
        num_classes=40,
        masks_apart=True,
        reading="TopFormer's maps after semantic injection; "
        "one frame of 360x640 padded to 384x640; linking frames is not in it",
        published_rows=("table2/2019/crossvis-topformer-base", "table2/2021/crossvis-topformer-base"),
    ),
)


class CrossVisOutput(NamedTuple):
    """What the network computes, over the locations of P3..P7; shapes are those of `DenseOutput`."""

    class_logits: Tensor
    box_sides_px: Tensor
    centerness_logits: Tensor
    controllers: Tensor
    embeddings: Tensor
    """(B, 256, locations)."""
    mask_features: Tensor
    """(B, 8, H/8, W/8)."""
    mask_probabilities: Tensor | None = None
    """(B, 100, H/4, W/4) with masks, else None."""


class CrossVis(nn.Module):
    """The whole network for one frame.

    Args:
        trunk: backbone, see `suite.models.parts.trunks.TRUNKS`.
        num_classes: categories.
    """

    def __init__(self, trunk: str, num_classes: int = 40) -> None:
        super().__init__()
        self.detector = CondInst(trunk, num_classes)
        self.embedding_tower = tower(WIDTH, WIDTH, DEPTH, bias=True)
        self.embed = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1), nn.BatchNorm2d(WIDTH, eps=BATCH_NORM_EPSILON))

    def _embeddings(self, levels: tuple[Tensor, ...]) -> Tensor:
        return torch.cat([self.embed(self.embedding_tower(level)).flatten(2) for level in levels], dim=2)

    def forward(self, image: Tensor) -> CrossVisOutput:
        """Return all head outputs for a frame (1, 3, H, W); the masks are None."""
        levels, dense, mask_features = self.detector.dense(image)
        return CrossVisOutput(*dense, self._embeddings(levels), mask_features)

    def with_masks(self, image: Tensor) -> CrossVisOutput:
        """As `forward`, and the masks of 100 locations in the middle of all."""
        levels, dense, mask_features = self.detector.dense(image)
        masks = chosen_masks(dense, mask_features, levels)
        return CrossVisOutput(*dense, self._embeddings(levels), mask_features, masks)


def build(row: Row) -> CrossVis:
    """Return the network of a row with random weights."""
    return draw_weights(CrossVis(row.trunk, row.num_classes))


def select(row: Row, height_px: int, width_px: int, seed: int) -> Selection:
    """Return CrossVIS's selection, which is CondInst's."""
    return condinst.select(row, height_px, width_px, seed)
