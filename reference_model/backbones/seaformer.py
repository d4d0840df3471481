"""SeaFormer: five stacks of inverted residuals, the last ones followed by squeeze-enhanced axial attention.

Wan et al., "SeaFormer: Squeeze-enhanced Axial Transformer for Mobile Semantic Segmentation", ICLR 2023. The stacks use
ReLU and the attention stages ReLU6. Unlike TopFormer's, the attention scores are scaled and the positions learned, and
the map at stride 64 is a stage of the network.
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

POSITIONS = 16  # learned per axis; interpolated to the map's side

Row = tuple[int, int, int, int]


@dataclass(frozen=True)
class SeaFormerConfig:
    """What differs between SeaFormer's sizes, and what they share.

    ``stacks`` hold the rows (kernel, expansion, out channels, stride) of each stack of inverted residuals, the first
    after the stem. ``depths``, ``key_channels`` and ``mlp_ratios`` have one entry per attention stage; these stages
    follow the last stacks.
    """

    stacks: tuple[tuple[Row, ...], ...]
    depths: tuple[int, ...]
    heads: int
    key_channels: tuple[int, ...] = (16, 24)
    mlp_ratios: tuple[int, ...] = (2, 4)
    stem_channels: int = 16
    value_ratio: int = 2
    drop_path: float = 0.1

    @property
    def stack_channels(self) -> tuple[int, ...]:
        """Channels after each stack."""
        return tuple(stack[-1][2] for stack in self.stacks)


def _stacks(channels: tuple[int, int, int, int, int], fourth_expansion: int) -> tuple[tuple[Row, ...], ...]:
    """The stacks of tiny, small and base, which differ in width and in one expansion."""
    c1, c2, c3, c4, c5 = channels
    return (
        ((3, 1, 16, 1), (3, 4, c1, 2), (3, 3, c1, 1)),
        ((5, 3, c2, 2), (5, 3, c2, 1)),
        ((3, 3, c3, 2), (3, 3, c3, 1)),
        ((5, fourth_expansion, c4, 2),),
        ((3, 6, c5, 2),),
    )


SEAFORMER_CONFIGS = {
    "seaformer_tiny": SeaFormerConfig(_stacks((16, 32, 64, 128, 160), 3), depths=(2, 2), heads=4),
    "seaformer_small": SeaFormerConfig(_stacks((24, 48, 96, 160, 192), 4), depths=(3, 3), heads=6),
    "seaformer_base": SeaFormerConfig(_stacks((32, 64, 128, 192, 256), 4), depths=(4, 4), heads=8),
    "seaformer_large": SeaFormerConfig(
        (
            ((3, 3, 32, 1), (3, 4, 64, 2), (3, 4, 64, 1)),
            ((5, 4, 128, 2), (5, 4, 128, 1)),
            ((3, 4, 192, 2), (3, 4, 192, 1)),
            ((5, 4, 256, 2),),
            ((3, 6, 320, 2),),
        ),
        depths=(3, 3, 3),
        heads=8,
        key_channels=(16, 20, 24),
        mlp_ratios=(2, 4, 6),
        stem_channels=32,
    ),
}


class Stack(nn.Module):
    """Inverted residuals with ReLU, the first stack's after a stem of stride 2."""

    def __init__(self, rows: tuple[Row, ...], in_channels: int, has_stem: bool) -> None:
        super().__init__()
        self.stem = ConvNorm(3, in_channels, kernel_size=3, stride=2) if has_stem else None
        widths = (in_channels, *(row[2] for row in rows))
        self.blocks = nn.ModuleList(
            InvertedResidual(width, out_channels, kernel, stride, expansion)
            for width, (kernel, expansion, out_channels, stride) in zip(widths, rows, strict=False)
        )

    def forward(self, feature: Tensor) -> Tensor:
        """``(B, C, H, W)`` to half the sides, rounded up (a quarter with the stem)."""
        if self.stem is not None:
            feature = F.relu(self.stem(feature))
        for block in self.blocks:
            feature = block(feature)
        return feature


