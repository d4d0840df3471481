"""Feature pyramid networks: a backbone's maps brought to one width and enriched from coarse to fine.

Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017. The methods compared here differ in how a map is
upsampled, whether the outputs are activated, and how the levels coarser than the backbone's last are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Extra = Literal["subsample", "two", "two_relu"]
"""Levels beyond the backbone's last: ``subsample`` is P6 = every second cell of P5; ``two`` is P6 and P7, each by a
3x3 convolution of stride 2 on the level before; ``two_relu`` the same with a ReLU between P6 and P7."""


class FeaturePyramid(nn.Module):
    """A backbone's maps to levels of equal width.

    A 1x1 lateral convolution of each map, plus the coarser sum upsampled to its size, then a 3x3 convolution per level.
    All convolutions have a bias and none is normalised.

    Args:
        in_channels: channels of the backbone's maps, fine to coarse.
        width: channels of every level.
        upsampling: ``"nearest"`` or ``"bilinear"`` (half-pixel centres), to the exact size of the finer map.
        activated: whether a ReLU follows the 3x3 convolutions.
        extra: see `Extra`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        width: int = 256,
        upsampling: Literal["nearest", "bilinear"] = "nearest",
        activated: bool = False,
        extra: Extra = "subsample",
    ) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in in_channels)
        self.outputs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in in_channels)
        self.downs = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=2, padding=1) for _ in range(0 if extra == "subsample" else 2)
        )
        self.upsampling = upsampling
        self.activated = activated
        self.extra = extra

    def _enlarge(self, coarse: Tensor, fine: Tensor) -> Tensor:
        size = fine.shape[-2:]
        if self.upsampling == "nearest":
            return F.interpolate(coarse, size=size, mode="nearest")
        return F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Build the pyramid.

        Args:
            maps: (B, C, h, w) each, fine to coarse.

        Returns:
            One level (B, width, h, w) per map, then the extra ones, whose sides are halved, rounding up.
        """
        sums = [lateral(feature) for lateral, feature in zip(self.laterals, maps, strict=True)]
        for index in reversed(range(len(sums) - 1)):
            sums[index] = sums[index] + self._enlarge(sums[index + 1], sums[index])
        levels = [output(feature) for output, feature in zip(self.outputs, sums, strict=True)]
        if self.activated:
            levels = [F.relu(level) for level in levels]
        if self.extra == "subsample":
            levels.append(F.max_pool2d(levels[-1], 1, stride=2))
        else:
            sixth = self.downs[0](levels[-1])
            levels += [sixth, self.downs[1](F.relu(sixth) if self.extra == "two_relu" else sixth)]
        return tuple(levels)
