"""Mask2Former: 100 queries attend to the foreground of their own masks, level by level.

Cheng et al., "Masked-attention Mask Transformer for Universal Image Segmentation", CVPR 2022; layer sizes as in the
authors' release (facebookresearch/Mask2Former), with three pixel decoders, since the paper that timed it beside
MobileInst cannot have used the original one.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_model.instance_decoder import sine_position
from suite.models.networks import MASKS
from suite.models.parts.attention import Attention, FeedForward, Perceptron, attention_bias, mask_product, to_tokens
from suite.models.parts.context_pyramid import ContextPyramid, normed
from suite.models.parts.deformable import DeformableLayer, cell_centres
from suite.models.parts.trunks import TrunkName, build_trunk
from suite.models.parts.weights import DECISIVE

WIDTH = 256
HEADS = 8
ENCODER_LAYERS, ENCODER_HIDDEN, POINTS = 6, 1024, 4
DECODER_LAYERS, DECODER_HIDDEN = 9, 2048
LEVELS = 3

PixelDecoderName = Literal["deformable", "fpn", "context_pyramid"]
"""``deformable`` is upstream's. ``fpn`` has its projections and its last step, but plain top-down sums for the six
encoder layers. ``context_pyramid`` is FastInst's pixel decoder with that last step."""


class Mask2FormerOutput(NamedTuple):
    """What the network gives for one image: N = 100 queries."""

    class_logits: Tensor
    """(1, N, classes + 1), the last one for "no object"."""
    mask_logits: Tensor
    """(1, N, H / 4, W / 4)."""


class DeformableEncoder(nn.Module):
    """Projections of C3, C4, C5 and six layers of deformable attention among all their cells."""

    def __init__(self, in_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.projections = nn.ModuleList(normed(channels, WIDTH, bias=True) for channels in in_channels)
        self.level_embedding = nn.Parameter(torch.randn(LEVELS, WIDTH))
        self.layers = nn.ModuleList(
            DeformableLayer(WIDTH, ENCODER_HIDDEN, HEADS, LEVELS, POINTS) for _ in range(ENCODER_LAYERS)
        )

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

    def __init__(self, in_channels: tuple[int, int, int, int], kind: PixelDecoderName) -> None:
        super().__init__()
        c2, *deep = in_channels
        kinds = {"deformable": DeformableEncoder, "fpn": TopDownSums}
        self.encoder = kinds[kind](tuple(deep)) if kind in kinds else ContextPyramid(tuple(deep), WIDTH)
        self.lateral = normed(c2, WIDTH)
        self.output = normed(WIDTH, WIDTH, 3)
        self.mask_features = nn.Conv2d(WIDTH, WIDTH, 1)

    def after_draw(self) -> None:
        """Settle the signs of random mask logits, which steer the next layer's attention."""
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
        pixel_decoder: which one.
    """

    def __init__(self, trunk: TrunkName, num_classes: int = 80, pixel_decoder: PixelDecoderName = "deformable") -> None:
        super().__init__()
        self.backbone = build_trunk(trunk)
        self.pixel_decoder = PixelDecoder(self.backbone.out_channels, pixel_decoder)
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

    def forward(self, image: Tensor) -> Mask2FormerOutput:
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
        return Mask2FormerOutput(self.classes(self.norm(queries)), masks)