class AxisPosition(nn.Module):
    """A learned position code along one axis, added to squeezed queries or keys."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.randn(1, channels, POSITIONS))

    def forward(self, squeezed: Tensor) -> Tensor:
        """``(B, C, L)`` to the same shape; the code is interpolated linearly to ``L``."""
        # as a map one pixel wide: the same numbers, and one resize in an exported graph of open size
        size = (squeezed.shape[-1], 1)
        code = F.interpolate(self.pos_embed.unsqueeze(-1), size=size, mode="bilinear", align_corners=False)
        return squeezed + code.squeeze(-1)


class AxisAttention(nn.Module):
    """Attention along one axis of a map that was averaged over the other axis.

    Args:
        heads: attention heads.
        key_channels: width of a query or key, per head; the scores are multiplied by its inverse root.
        value_channels: width of a value, per head.
    """

    def __init__(self, heads: int, key_channels: int, value_channels: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = key_channels**-0.5
        self.query_position = AxisPosition(heads * key_channels)
        self.key_position = AxisPosition(heads * key_channels)
        self.output = ConvNorm(heads * value_channels, heads * value_channels, zero_scale=True)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, squeezed_axis: int) -> Tensor:
        """Attend along the axis that is left when ``squeezed_axis`` (-1 or -2) is averaged away.

        Args:
            query: ``(B, heads * key_channels, H, W)``.
            key: the same shape.
            value: ``(B, heads * value_channels, H, W)``.
            squeezed_axis: -1 attends from row to row, -2 from column to column.

        Returns:
            ``(B, heads * value_channels, H, 1)`` or ``(..., 1, W)``, to be broadcast over the squeezed axis.
        """
        heads = (self.heads, -1)  # (B, heads * width, length) becomes (B, heads, width, length)
        queries = torch.unflatten(self.query_position(query.mean(squeezed_axis)), 1, heads)
        keys = torch.unflatten(self.key_position(key.mean(squeezed_axis)), 1, heads)
        values = torch.unflatten(value.mean(squeezed_axis), 1, heads)
        weights = (queries.transpose(-2, -1) @ keys * self.scale).softmax(dim=-1)  # (B, heads, queries, keys)
        attended = (weights @ values.transpose(-2, -1)).transpose(-2, -1)
        attended = attended.flatten(1, 2).unsqueeze(squeezed_axis)
        result: Tensor = self.output(F.relu6(attended))
        return result


class SqueezeAxialAttention(nn.Module):
    """Squeeze-enhanced axial attention: row and column attention gate a convolutional detail branch.

    Args:
        channels: width of the map.
        heads: attention heads.
        key_channels: width of a query or key, per head.
        value_channels: width of a value, per head.
    """

    def __init__(self, channels: int, heads: int, key_channels: int, value_channels: int) -> None:
        super().__init__()
        keys, values = heads * key_channels, heads * value_channels
        detail = 2 * keys + values
        self.query = ConvNorm(channels, keys)
        self.key = ConvNorm(channels, keys)
        self.value = ConvNorm(channels, values)
        self.rows = AxisAttention(heads, key_channels, value_channels)
        self.columns = AxisAttention(heads, key_channels, value_channels)
        self.output = ConvNorm(values, channels, zero_scale=True)
        self.detail_depthwise = ConvNorm(detail, detail, kernel_size=3, groups=detail)
        self.detail_project = ConvNorm(detail, channels)

    def forward(self, feature: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        query, key, value = self.query(feature), self.key(feature), self.value(feature)
        detail = self.detail_project(F.relu6(self.detail_depthwise(torch.cat([query, key, value], dim=1))))
        axial = self.rows(query, key, value, squeezed_axis=-1) + self.columns(query, key, value, squeezed_axis=-2)
        gate = F.hardsigmoid(self.output(F.relu6(value + axial)))
        result: Tensor = gate * detail
        return result


class SeaFormer(Backbone):
    """SeaFormer's context branch as a backbone of four maps; the fusion of its segmentation head is not part of it.

    X3, X4, X5 and X6 are the outputs of the second to fifth stack, each after the attention stage that follows it, if
    one does: X4 comes before any attention in tiny, small and base, and after it in large.

    Args:
        config: one of ``SEAFORMER_CONFIGS``.
    """

    def __init__(self, config: SeaFormerConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.stack_channels
        widths = (config.stem_channels, *channels)
        self.stacks = nn.ModuleList(
            Stack(rows, width, has_stem=index == 0)
            for index, (rows, width) in enumerate(zip(config.stacks, widths, strict=False))
        )
        self.plain_stacks = len(config.stacks) - len(config.depths)  # the first ones, which no attention follows
        self.attention_stages = nn.ModuleList(
            nn.Sequential(
                *(
                    ResidualBlock(
                        SqueezeAxialAttention(width, config.heads, keys, keys * config.value_ratio),
                        width,
                        mlp_ratio,
                        drop_path,
                    )
                    for drop_path in drop_path_schedule(config.drop_path, depth)
                )
            )
            for width, depth, keys, mlp_ratio in zip(
                channels[self.plain_stacks :], config.depths, config.key_channels, config.mlp_ratios, strict=True
            )
        )
        _, x3, x4, x5, x6 = channels
        self.out_channels = (x3, x4, x5, x6)
        stage_3, stage_4, stage_5, stage_6 = (self._stage_name(index) for index in range(1, 5))
        self.out_stages = (stage_3, stage_4, stage_5, stage_6)
        initialise_convolutions(self)

    def _stage_name(self, stack: int) -> str:
        """The name in ``stage_features`` of what a stack hands to the next one."""
        return f"smb{stack + 1}" if stack < self.plain_stacks else f"trans{stack - self.plain_stacks + 1}"

    def stage_features(self, image: Tensor) -> dict[str, Tensor]:
        """Every stage's map.

        Args:
            image: ``(B, 3, H, W)``, normalised RGB, sides of any size.

        Returns:
            ``smb1..smb5`` (strides 4, 8, 16, 32, 64), each before attention, and ``trans1..`` after it.
        """
        stages = {}
        feature = image
        for index, stack in enumerate(self.stacks):
            feature = stages[f"smb{index + 1}"] = stack(feature)
            if index >= self.plain_stacks:
                feature = self.attention_stages[index - self.plain_stacks](feature)
                stages[self._stage_name(index)] = feature
        return stages

    def official_layout(self) -> official.OfficialLayout:
        """SeaFormer's own layout, of the classification and the segmentation checkpoints."""
        names = official.conv_norm("stacks.0.stem", "smb1.stem_block.0")
        for index, rows in enumerate(self.config.stacks):
            for row, (_, expansion, _, _) in enumerate(rows):
                names |= official.inverted_residual(
                    f"stacks.{index}.blocks.{row}", f"smb{index + 1}.layer{row + 1}", expansion != 1
                )
        for index, depth in enumerate(self.config.depths):
            for block in range(depth):
                ours, theirs = f"attention_stages.{index}.{block}", f"trans{index + 1}.transformer_blocks.{block}"
                names |= official.residual_block(ours, theirs)
                names |= official.conv_norm(f"{ours}.attention.detail_depthwise", f"{theirs}.attn.dwconv")
                names |= official.conv_norm(f"{ours}.attention.detail_project", f"{theirs}.attn.pwconv")
                for axis, upstream in (("rows", "row"), ("columns", "column")):
                    names |= official.conv_norm(
                        f"{ours}.attention.{axis}.output", f"{theirs}.attn.proj_encode_{upstream}.1"
                    )
                    names[f"{ours}.attention.{axis}.query_position"] = f"{theirs}.attn.pos_emb_{upstream}q"
                    names[f"{ours}.attention.{axis}.key_position"] = f"{theirs}.attn.pos_emb_{upstream}k"
        return official.OfficialLayout(names, dropped=(*official.HEADS, "fuse1.", "fuse2.", "fuse3.", "fusion."))
