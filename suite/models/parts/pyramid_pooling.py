"""Pyramid pooling on the deepest map: averages over the whole picture and over coarse cells, as context for each place.

Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, section 3.2, in the size that SparseInst and FastInst use.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CELLS = (1, 2, 3, 6)


class PyramidPooling(nn.Module):
    """Average to 1x1, 2x2, 3x3 and 6x6 cells, a quarter of the channels each, back to size, merged with the input.

    Args:
        channels: of the input and of the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = channels // len(CELLS)
        self.levels = nn.ModuleList(nn.Conv2d(channels, narrow, 1) for _ in CELLS)
        self.merge = nn.Conv2d(channels + narrow * len(CELLS), channels, 1)

    def forward(self, feature: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        size = feature.shape[-2:]
        pooled = [
            F.interpolate(F.relu(level(F.adaptive_avg_pool2d(feature, cells))), size=size, mode="bilinear")
            for cells, level in zip(CELLS, self.levels, strict=True)
        ]
        return F.relu(self.merge(torch.cat([*pooled, feature], dim=1)))
