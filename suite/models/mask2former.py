"""Mask2Former: 100 queries attend to the foreground of their own masks, level by level.

Cheng et al., "Masked-attention Mask Transformer for Universal Image Segmentation", CVPR 2022; layer sizes as in the
authors' release (facebookresearch/Mask2Former), with two pixel decoders, since the paper that timed it beside
MobileInst cannot have used the original one. Deformable attention: Zhu et al., "Deformable DETR", ICLR 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_model.instance_decoder import sine_position
from suite.models import ModelEntry
from suite.models.parts.attention import (
    Attention,
    FeedForward,
    Perceptron,
    QueryOutput,
    attention_bias,
    mask_product,
    to_tokens,
)
from suite.models.parts.feature_maps import normed
from suite.models.parts.selection import Selection, softmax_query_selection
from suite.models.parts.synthetic import DECISIVE, MASKS, draw_weights
from suite.models.parts.trunks import TRUNKS

ROWS = (
    ModelEntry(
        name="mask2former_topformer_base_640",
        method="Mask2Former",
        backbone="TopFormer-Base",
        trunk="topformer_base",
        reading="lightened: plain top-down sums in place of the six deformable encoder layers, the cheapest reading "
        "and the one that the published 930 ms fits",
        published_rows=("table1/mask2former-topformer-base-640",),
    ),
    ModelEntry(
        name="mask2former_topformer_base_640_deformable",
        method="Mask2Former",
        backbone="TopFormer-Base",
        trunk="topformer_base",
        variant="deformable",
        alternative_to="mask2former_topformer_base_640",
        reading="complete: with upstream's six layers of deformable attention, which the published 930 ms cannot "
        "contain",
    ),
)

WIDTH = 256
HEADS = 8
ENCODER_LAYERS, ENCODER_HIDDEN, POINTS = 6, 1024, 4
DECODER_LAYERS, DECODER_HIDDEN = 9, 2048
LEVELS = 3
Sizes = list[tuple[int, int]]
"""Height and width of each map."""


def cell_centres(sizes: Sizes, device: torch.device) -> Tensor:
    """Return x and y of the centre of every cell of maps (height, width) in 0 to 1, map by map: (cells, 2)."""
    maps = []
    for height, width in sizes:
        x = ((torch.arange(width, device=device) + 0.5) / width).expand(height, width)
        y = ((torch.arange(height, device=device) + 0.5) / height)[:, None].expand(height, width)
        maps.append(torch.stack([x, y], dim=-1).flatten(0, 1))
    return torch.cat(maps)


class DeformableAttention(nn.Module):
    """Deformable attention over several maps: every token looks at a few places that it chooses itself.

    For a batch of one image. The samples are taken with ``grid_sample``, one call a map with the heads as its batch and
    the points along the height of the sampling grid: their weighted sum is then a sum of contiguous rows, a quarter
    faster on ONNX Runtime than with the points innermost, and also faster than gathering rows by computed indices.

    Args:
        width: length of a token.
        heads: number of heads; divides ``width``.
        levels: number of maps.
        points: places per head and map.
    """

    def __init__(self, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = nn.Linear(width, heads * levels * points * 2)
        self.weights = nn.Linear(width, heads * levels * points)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, queries: Tensor, tokens: Tensor, centres: Tensor, sizes: Sizes) -> Tensor:
        """Sample and mix.

        Args:
            queries: (1, T, width), tokens with position.
            tokens: (1, T, width), what is sampled.
            centres: (T, 2), x and y of each token's own place in 0 to 1.
            sizes: (height, width) of each map; their cells in order are the T tokens.

        Returns:
            (1, T, width).
        """
        count = queries.shape[1]
        shape = (count, self.heads, self.levels, self.points)
        offsets = self.offsets(queries).reshape(*shape, 2).permute(2, 1, 3, 0, 4)  # (levels, heads, points, T, 2)
        weights = self.weights(queries).reshape(count, self.heads, -1).softmax(dim=-1).permute(1, 2, 0)
        maps = torch.split(self.value(tokens)[0], [height * width for height, width in sizes])
        samples = []
        for level, (height, width) in enumerate(sizes):
            scale = torch.tensor([2 / width, 2 / height], device=queries.device)
            grid = 2 * centres - 1 + offsets[level] * scale
            values = maps[level].transpose(0, 1).reshape(self.heads, -1, height, width)
            samples.append(F.grid_sample(values, grid, padding_mode="zeros", align_corners=False))
        mixed = (torch.cat(samples, dim=2) * weights[:, None]).sum(dim=2)  # (heads, width / heads, T)
        result: Tensor = self.out(mixed.flatten(0, 1).transpose(0, 1)[None])
        return result


class DeformableLayer(nn.Module):
    """Deformable attention and a feed-forward network, normalised after each residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = DeformableAttention(WIDTH, HEADS, LEVELS, POINTS)
        self.norm = nn.LayerNorm(WIDTH)
        self.feed_forward = FeedForward(WIDTH, ENCODER_HIDDEN)

    def forward(self, tokens: Tensor, position: Tensor, centres: Tensor, sizes: Sizes) -> Tensor:
        """Tokens (1, T, width) with their position (1, T, width) to the same shape."""
        mixed = self.attention(tokens + position, tokens, centres, sizes)
        result: Tensor = self.feed_forward(self.norm(tokens + mixed))
        return result


