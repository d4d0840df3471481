"""Layers on feature maps that several methods share: pyramids, pyramid pooling, towers, convolutions with coordinates.

Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017; Zhao et al., "Pyramid Scene Parsing Network",
CVPR 2017; He et al., "FastInst", CVPR 2023; Liu et al., "An Intriguing Failing of Convolutional Neural Networks and the
CoordConv Solution", NeurIPS 2018; Wu and He, "Group Normalization", ECCV 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GROUPS = 32
"""Of every group normalisation."""
POOLED_CELLS = (1, 2, 3, 6)
Extra = Literal["subsample", "two", "two_relu"]
"""Levels beyond the backbone's last: ``subsample`` is P6 = every second cell of P5; ``two`` is P6 and P7, each by a
3x3 convolution of stride 2 on the level before; ``two_relu`` the same with a ReLU between P6 and P7."""


class FeaturePyramid(nn.Module):
    """A backbone's maps to levels of equal width.

    A 1x1 lateral convolution of each map, plus the coarser sum upsampled to its size, then a 3x3 convolution per level.
    All convolutions have a bias and none is normalised. Methods differ in how a map is upsampled, whether the outputs
    are activated, and how the levels coarser than the backbone's last are made.

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

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Build the pyramid.

        Args:
            maps: (B, C, h, w) each, fine to coarse.

        Returns:
            One level (B, width, h, w) per map, then the extra ones, whose sides are halved, rounding up.
        """
        sums = [lateral(feature) for lateral, feature in zip(self.laterals, maps, strict=True)]
        for index in reversed(range(len(sums) - 1)):
            enlarged = F.interpolate(sums[index + 1], size=sums[index].shape[-2:], mode=self.upsampling)
            sums[index] = sums[index] + enlarged
        levels = [output(feature) for output, feature in zip(self.outputs, sums, strict=True)]
        if self.activated:
            levels = [F.relu(level) for level in levels]
        if self.extra == "subsample":
            levels.append(F.max_pool2d(levels[-1], 1, stride=2))
        else:
            sixth = self.downs[0](levels[-1])
            levels += [sixth, self.downs[1](F.relu(sixth) if self.extra == "two_relu" else sixth)]
        return tuple(levels)


class PyramidPooling(nn.Module):
    """Average to 1x1, 2x2, 3x3 and 6x6 cells, a quarter of the channels each, back to size, merged with the input.

    Zhao et al., section 3.2, in the size that SparseInst and FastInst use.

    Args:
        channels: of the input and of the output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = channels // len(POOLED_CELLS)
        self.levels = nn.ModuleList(nn.Conv2d(channels, narrow, 1) for _ in POOLED_CELLS)
        self.merge = nn.Conv2d(channels + narrow * len(POOLED_CELLS), channels, 1)

    def forward(self, feature: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        size = feature.shape[-2:]
        pooled = [
            F.interpolate(F.relu(level(F.adaptive_avg_pool2d(feature, cells))), size=size, mode="bilinear")
            for cells, level in zip(POOLED_CELLS, self.levels, strict=True)
        ]
        return F.relu(self.merge(torch.cat([*pooled, feature], dim=1)))


def normed(in_channels: int, width: int, kernel_size: int = 1, bias: bool = False) -> nn.Sequential:
    """Return a convolution that keeps the size, and group normalisation in 32 groups, without activation."""
    convolution = nn.Conv2d(in_channels, width, kernel_size, padding=kernel_size // 2, bias=bias)
    return nn.Sequential(convolution, nn.GroupNorm(GROUPS, width))


class ContextPyramid(nn.Module):
    """C3, C4, C5 to three maps of one width: FastInst's pixel decoder (section 3.2).

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


def coordinate_maps(height: int, width: int, device: torch.device) -> Tensor:
    """Return the maps of x and y (1, 2, height, width), from -1 at the first cell to 1 at the last."""
    columns = torch.linspace(-1, 1, width, device=device).expand(height, width)
    rows = torch.linspace(-1, 1, height, device=device)[:, None].expand(height, width)
    return torch.stack([columns, rows])[None]


class CoordinateConv(nn.Module):
    """A 3x3 convolution of a map with two more channels: what a plain one on ``in_channels + 2`` computes.

    A convolution is linear, so the part that reads the two coordinates is the same for every image. It is computed
    apart: a runtime folds it into one constant map, and the other part reads a number of channels that fast kernels are
    made for.

    Args:
        in_channels: channels of the map, without coordinates.
        out_channels: channels of the result.
        bias: whether it has one; it is kept with the coordinates, so that it becomes part of the constant map.
    """

    def __init__(self, in_channels: int, out_channels: int, bias: bool = False) -> None:
        super().__init__()
        self.of_features = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.of_coordinates = nn.Conv2d(2, out_channels, 3, padding=1, bias=bias)

    def forward(self, feature: Tensor, coordinates: Tensor | None = None) -> Tensor:
        """Convolve a map.

        Args:
            feature: (B, in_channels, h, w).
            coordinates: (1, 2, h, w); those of the map itself if None.

        Returns:
            (B, out_channels, h, w).
        """
        if coordinates is None:
            coordinates = coordinate_maps(feature.shape[2], feature.shape[3], feature.device)
        result: Tensor = self.of_features(feature) + self.of_coordinates(coordinates)
        return result


def tower(in_channels: int, width: int, depth: int, bias: bool, with_coordinates: bool = False) -> nn.Sequential:
    """Return ``depth`` times a 3x3 convolution, group normalisation in 32 groups and ReLU; sizes are kept.

    Args:
        in_channels: channels of the input map, without coordinates.
        width: channels of every layer.
        depth: number of convolutions.
        bias: whether the convolutions have a bias before the normalisation, as FCOS has and SOLOv2 has not.
        with_coordinates: whether the first convolution sees coordinates too; it has no bias then.

    Group normalisation depends on the image, so it cannot be folded into the convolution before it.
    """
    layers = nn.Sequential()
    for index in range(depth):
        if index == 0 and with_coordinates:
            layers.append(CoordinateConv(in_channels, width))
        else:
            layers.append(nn.Conv2d(in_channels if index == 0 else width, width, 3, padding=1, bias=bias))
        layers.append(nn.GroupNorm(GROUPS, width))
        layers.append(nn.ReLU())
    return layers
