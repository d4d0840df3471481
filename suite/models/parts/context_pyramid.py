"""A top-down pyramid with pyramid pooling at its top ("PPM-FPN"): the pixel decoder of FastInst.

He et al., "FastInst: A Simple Query-Based Model for Real-Time Instance Segmentation", CVPR 2023, section 3.2.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from suite.models.parts.pyramid_pooling import PyramidPooling

GROUPS = 32


def normed(in_channels: int, width: int, kernel_size: int = 1, bias: bool = False) -> nn.Sequential:
    """Return a convolution that keeps the size, and group normalisation in 32 groups, without activation."""
    convolution = nn.Conv2d(in_channels, width, kernel_size, padding=kernel_size // 2, bias=bias)
    return nn.Sequential(convolution, nn.GroupNorm(GROUPS, width))


class ContextPyramid(nn.Module):
    """C3, C4, C5 to three maps of one width.

    A 1x1 lateral convolution a map, pyramid pooling on the coarsest, then from coarse to fine: add the coarser output
    (bilinearly resized), 3x3 convolution, ReLU. What is passed down is the output and not the sum.

    Args:
        in_channels: channels of the maps, fine to coarse.
        width: channels of every output.
    """

    def __init__(self, in_channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(normed(channels, width) for channels in in_channels)
        self.outputs = nn.ModuleList(normed(width, width, 3) for _ in in_channels)
        self.pooling = PyramidPooling(width)

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """Maps (B, C, h, w), fine to coarse, to outputs (B, width, h, w) in the same order."""
        sums = [lateral(feature) for lateral, feature in zip(self.laterals, maps, strict=True)]
        coarser = F.relu(self.outputs[-1](self.pooling(sums[-1])))
        levels = [coarser]
        for lateral, output in zip(sums[-2::-1], list(self.outputs)[-2::-1], strict=True):
            enlarged = F.interpolate(coarser, size=lateral.shape[-2:], mode="bilinear")
            coarser = F.relu(output(lateral + enlarged))
            levels.insert(0, coarser)
        return tuple(levels)
