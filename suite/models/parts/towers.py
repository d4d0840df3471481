"""Towers: the stacks of 3x3 convolutions, group normalisation and ReLU that dense heads are built from.

Group normalisation (Wu and He 2018) depends on the image, so unlike batch normalisation it cannot be folded into the
convolution before it: a runtime has to compute it.
"""

from __future__ import annotations

from torch import nn

from suite.models.parts.coordinates import CoordinateConv

GROUPS = 32


def tower(in_channels: int, width: int, depth: int, bias: bool, with_coordinates: bool = False) -> nn.Sequential:
    """Return ``depth`` times a 3x3 convolution, group normalisation in 32 groups and ReLU; sizes are kept.

    Args:
        in_channels: channels of the input map, without coordinates.
        width: channels of every layer.
        depth: number of convolutions.
        bias: whether the convolutions have a bias before the normalisation, as FCOS has and SOLOv2 has not.
        with_coordinates: whether the first convolution sees coordinates too; it has no bias then.
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
