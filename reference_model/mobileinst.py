"""The whole MobileInst: images to classes, objectness and masks (paper, figure 3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_model.backbones import build_backbone
from reference_model.config import ModelConfig
from reference_model.instance_decoder import InstanceDecoder, InstancePrediction, sine_position
from reference_model.mask_decoder import MaskDecoder, resize_like

LOCAL_POOL_SIZE = 8  # from X_mask at 1/8 to the 1/64 of X6


class NonFiniteError(ValueError):
    """The network's output contains NaN or infinity: training has diverged or the weights are spoiled."""


class FrameFeatures(NamedTuple):
    """What one frame gives before any query is asked."""

    mask_features: Tensor
    """(B, kernel_dim, H/8, W/8); sizes rounded up."""
    local: Tensor
    """X_L: X_mask pooled to the decoder's stride, (B, hidden_dim, H/64, W/64)."""
    global_: Tensor
    """X_G: X6 projected, at the decoder's stride, (B, hidden_dim, H/64, W/64)."""


class MobileInstOutput(NamedTuple):
    """What a forward pass returns for B images and N queries."""

    class_logits: Tensor
    """(B, N, num_classes)."""
    objectness_logits: Tensor
    """(B, N)."""
    kernels: Tensor
    """(B, N, kernel_dim)."""
    mask_features: Tensor
    """(B, kernel_dim, H/8, W/8)."""
    mask_logits: Tensor
    """(B, N, H/4, W/4)."""
    global_queries: Tensor
    """Q^G (B, N, hidden_dim)."""
    auxiliary: MobileInstOutput | None = None
    """With deep supervision, in training mode: the same heads' output for the queries after the first decoder."""


class MaskProduct(nn.Module):
    """M = K . X_mask, then twice as large: kernels and mask features to mask logits at 1/4."""

    def forward(self, kernels: Tensor, mask_features: Tensor) -> Tensor:
        """Multiply (B, N, kernel_dim) with (B, kernel_dim, h, w) and upsample to (B, N, 2h, 2w)."""
        batch, queries, _ = kernels.shape
        height, width = mask_features.shape[-2:]
        products = torch.bmm(kernels, mask_features.flatten(2)).view(batch, queries, height, width)
        return F.interpolate(products, scale_factor=2.0, mode="bilinear", align_corners=False)


class MobileInst(nn.Module):
    """MobileInst as configured.

    Images are RGB float32, normalised by ImageNet's mean and standard deviation, then padded with zeros at the right
    and the bottom to a multiple of ``config.size_divisor_px``; any size runs, feature sizes are rounded up.

    Args:
        config: the variant.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone, inject=config.pyramid == "injected")
        self.mask_decoder = MaskDecoder(self.backbone.out_channels, config)
        self.instance_decoder = InstanceDecoder(config)
        self.mask_product = MaskProduct()

    def encode(self, images: Tensor) -> FrameFeatures:
        """Compute everything that depends on the frame only.

        Args:
            images: (B, 3, H, W).

        Returns:
            Mask features, local features and global features; with kernel reuse only the first are needed.
        """
        x3, x4, x5, x6 = self.backbone(images)
        x_mask, mask_features, x_global = self.mask_decoder(x3, x4, x5, x6)
        if self.config.decoder_stride == 32:
            x_global = resize_like(x_global, x5, "bilinear")
        return FrameFeatures(mask_features, self._pool_local(x_mask), x_global)

    def _pool_local(self, x_mask: Tensor) -> Tensor:
        """Pool X_mask (1/8) to X_L; windows are aligned with the strides, the last ones clipped at the border."""
        size = LOCAL_POOL_SIZE * self.config.decoder_stride // 64
        if self.config.local_pooling == "max":
            return F.max_pool2d(x_mask, size, ceil_mode=True)
        return F.avg_pool2d(x_mask, size, ceil_mode=True, count_include_pad=False)

    def _memory(self, features: FrameFeatures) -> dict[str, tuple[Tensor, Tensor]]:
        """Return tokens and keys (B, L, hidden_dim) of the maps that the decoders attend to."""
        height, width = features.global_.shape[-2:]
        maps = {"global": features.global_, "local": features.local}
        sources = dict.fromkeys(self.instance_decoder.sources)
        tokens = {source: maps[source].flatten(2).transpose(1, 2) for source in sources}
        if self.config.token_norm:
            tokens = {source: F.layer_norm(token, token.shape[-1:]) for source, token in tokens.items()}
        if self.config.position_encoding == "none":
            return {source: (token, token) for source, token in tokens.items()}
        position = sine_position(height, width, self.config.hidden_dim, features.global_)
        return {source: (token, token + position) for source, token in tokens.items()}

    def decode(self, features: FrameFeatures) -> InstancePrediction:
        """Ask the queries: features of B frames give classes, objectness, kernels and Q^G of N queries each."""
        prediction: InstancePrediction = self.instance_decoder(self._memory(features))
        return prediction

    def decode_from_queries(self, global_queries: Tensor, features: FrameFeatures) -> InstancePrediction:
        """Temporal query passing: let another frame's Q^G attend to this frame's features.

        Args:
            global_queries: Q^G (B, N, hidden_dim) of the other frame.
            features: this frame's features; only those of the second decoder are read.

        Returns:
            The prediction of the passed queries on this frame.

        Raises:
            ValueError: if the model has a single decoder, which leaves nothing to pass the queries to.
        """
        if len(self.instance_decoder.sources) == 1:
            raise ValueError(f"decoder {self.config.decoder!r} has no second decoder to pass queries to")
        return self.instance_decoder.from_queries(global_queries, self._memory(features))

    def masks(self, kernels: Tensor, mask_features: Tensor) -> Tensor:
        """Return the mask logits (B, N, H/4, W/4) of kernels (B, N, kernel_dim), from any frame, on this frame."""
        logits: Tensor = self.mask_product(kernels, mask_features)
        return logits

    def reuse(self, images: Tensor, kernels: Tensor) -> Tensor:
        """Reuse kernels (B, N, kernel_dim) of another frame: return their mask logits (B, N, H/4, W/4) on these images.

        The instance decoder does not run.
        """
        return self.masks(kernels, self.encode(images).mask_features)

    def forward(self, images: Tensor) -> MobileInstOutput:
        """Segment a batch.

        Args:
            images: (B, 3, H, W), normalised and padded.

        Returns:
            Logits, kernels, mask features, masks and Q^G of every query, and with deep supervision in training mode
            the first decoder's predictions in ``auxiliary``.
        """
        return self.segment(self.encode(images))

    def segment(self, features: FrameFeatures) -> MobileInstOutput:
        """Decode the features of B frames and form the masks; returns what `forward` returns."""
        prediction = self.decode(features)
        output = self.with_masks(prediction, features)
        if self.config.deep_supervision and self.training:
            early = self.instance_decoder.predict(prediction.global_queries, prediction.global_queries)
            output = output._replace(auxiliary=self.with_masks(early, features))
        return output

    def with_masks(self, prediction: InstancePrediction, features: FrameFeatures) -> MobileInstOutput:
        """Join a prediction with its masks on the given frames."""
        class_logits, objectness_logits, kernels, global_queries, _ = prediction
        mask_logits = self.masks(kernels, features.mask_features)
        return MobileInstOutput(
            class_logits, objectness_logits, kernels, features.mask_features, mask_logits, global_queries
        )