class DeformableEncoder(nn.Module):
    """Projections of C3, C4, C5 and six layers of deformable attention among all their cells."""

    def __init__(self, in_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.projections = nn.ModuleList(normed(channels, WIDTH, bias=True) for channels in in_channels)
        self.level_embedding = nn.Parameter(torch.randn(LEVELS, WIDTH))
        self.layers = nn.ModuleList(DeformableLayer() for _ in range(ENCODER_LAYERS))

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """Maps of one image, fine to coarse, to maps (1, 256, h, w) in the same order."""
        levels = [project(feature) for project, feature in zip(self.projections, maps, strict=True)][::-1]
        sizes = [(level.shape[-2], level.shape[-1]) for level in levels]
        tokens = torch.cat([to_tokens(level) for level in levels], dim=1)
        sines = [sine_position(*size, WIDTH, tokens) + self.level_embedding[i] for i, size in enumerate(sizes)]
        position, centres = torch.cat(sines)[None], cell_centres(sizes, tokens.device)
        for layer in self.layers:
            tokens = layer(tokens, position, centres, sizes)
        parts = torch.split(tokens, [height * width for height, width in sizes], dim=1)
        restored = [part.transpose(1, 2).reshape(1, WIDTH, *size) for part, size in zip(parts, sizes, strict=True)]
        return tuple(restored[::-1])


class TopDownSums(nn.Module):
    """The same projections, then each map plus the coarser result, bilinearly resized; nothing else is learned."""

    def __init__(self, in_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.projections = nn.ModuleList(normed(channels, WIDTH, bias=True) for channels in in_channels)

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """Maps (B, C, h, w), fine to coarse, to maps (B, 256, h, w) in the same order."""
        levels = [project(feature) for project, feature in zip(self.projections, maps, strict=True)]
        for index in reversed(range(len(levels) - 1)):
            size = levels[index].shape[-2:]
            levels[index] = levels[index] + F.interpolate(levels[index + 1], size=size, mode="bilinear")
        return tuple(levels)


class PixelDecoder(nn.Module):
    """C2..C5 to mask features at stride 4 and three maps for the transformer."""

    def __init__(self, in_channels: tuple[int, int, int, int], deformable: bool) -> None:
        super().__init__()
        c2, *deep = in_channels
        self.encoder = DeformableEncoder(tuple(deep)) if deformable else TopDownSums(tuple(deep))
        self.lateral = normed(c2, WIDTH)
        self.output = normed(WIDTH, WIDTH, 3)
        self.mask_features = nn.Conv2d(WIDTH, WIDTH, 1)

    def after_draw(self) -> None:
        """Give random mask logits a sign that no rounding flips: they steer the next layer's attention."""
        if self.mask_features.bias is not None:
            nn.init.normal_(self.mask_features.bias, 0.0, DECISIVE)

    def forward(self, maps: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return mask features (B, 256, H / 4, W / 4), and the maps at strides 32, 16, 8."""
        c2, *deep = maps
        levels = self.encoder(*deep)
        lateral = self.lateral(c2)
        fine = lateral + F.interpolate(levels[0], size=lateral.shape[-2:], mode="bilinear")
        return self.mask_features(F.relu(self.output(fine))), levels[::-1]


class DecoderLayer(nn.Module):
    """Masked cross-attention, self-attention, feed-forward."""

    def __init__(self) -> None:
        super().__init__()
        self.cross_attention, self.self_attention = Attention(WIDTH, HEADS), Attention(WIDTH, HEADS)
        self.feed_forward = FeedForward(WIDTH, DECODER_HIDDEN)

    def forward(self, queries: Tensor, position: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        """Refine queries (B, N, 256) by a map's keys and values (B, L, 256) under ``bias`` (B, 1, N, L)."""
        queries = self.cross_attention(queries, position, keys, values, bias)
        queries = self.self_attention(queries, position, queries + position, queries)
        result: Tensor = self.feed_forward(queries)
        return result


class Mask2Former(nn.Module):
    """The whole network: ten predictions of masks, of which nine steer the attention of the layer that follows.

    Args:
        trunk: the backbone.
        num_classes: number of classes, "no object" not counted.
        deformable: whether the pixel decoder has upstream's deformable attention instead of top-down sums.
    """

    def __init__(self, trunk: str, num_classes: int = 80, deformable: bool = True) -> None:
        super().__init__()
        self.backbone = TRUNKS[trunk]()
        self.pixel_decoder = PixelDecoder(self.backbone.out_channels, deformable)
        self.queries = nn.Parameter(torch.randn(1, MASKS, WIDTH))
        self.positions = nn.Parameter(torch.randn(1, MASKS, WIDTH))
        self.level_embedding = nn.Parameter(torch.randn(LEVELS, WIDTH))
        self.layers = nn.ModuleList(DecoderLayer() for _ in range(DECODER_LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.classes = nn.Linear(WIDTH, num_classes + 1)
        self.mask_embedding = Perceptron(WIDTH, WIDTH)

    def masks(self, queries: Tensor, mask_features: Tensor) -> Tensor:
        """Return the mask logits (B, N, H / 4, W / 4) of queries (B, N, 256)."""
        return mask_product(self.mask_embedding(self.norm(queries)), mask_features)

    def forward(self, image: Tensor) -> QueryOutput:
        """Normalised image (1, 3, H, W) to classes and masks."""
        mask_features, maps = self.pixel_decoder(self.backbone(image))
        values = [to_tokens(level) + self.level_embedding[index] for index, level in enumerate(maps)]
        keys = [
            value + sine_position(level.shape[-2], level.shape[-1], WIDTH, value)
            for value, level in zip(values, maps, strict=True)
        ]
        queries = self.queries
        masks = self.masks(queries, mask_features)
        for index, layer in enumerate(self.layers):
            level = index % LEVELS
            bias = attention_bias(F.interpolate(masks, size=maps[level].shape[-2:], mode="bilinear"))
            queries = layer(queries, self.positions, keys[level], values[level], bias)
            masks = self.masks(queries, mask_features)
        return QueryOutput(self.classes(self.norm(queries)), masks)


def build(row: ModelEntry) -> Mask2Former:
    """Return the network of a row with random weights."""
    return draw_weights(Mask2Former(row.trunk, row.num_classes, deformable=row.variant == "deformable"))


def select(row: ModelEntry, height_px: int, width_px: int, seed: int) -> Selection:
    """Return the selection among the network's masks at 1/4."""
    return softmax_query_selection(row.num_classes, MASKS, (height_px // 4, width_px // 4), seed)
