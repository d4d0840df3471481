"""TopFormer: a token pyramid of inverted residuals, and a transformer on the pooled pyramid.

Zhang et al., "TopFormer: Token Pyramid Transformer for Mobile Semantic Segmentation", CVPR 2022. Three things differ
from what one expects of a transformer, and checkpoints depend on each: the pyramid uses plain ReLU while the trunk
uses ReLU6, attention scores are **not** divided by the root of the key width, and blocks have no layer normalisation.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reference_model.backbones import official
from reference_model.backbones.base import Backbone
from reference_model.backbones.blocks import (
    ConvNorm,
    InvertedResidual,
    ResidualBlock,
    drop_path_schedule,
    initialise_convolutions,
)

TOKEN_STRIDE = 64  # of X6 against the image: the deepest pyramid map, at 32, pooled by 2


@dataclass(frozen=True)
class TopFormerConfig:
    """What differs between TopFormer's sizes, and what they share.

    ``rows`` hold (kernel, expansion, out channels, stride) of each inverted residual; ``pyramid_rows`` are the indices
    of the rows whose outputs are X2, X3, X4 and X5.
    """

    rows: tuple[tuple[int, int, int, int], ...]
    pyramid_rows: tuple[int, int, int, int]
    heads: int
    injected_channels: int
    stem_channels: int = 16
    depth: int = 4
    key_channels: int = 16
    value_channels: int = 32
    mlp_ratio: int = 2
    drop_path: float = 0.1

    @property
    def pyramid_channels(self) -> tuple[int, ...]:
        """Channels of X2, X3, X4, X5."""
        return tuple(self.rows[row][2] for row in self.pyramid_rows)


def _rows(x2: int, x3: int, x4: int, x5: int, last: int) -> tuple[tuple[int, int, int, int], ...]:
    """The pyramid's rows; ``last`` of them are at stride 32, the third with a 3x3 kernel."""
    return (
        (3, 1, 16, 1),
        (3, 4, x2, 2),
        (3, 3, x2, 1),
        (5, 3, x3, 2),
        (5, 3, x3, 1),
        (3, 3, x4, 2),
        (3, 3, x4, 1),
        (5, 6, x5, 2),
        (5, 6, x5, 1),
        (3, 6, x5, 1),
    )[: 7 + last]


TOPFORMER_CONFIGS = {
    "topformer_tiny": TopFormerConfig(_rows(16, 32, 64, 96, last=2), (2, 4, 6, 8), heads=4, injected_channels=128),
    "topformer_small": TopFormerConfig(_rows(24, 48, 96, 128, last=3), (2, 4, 6, 9), heads=6, injected_channels=192),
    "topformer_base": TopFormerConfig(_rows(32, 64, 128, 160, last=3), (2, 4, 6, 9), heads=8, injected_channels=256),
}


class TokenPyramid(nn.Module):
    """The convolutional pyramid: a stem and inverted residuals, plain ReLU throughout."""

    def __init__(self, config: TopFormerConfig) -> None:
        super().__init__()
        self.stem = ConvNorm(3, config.stem_channels, kernel_size=3, stride=2)
        widths = (config.stem_channels, *(row[2] for row in config.rows))
        self.blocks = nn.ModuleList(
            InvertedResidual(width, out_channels, kernel, stride, expansion)
            for width, (kernel, expansion, out_channels, stride) in zip(widths, config.rows, strict=False)
        )
        self.outputs = frozenset(config.pyramid_rows)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Image ``(B, 3, H, W)`` to X2, X3, X4, X5 at strides 4, 8, 16, 32, each side rounded up."""
        feature = F.relu(self.stem(image))
        pyramid = []
        for row, block in enumerate(self.blocks):
            feature = block(feature)
            if row in self.outputs:
                pyramid.append(feature)
        return pyramid


class TokenAttention(nn.Module):
    """Multi-head attention over all positions of a map; its scores are not scaled (upstream never applies the factor).

    Args:
        channels: width of the map.
        heads: attention heads.
        key_channels: width of a query or key, per head.
        value_channels: width of a value, per head.
    """

    def __init__(self, channels: int, heads: int, key_channels: int, value_channels: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = ConvNorm(channels, heads * key_channels)
        self.key = ConvNorm(channels, heads * key_channels)
        self.value = ConvNorm(channels, heads * value_channels)
        self.output = ConvNorm(heads * value_channels, channels, zero_scale=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """``(B, C, h, w)`` to the same shape."""
        height, width = tokens.shape[-2:]
        # (B, heads * width, h, w) -> (B, heads, width, h * w)
        query = self.query(tokens).flatten(2).unflatten(1, (self.heads, -1))
        key = self.key(tokens).flatten(2).unflatten(1, (self.heads, -1))
        value = self.value(tokens).flatten(2).unflatten(1, (self.heads, -1))
        weights = (query.transpose(-2, -1) @ key).softmax(dim=-1)  # (B, heads, queries, keys)
        attended = (weights @ value.transpose(-2, -1)).transpose(-2, -1)
        result: Tensor = self.output(F.relu6(attended.flatten(1, 2).unflatten(2, (height, width))))
        return result


class SemanticInjection(nn.Module):
    """Semantic injection: gate a local map by the global one and add the global one.

    ``local(x) * up(hsigmoid(gate(g))) + up(semantics(g))``, where the gate is squashed before it is upsampled, and the
    upsampling is bilinear with pixel centres aligned, not corners.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.local = ConvNorm(channels, out_channels)
        self.gate = ConvNorm(channels, out_channels)
        self.semantics = ConvNorm(channels, out_channels)

    def forward(self, local: Tensor, semantics: Tensor) -> Tensor:
        """Local ``(B, C, H, W)`` and global ``(B, C, h, w)`` to ``(B, out_channels, H, W)``."""
        size = local.shape[-2:]
        gate = F.interpolate(F.hardsigmoid(self.gate(semantics)), size=size, mode="bilinear", align_corners=False)
        added = F.interpolate(self.semantics(semantics), size=size, mode="bilinear", align_corners=False)
        result: Tensor = self.local(local) * gate + added
        return result


