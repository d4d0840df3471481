"""Convolutions that also see where they are.

Liu et al., "An Intriguing Failing of Convolutional Neural Networks and the CoordConv Solution", NeurIPS 2018: two
channels that hold x and y are appended to a map. A convolution is linear, so the part that reads these two channels is
the same for every image. It is kept apart here: a runtime then folds it into one constant map, and the other part reads
a number of channels that its fast kernels are made for.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def coordinate_maps(height: int, width: int, device: torch.device) -> Tensor:
    """Return the maps of x and y (1, 2, height, width), from -1 at the first cell to 1 at the last."""
    columns = torch.linspace(-1, 1, width, device=device).expand(height, width)
    rows = torch.linspace(-1, 1, height, device=device)[:, None].expand(height, width)
    return torch.stack([columns, rows])[None]


class CoordinateConv(nn.Module):
    """A 3x3 convolution of a map with two more channels: what a plain one on ``in_channels + 2`` computes.

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
