"""Attention and feed-forward blocks of the query-based methods, with normalisation after the residual sum.

Vaswani et al., "Attention Is All You Need", NeurIPS 2017; masked as in Cheng et al., "Masked-attention Mask Transformer
for Universal Image Segmentation", CVPR 2022, section 3.2.1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = -1e4
"""Added to the scores of tokens a query must not see: finite, so that no row can become NaN, and still zero after the
softmax."""


class QueryOutput(NamedTuple):
    """What FastInst and Mask2Former give for one image: N = 100 queries (fewer where it has fewer places)."""

    class_logits: Tensor
    """(1, N, classes + 1), the last one for "no object"."""
    mask_logits: Tensor
    """(1, N, H / stride, W / stride) at the method's stride of masks."""


class Attention(nn.Module):
    """Multi-head attention and its residual: ``norm(query + attention)``.

    Args:
        width: length of a token.
        heads: number of heads; divides ``width``.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm = nn.LayerNorm(width)

    def forward(
        self, tokens: Tensor, position: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        """Attend and add.

        Args:
            tokens: (B, N, width), what asks.
            position: (B or 1, N, width), added to ``tokens`` for the question only.
            keys: (B, L, width).
            values: (B, L, width).
            bias: (B, 1, N, L) added to the scores of all heads.

        Returns:
            (B, N, width).
        """
        split = (self.heads, tokens.shape[-1] // self.heads)
        q = self.query(tokens + position).unflatten(-1, split).transpose(1, 2)
        k = self.key(keys).unflatten(-1, split).transpose(1, 2)
        v = self.value(values).unflatten(-1, split).transpose(1, 2)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        result: Tensor = self.norm(tokens + self.out(attended.transpose(1, 2).flatten(-2)))
        return result


class FeedForward(nn.Module):
    """Two linear layers with ReLU between, and their residual: ``norm(tokens + layers)``."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """``(B, N, width)`` to the same shape."""
        result: Tensor = self.norm(tokens + self.narrow(F.relu(self.widen(tokens))))
        return result


class Perceptron(nn.Module):
    """Three linear layers with ReLU between them: the heads of masks and, in FastInst, of classes."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, size) for size in (width, width, outputs))

    def forward(self, tokens: Tensor) -> Tensor:
        """``(B, N, width)`` to ``(B, N, outputs)``."""
        first, second, last = self.layers
        result: Tensor = last(F.relu(second(F.relu(first(tokens)))))
        return result


def attention_bias(mask_logits: Tensor) -> Tensor:
    """Return what keeps each query to the foreground of its own mask, and lets a query without foreground see all.

    Args:
        mask_logits: (B, N, h, w); foreground where not negative.

    Returns:
        (B, 1, N, h * w): 0 or `HIDDEN`.
    """
    outside = (mask_logits.flatten(2) < 0).to(mask_logits.dtype)
    all_outside = outside.amin(dim=-1, keepdim=True)
    return (outside * (1 - all_outside) * HIDDEN).unsqueeze(1)


def to_tokens(feature: Tensor) -> Tensor:
    """Return a map (B, C, h, w) as tokens (B, h * w, C), row by row."""
    return feature.flatten(2).transpose(1, 2)


def mask_product(embeddings: Tensor, feature: Tensor) -> Tensor:
    """Return mask logits (B, N, h, w): embeddings (B, N, C) times the features (B, C, h, w) of every place."""
    product = torch.matmul(embeddings, feature.flatten(2))
    return product.reshape(*product.shape[:2], *feature.shape[-2:])