def pool_pyramid(pyramid: list[Tensor], aligned: bool) -> Tensor:
    """Average every pyramid map down to stride 64 (sides rounded up) and concatenate them, fine to coarse.

    Args:
        pyramid: X2, X3, X4, X5 at strides 4, 8, 16, 32.
        aligned: both image sides are multiples of 64. The cells of the average are then equal squares and it is plain
            average pooling, which every mobile runtime has; otherwise they are the uneven ones of adaptive pooling.
            Told from outside, because an exporter knows this of the image but not of the maps.

    Returns:
        ``(B, sum of channels, ceil(H / 64), ceil(W / 64))``.
    """
    if aligned:
        return torch.cat([F.avg_pool2d(level, 16 >> index) for index, level in enumerate(pyramid)], dim=1)
    height, width = pyramid[-1].shape[-2:]
    size = ((height + 1) // 2, (width + 1) // 2)
    return torch.cat([F.adaptive_avg_pool2d(level, size) for level in pyramid], dim=1)


class TopFormer(Backbone):
    """TopFormer as a backbone of four maps.

    Args:
        config: one of ``TOPFORMER_CONFIGS``.
        inject: return X3..X5 after semantic injection (``injected_channels`` wide) and not the raw pyramid.
    """

    def __init__(self, config: TopFormerConfig, inject: bool = False) -> None:
        super().__init__()
        self.config = config
        channels = sum(config.pyramid_channels)
        self.pyramid = TokenPyramid(config)
        self.trunk = nn.ModuleList(
            ResidualBlock(
                TokenAttention(channels, config.heads, config.key_channels, config.value_channels),
                channels,
                config.mlp_ratio,
                drop_path,
            )
            for drop_path in drop_path_schedule(config.drop_path, config.depth)
        )
        _, *local_channels = config.pyramid_channels
        self.injection = (
            nn.ModuleList(SemanticInjection(width, config.injected_channels) for width in local_channels)
            if inject
            else None
        )
        x3, x4, x5 = [config.injected_channels] * 3 if inject else local_channels
        self.out_channels = (x3, x4, x5, channels)
        self.out_stages = ("inj3", "inj4", "inj5", "x6") if inject else ("pyr3", "pyr4", "pyr5", "x6")
        initialise_convolutions(self)

    def stage_features(self, image: Tensor) -> dict[str, Tensor]:
        """Every intermediate map of one pass, by upstream's order of computation.

        Args:
            image: ``(B, 3, H, W)``, normalised RGB, sides of any size from 1.

        Returns:
            ``pyr2..pyr5`` (strides 4..32), ``pooled_cat`` and ``block0..`` and ``x6`` (stride 64), and with injection
            ``inj3..inj5`` (strides 8..32).
        """
        pyramid = self.pyramid(image)
        stages = {f"pyr{level}": feature for level, feature in enumerate(pyramid, start=2)}
        height, width = image.shape[-2:]
        tokens = pool_pyramid(pyramid, aligned=height % TOKEN_STRIDE == 0 and width % TOKEN_STRIDE == 0)
        stages["pooled_cat"] = tokens
        for index, block in enumerate(self.trunk):
            tokens = stages[f"block{index}"] = block(tokens)
        stages["x6"] = tokens
        if self.injection is not None:
            _, *semantics = torch.split(tokens, list(self.config.pyramid_channels), dim=1)
            for level, injection in enumerate(self.injection, start=3):
                stages[f"inj{level}"] = injection(stages[f"pyr{level}"], semantics[level - 3])
        return stages

    def official_layout(self) -> official.OfficialLayout:
        """TopFormer's own layout; the weights of the injection are dropped when it is not built."""
        names = official.conv_norm("pyramid.stem", "tpm.stem.0")
        for row, (_, expansion, _, _) in enumerate(self.config.rows):
            names |= official.inverted_residual(f"pyramid.blocks.{row}", f"tpm.layer{row + 1}", expansion != 1)
        for index in range(self.config.depth):
            names |= official.residual_block(f"trunk.{index}", f"trans.transformer_blocks.{index}")
        if self.injection is None:
            return official.OfficialLayout(names, dropped=(*official.HEADS, "SIM."))
        for index in range(len(self.injection)):
            ours, theirs = f"injection.{index}", f"SIM.{index + 1}"  # upstream counts from X2, which is not injected
            for part, upstream in (
                ("local", "local_embedding"),
                ("gate", "global_act"),
                ("semantics", "global_embedding"),
            ):
                names |= official.conv_norm(f"{ours}.{part}", f"{theirs}.{upstream}", ("conv", "bn"))
        return official.OfficialLayout(names)
