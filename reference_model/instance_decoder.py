"""The dual transformer instance decoder: queries attend to X_G, then to X_L, and become kernels.

    Q -> global decoder (keys and values X_G) -> Q^G -> local decoder (keys and values X_L) -> FFN -> heads

A decoder is one cross-attention and one self-attention, without a feed-forward network of its own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_model.config import ModelConfig


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


class InstancePrediction(NamedTuple):
    """What the instance decoder says of N queries."""

    class_logits: Tensor
    """(B, N, num_classes), to be passed through a sigmoid each."""
    objectness_logits: Tensor
    """(B, N), the logit of the mask's expected IoU."""
    kernels: Tensor
    """(B, N, kernel_dim), whose products with the mask features are the mask logits."""
    global_queries: Tensor
    """Q^G (B, N, hidden_dim): the queries after the first decoder, which temporal query passing hands on."""
    embedding: Tensor
    """(B, N, hidden_dim): the last decoder's normalised output, which the heads read."""


class Attention(nn.Module):
    """Multi-head attention with separate projections of queries, keys and values.

    Args:
        width: length of a query, key and value token.
        heads: number of heads; divides ``width``.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        for projection in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attend: ``query`` (B, N, width), ``key`` and ``value`` (B, L, width) give (B, N, width)."""
        split = (self.heads, query.shape[-1] // self.heads)
        q = self.query(query).unflatten(-1, split).transpose(1, 2)
        k = self.key(key).unflatten(-1, split).transpose(1, 2)
        v = self.value(value).unflatten(-1, split).transpose(1, 2)
        out: Tensor = self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(-2))
        return out


class QueryDecoder(nn.Module):
    """One of the two decoders: cross-attention to a map's tokens, then self-attention among the queries.

    Args:
        config: gives width, heads, ``self_attention`` and ``norm_position``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.hidden_dim
        self.pre_norm = config.norm_position == "pre"
        self.cross_norm = nn.LayerNorm(width)
        self.cross_attention = Attention(width, config.num_heads)
        self.has_self_attention = config.self_attention
        if config.self_attention:
            self.self_norm = nn.LayerNorm(width)
            self.self_attention = Attention(width, config.num_heads)

    def forward(self, queries: Tensor, query_position: Tensor, tokens: Tensor, keys: Tensor) -> Tensor:
        """Refine the queries.

        Args:
            queries: content of the queries, (B, N, width).
            query_position: learned position of each query, (N, width), added where queries or keys are formed.
            tokens: the map's tokens, used as values, (B, L, width).
            keys: the tokens with their position encoding, (B, L, width).

        Returns:
            The refined queries (B, N, width).
        """
        if self.pre_norm:
            queries = queries + self.cross_attention(self.cross_norm(queries) + query_position, keys, tokens)
            if self.has_self_attention:
                content = self.self_norm(queries)
                placed = content + query_position
                queries = queries + self.self_attention(placed, placed, content)
            return queries
        queries = self.cross_norm(queries + self.cross_attention(queries + query_position, keys, tokens))
        if self.has_self_attention:
            placed = queries + query_position
            queries = self.self_norm(queries + self.self_attention(placed, placed, queries))
        return queries


class FeedForward(nn.Module):
    """The one feed-forward network, residual, after the last decoder, with the LayerNorm that the heads read through.

    Args:
        config: gives width, inner width and ``norm_position``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.pre_norm = config.norm_position == "pre"
        self.norm = nn.LayerNorm(config.hidden_dim)
        self.expand = nn.Linear(config.hidden_dim, config.feed_forward_width)
        self.reduce = nn.Linear(config.feed_forward_width, config.hidden_dim)
        if self.pre_norm:
            self.out_norm = nn.LayerNorm(config.hidden_dim)
        for layer in (self.expand, self.reduce):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, queries: Tensor) -> Tensor:
        """Map queries (B, N, width) to what the heads read (B, N, width)."""
        out: Tensor
        if self.pre_norm:
            out = self.out_norm(queries + self.reduce(F.relu(self.expand(self.norm(queries)))))
        else:
            out = self.norm(queries + self.reduce(F.relu(self.expand(queries))))
        return out


class InstanceDecoder(nn.Module):
    """Learned queries, one or two decoders, a feed-forward network and three linear heads.

    Args:
        config: the model's options; ``decoder`` says which features each decoder attends to.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.hidden_dim
        self.sources = config.decoder_sources
        self.option = config.decoder
        self.query_content = nn.Parameter(torch.randn(config.num_queries, width))
        self.query_position = nn.Parameter(torch.randn(config.num_queries, width))
        self.decoders = nn.ModuleList(QueryDecoder(config) for _ in self.sources)
        self.feed_forward = FeedForward(config)
        self.class_head = nn.Linear(width, config.num_classes)
        self.objectness_head = nn.Linear(width, 1)
        self.kernel_head = nn.Linear(width, config.kernel_dim)
        for head in (self.class_head, self.objectness_head, self.kernel_head):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        nn.init.constant_(self.class_head.bias, math.log(config.class_prior / (1 - config.class_prior)))

    def refine(self, index: int, queries: Tensor, memory: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        """Pass queries (B, N, hidden_dim) through decoder ``index``; ``memory`` is (tokens, keys) by source."""
        tokens, keys = memory[self.sources[index]]
        out: Tensor = self.decoders[index](queries, self.query_position, tokens, keys)
        return out

    def predict(self, queries: Tensor, global_queries: Tensor) -> InstancePrediction:
        """Apply the feed-forward network and the heads to queries (B, N, hidden_dim)."""
        read = self.feed_forward(queries)
        objectness = self.objectness_head(read).squeeze(-1)
        return InstancePrediction(self.class_head(read), objectness, self.kernel_head(read), global_queries, read)

    def forward(self, memory: dict[str, tuple[Tensor, Tensor]]) -> InstancePrediction:
        """Decode the instances of a batch.

        Args:
            memory: for ``"global"`` and ``"local"`` the tokens and the keys, each (B, L, hidden_dim).

        Returns:
            The prediction; with a single decoder ``global_queries`` are the queries after it.
        """
        batch = memory[self.sources[0]][0].shape[0]
        global_queries = self.refine(0, self.query_content.expand(batch, -1, -1), memory)
        return self.from_queries(global_queries, memory)

    def from_queries(self, global_queries: Tensor, memory: dict[str, tuple[Tensor, Tensor]]) -> InstancePrediction:
        """Run what follows the first decoder on given queries (B, N, hidden_dim)."""
        queries = global_queries
        for index in range(1, len(self.sources)):
            queries = self.refine(index, queries, memory)
        return self.predict(queries, global_queries)
