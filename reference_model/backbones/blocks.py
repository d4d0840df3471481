"""Building blocks that TopFormer, SeaFormer and MobileNetV2 share.

Every map is ``(batch, channels, height, width)``. No convolution that is followed by batch normalisation has a bias.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH_NORM_EPSILON = 1e-5  # of every upstream checkpoint; not the 1e-3 of the TensorFlow MobileNets


class BackboneError(ValueError):
    """A backbone was asked for something it cannot give: an unknown name, a checkpoint that does not fit."""


class ConvNorm(nn.Module):
    """Convolution without bias, then batch normalisation; no activation.

    Args:
        in_channels: channels of the input map.
        out_channels: channels of the output map.
        kernel_size: odd kernel side in pixels; the padding is half of it, so stride 2 halves a side rounding up.
        stride: 1 or 2.
        groups: convolution groups; ``in_channels`` makes it depthwise.
        zero_scale: start the normalisation's scale at 0, so that the branch this ends contributes nothing at first.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 1,
        stride: int = 1,
        groups: int = 1,
        zero_scale: bool = False,
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPSILON)
        if zero_scale:
            nn.init.zeros_(self.norm.weight)

    def forward(self, feature: Tensor) -> Tensor:
        """``(B, in, H, W)`` to ``(B, out, ceil(H / stride), ceil(W / stride))``."""
        result: Tensor = self.norm(self.convolution(feature))
        return result


class InvertedResidual(nn.Module):
    """MobileNetV2's block: widen by a 1x1, filter each channel alone, narrow by a linear 1x1.

    The widening is left out when ``expansion`` is 1. The input is added when stride and width allow it.
    Source: MobileNetV2 (Sandler et al. 2018), section 3.3; kernels other than 3 as TopFormer uses them.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        expansion: int,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = ConvNorm(in_channels, hidden) if expansion != 1 else None
        self.depthwise = ConvNorm(hidden, hidden, kernel_size, stride, groups=hidden)
        self.project = ConvNorm(hidden, out_channels)
        self.activation = activation()
        self.has_skip = stride == 1 and in_channels == out_channels

    def forward(self, feature: Tensor) -> Tensor:
        """``(B, in, H, W)`` to ``(B, out, ceil(H / stride), ceil(W / stride))``."""
        hidden = feature if self.expand is None else self.activation(self.expand(feature))
        result: Tensor = self.project(self.activation(self.depthwise(hidden)))
        return feature + result if self.has_skip else result


class DropPath(nn.Module):
    """Stochastic depth: in training, a whole residual branch is dropped for a random part of the samples.

    Kept samples are scaled by ``1 / (1 - probability)``, so the expectation stays; evaluation changes nothing.
    Source: Huang et al. 2016, "Deep Networks with Stochastic Depth", drawn per sample as upstream does.

    Args:
        probability: chance in [0, 1) that a sample loses the branch.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        if not 0.0 <= probability < 1.0:
            raise BackboneError(f"drop path probability must be in [0, 1), not {probability}")
        self.probability = probability

    def forward(self, branch: Tensor) -> Tensor:
        """``(B, ...)`` to the same shape."""
        if not self.training or self.probability == 0.0:
            return branch
        keep = 1.0 - self.probability
        kept = torch.empty((branch.shape[0],) + (1,) * (branch.ndim - 1), dtype=branch.dtype, device=branch.device)
        return branch * kept.bernoulli_(keep).div_(keep)


class ConvMlp(nn.Module):
    """The MLP of a TopFormer or SeaFormer block: 1x1 conv-norm, biased depthwise 3x3, ReLU6, 1x1 conv-norm.

    The depthwise convolution stands where a transformer would have its position encoding. Nothing is activated between
    the first 1x1 and it, and it alone has a bias and no normalisation.
    """

    def __init__(self, channels: int, hidden_channels: int) -> None:
        super().__init__()
        self.expand = ConvNorm(channels, hidden_channels)
        self.depthwise = nn.Conv2d(hidden_channels, hidden_channels, 3, padding=1, groups=hidden_channels, bias=True)
        self.project = ConvNorm(hidden_channels, channels)

    def forward(self, feature: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        result: Tensor = self.project(F.relu6(self.depthwise(self.expand(feature))))
        return result


class ResidualBlock(nn.Module):
    """``x += attention(x)``, then ``x += mlp(x)``: no layer normalisation, each branch under stochastic depth.

    Args:
        attention: maps ``(B, channels, H, W)`` to the same shape.
        channels: width of the map.
        mlp_ratio: hidden width of the MLP over ``channels``.
        drop_path: chance that a sample loses a branch while training.
    """

    def __init__(self, attention: nn.Module, channels: int, mlp_ratio: int, drop_path: float) -> None:
        super().__init__()
        self.attention = attention
        self.mlp = ConvMlp(channels, channels * mlp_ratio)
        self.drop_path = DropPath(drop_path)

    def forward(self, feature: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        feature = feature + self.drop_path(self.attention(feature))
        result: Tensor = feature + self.drop_path(self.mlp(feature))
        return result


def drop_path_schedule(last: float, depth: int) -> list[float]:
    """Chances of dropping a branch for ``depth`` blocks, growing evenly from 0 to ``last``."""
    return [last * index / max(depth - 1, 1) for index in range(depth)]


def initialise_convolutions(module: nn.Module) -> None:
    """Draw every convolution from N(0, sqrt(2 / (k * k * out / groups))) and zero its bias, as upstream does.

    Normalisation scales are left as they were built, so branches that start at zero stay so. (Upstream's classifiers
    start like this; its segmenters would set all scales to 1, but they always start from a classifier.)
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            fan_out = part.kernel_size[0] * part.kernel_size[1] * part.out_channels // part.groups
            nn.init.normal_(part.weight, 0.0, math.sqrt(2.0 / fan_out))
            if part.bias is not None:
                nn.init.zeros_(part.bias)
