"""The small pieces that both decoders are built from."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_model.backbones.blocks import ConvNorm
from reference_model.config import Upsampling


def conv_norm(in_channels: int, out_channels: int, kernel_size: int, activation: bool) -> nn.Module:
    """Return a convolution without bias, batch norm, and optionally ReLU; the size of a map is kept.

    Args:
        in_channels: channels of the input map.
        out_channels: channels of the output map.
        kernel_size: side of the square kernel, odd.
        activation: whether a ReLU follows.
    """
    block = ConvNorm(in_channels, out_channels, kernel_size)
    return nn.Sequential(block, nn.ReLU(inplace=True)) if activation else block


def resize_like(x: Tensor, target: Tensor, mode: Upsampling) -> Tensor:
    """Resize a map (B, C, h, w) to the exact height and width of ``target``, half-pixel centres, no copy if equal."""
    size = target.shape[-2:]
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=size, mode=mode, align_corners=False if mode == "bilinear" else None)


def sine_position(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Return the normalised two-dimensional sine encoding of a map's positions.

    Row and column are numbered from 1, divided by their count and scaled to 2 pi; one half of the channels encodes the
    row and the other the column, each with sines and cosines of ``channels / 4`` wavelengths (DETR, Carion et al.
    2020, appendix A.4).

    Args:
        height: rows of the map.
        width: columns of the map.
        channels: length of an encoding, a multiple of 4.
        like: a tensor whose dtype and device the encoding takes.

    Returns:
        The encodings (height * width, channels), row by row.
    """
    frequencies = torch.arange(channels // 4, dtype=like.dtype, device=like.device)
    frequencies = torch.exp(frequencies * (-math.log(10000.0) * 4 / channels))

    def along(count: int) -> Tensor:
        position = torch.arange(1, count + 1, dtype=like.dtype, device=like.device) * (2 * math.pi / count)
        angle = position[:, None] * frequencies
        return torch.cat([angle.sin(), angle.cos()], dim=1)

    rows = along(height)[:, None, :].expand(height, width, channels // 2)
    columns = along(width)[None, :, :].expand(height, width, channels // 2)
    return torch.cat([rows, columns], dim=2).reshape(height * width, channels)
