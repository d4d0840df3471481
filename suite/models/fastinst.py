"""FastInst: queries taken from the picture's own most confident places, and pixels and queries updated in turn.

He et al., "FastInst: A Simple Query-Based Model for Real-Time Instance Segmentation", CVPR 2023; layer sizes as in the
authors' release (junjiehe96/FastInst). Its masks are at stride 8.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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
from suite.models.parts.feature_maps import ContextPyramid
from suite.models.parts.selection import Selection, softmax_query_selection
from suite.models.parts.synthetic import DECISIVE, MASKS, draw_weights
from suite.models.parts.trunks import TRUNKS

ROWS = (
    ModelEntry(
        name="fastinst_topformer_base_640",
        method="FastInst",
        backbone="TopFormer-Base",
        trunk="topformer_base",
        reading="D3, three decoder layers: upstream's model of this input size, and what the published 965 ms fits",
        published_rows=("table1/fastinst-topformer-base-640",),
    ),
)

WIDTH = 256
HEADS = 8
HIDDEN_WIDTH = 1024
AUXILIARY_QUERIES = 8
POSITION_CELLS = 10
LAYERS = 3


def choose_places(class_logits: Tensor, count: int) -> Tensor:
    """Return the places that become queries: the most confident ones, local maxima of their class first.

    A place counts with its best foreground class; where no neighbour in the 3x3 around it has that class with a higher
    probability, it gains 1 and so comes before all others.

    Args:
        class_logits: (1, classes + 1, h, w), the last one for "no object".
        count: number of places.

    Returns:
        (count,) indices into the h * w places, int64, ascending: the order of queries means nothing, and this one does
        not depend on which of two nearly equal scores is larger.
    """
    probability = class_logits.softmax(dim=1)[:, :-1]
    best, category = probability.max(dim=1, keepdim=True)
    neighbours = F.max_pool2d(probability, 3, stride=1, padding=1).gather(1, category)
    score = best + (best >= neighbours).to(best.dtype)
    return score.flatten().topk(count).indices.sort().values


class PredictionHead(nn.Module):
    """One stage's heads: classes, and masks as products of query embeddings and pixel embeddings."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.classes = Perceptron(WIDTH, num_classes + 1)
        self.mask_embedding = Perceptron(WIDTH, WIDTH)
        self.pixels = nn.Linear(WIDTH, WIDTH)

    def after_draw(self) -> None:
        """Give random mask logits a sign that no rounding flips: they steer the next layer's attention."""
        nn.init.normal_(self.pixels.bias, 0.0, DECISIVE)

    def masks(self, queries: Tensor, pixels: Tensor, size: tuple[int, int]) -> Tensor:
        """Return mask logits (B, N, h, w) of queries (B, N, 256) on pixels (B, h * w, 256)."""
        feature = self.pixels(pixels).transpose(1, 2).reshape(pixels.shape[0], WIDTH, *size)
        return mask_product(self.mask_embedding(self.norm(queries)), feature)


class DualLayer(nn.Module):
    """Pixels attend to queries; then queries to the pixels of their masks, and to each other."""

    def __init__(self) -> None:
        super().__init__()
        self.pixel_attention = Attention(WIDTH, HEADS)
        self.pixel_feed_forward = FeedForward(WIDTH, HIDDEN_WIDTH)
        self.cross_attention = Attention(WIDTH, HEADS)
        self.self_attention = Attention(WIDTH, HEADS)
        self.query_feed_forward = FeedForward(WIDTH, HIDDEN_WIDTH)

    def forward(
        self, pixels: Tensor, pixel_position: Tensor, queries: Tensor, query_position: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Update both.

        Args:
            pixels: (B, L, 256).
            pixel_position: (1, L, 256).
            queries: (B, M, 256), auxiliary ones last.
            query_position: (B, M, 256).
            bias: (B, 1, M, L) added to the queries' scores of pixels.

        Returns:
            The new pixels and queries.
        """
        pixels = self.pixel_attention(pixels, pixel_position, queries + query_position, queries)
        pixels = self.pixel_feed_forward(pixels)
        queries = self.cross_attention(queries, query_position, pixels + pixel_position, pixels, bias)
        queries = self.self_attention(queries, query_position, queries + query_position, queries)
        return pixels, self.query_feed_forward(queries)


class FastInst(nn.Module):
    """The whole network.

    Args:
        trunk: the backbone.
        num_classes: number of classes, "no object" not counted.
    """

    def __init__(self, trunk: str, num_classes: int = 80) -> None:
        super().__init__()
        self.backbone = TRUNKS[trunk]()
        self.pixel_decoder = ContextPyramid(self.backbone.out_channels[1:], WIDTH)
        self.proposals = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU(), nn.Conv2d(WIDTH, num_classes + 1, 1)
        )
        self.position = nn.Parameter(torch.randn(1, WIDTH, POSITION_CELLS, POSITION_CELLS))
        self.auxiliary_queries = nn.Parameter(torch.randn(1, AUXILIARY_QUERIES, WIDTH))
        self.auxiliary_positions = nn.Parameter(torch.randn(1, AUXILIARY_QUERIES, WIDTH))
        self.layers = nn.ModuleList(DualLayer() for _ in range(LAYERS))
        self.heads = nn.ModuleList(PredictionHead(num_classes) for _ in range(LAYERS + 1))

    def position_tokens(self, feature: Tensor) -> Tensor:
        """Return the learned position of every place of a map (B, C, h, w) as (1, h * w, 256)."""
        return to_tokens(F.interpolate(self.position, size=feature.shape[-2:], mode="bilinear"))

    def forward(self, image: Tensor) -> QueryOutput:
        """Normalised image (1, 3, H, W) to classes and masks."""
        _, *deep = self.backbone(image)
        fine, middle, _ = self.pixel_decoder(*deep)
        count = min(MASKS, middle.shape[-2] * middle.shape[-1])
        chosen = choose_places(self.proposals(middle), count)
        queries = torch.cat([to_tokens(middle).index_select(1, chosen), self.auxiliary_queries], dim=1)
        query_position = torch.cat(
            [self.position_tokens(middle).index_select(1, chosen), self.auxiliary_positions], dim=1
        )
        pixels, pixel_position = to_tokens(fine), self.position_tokens(fine)
        size = (fine.shape[-2], fine.shape[-1])
        heads = cast("list[PredictionHead]", list(self.heads))
        masks = heads[0].masks(queries[:, :count], pixels, size)
        for layer, head in zip(self.layers, heads[1:], strict=True):
            # Auxiliary queries see every pixel.
            bias = F.pad(attention_bias(masks), (0, 0, 0, AUXILIARY_QUERIES))
            pixels, queries = layer(pixels, pixel_position, queries, query_position, bias)
            masks = head.masks(queries[:, :count], pixels, size)
        return QueryOutput(heads[-1].classes(heads[-1].norm(queries[:, :count])), masks)


def build(row: ModelEntry) -> FastInst:
    """Return the network of a row with random weights."""
    return draw_weights(FastInst(row.trunk, row.num_classes))


def select(row: ModelEntry, height_px: int, width_px: int, seed: int) -> Selection:
    """Return the selection among the network's masks at 1/8."""
    return softmax_query_selection(row.num_classes, MASKS, (height_px // 8, width_px // 8), seed)
