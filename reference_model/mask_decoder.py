"""The semantic-enhanced mask decoder: X3, X4, X5 and X6 become the mask features at 1/8.

Three passes over the pyramid, each map 1/2 the size of the one before::

    top-down     P5 = SE(X5)      P4 = X4 + up(P5)        P3 = X3 + up(P4)
    bottom-up    N3 = C(P3)       N4 = C(P4) + down(N3)   N5 = C(P5) + down(N4)
    top-down     S5 = SE(C(N5))   S4 = C(N4) + up(S5)     X_mask = C(N3) + up(S4)

C is a 3x3 convolution and SE a semantic enhancer, which mixes the global semantics X_G (= X6) into its input.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from reference_model.backbones.blocks import ConvNorm, initialise_convolutions
from reference_model.config import ModelConfig


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


def resize_like(x: Tensor, target: Tensor, mode: str) -> Tensor:
    """Resize a map (B, C, h, w) to the exact height and width of ``target``, half-pixel centres, no copy if equal."""
    size = target.shape[-2:]
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=size, mode=mode, align_corners=False if mode == "bilinear" else None)


class SemanticEnhancer(nn.Module):
    """X_l * f(X_G) + g(X_G): scales and shifts a map by the global semantics.

    f is a 1x1 convolution, batch norm and hard sigmoid, g a 1x1 convolution and batch norm; both are computed at the
    size of X_G and then upsampled, as in TopFormer's semantic injection, whose formula the paper's figure matches.
    The option ``"shared"`` is the public reproduction's form: g = f = relu(BNconv(up(X_G))), and
    relu(BNconv(relu(BNconv(X_l)) * g + g)).

    Args:
        config: gives ``hidden_dim``, ``semantic_enhancer`` and ``upsampling``.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.hidden_dim
        self.mode = config.upsampling
        self.shared = config.semantic_enhancer == "shared"
        self.local = conv_norm(width, width, 1, activation=self.shared)
        if self.shared:
            self.semantics = conv_norm(width, width, 1, activation=True)
            self.out = conv_norm(width, width, 1, activation=True)
        else:
            self.scale = conv_norm(width, width, 1, activation=False)
            self.shift = conv_norm(width, width, 1, activation=False)

    def forward(self, x_local: Tensor, x_global: Tensor) -> Tensor:
        """Enhance one map.

        Args:
            x_local: (B, hidden_dim, h, w).
            x_global: X_G after its lateral projection, (B, hidden_dim, h6, w6).

        Returns:
            The enhanced map (B, hidden_dim, h, w).
        """
        local: Tensor = self.local(x_local)
        if self.shared:
            semantics = self.semantics(resize_like(x_global, x_local, self.mode))
            enhanced: Tensor = self.out(local * semantics + semantics)
            return enhanced
        scale = resize_like(F.hardsigmoid(self.scale(x_global)), x_local, self.mode)
        shift = resize_like(self.shift(x_global), x_local, self.mode)
        return local * scale + shift


class MaskDecoderOutput(NamedTuple):
    """What the mask decoder hands to the rest of the model."""

    x_mask: Tensor
    """X_mask (B, hidden_dim, H/8, W/8), from which the local features are pooled."""
    mask_features: Tensor
    """X_mask projected to (B, kernel_dim, H/8, W/8), which the kernels are multiplied with."""
    x_global: Tensor
    """X_G: X6 projected to (B, hidden_dim, H/64, W/64)."""


class MaskDecoder(nn.Module):
    """X3..X6 to X_mask, the mask features and the projected X_G.

    Args:
        in_channels: channels of X3, X4, X5 and X6.
        config: the model's options.
    """

    def __init__(self, in_channels: tuple[int, int, int, int], config: ModelConfig) -> None:
        super().__init__()
        width = config.hidden_dim
        self.upsampling = config.upsampling
        self.average_down = config.downsampling == "average"
        activation = config.lateral_activation == "relu"
        self.lateral3, self.lateral4, self.lateral5, self.lateral6 = (
            conv_norm(channels, width, 1, activation) for channels in in_channels
        )
        self.enhance_in = SemanticEnhancer(config)
        self.enhance_out = SemanticEnhancer(config)

        def convolve() -> nn.Module:
            once = conv_norm(width, width, 3, activation=True)
            if config.mask_decoder_convolutions == 6:
                return once
            return nn.Sequential(once, conv_norm(width, width, 3, activation=True))

        self.first3, self.first4, self.first5 = (convolve() for _ in range(3))
        self.second3, self.second4, self.second5 = (convolve() for _ in range(3))
        self.mask_features = nn.Conv2d(width, config.kernel_dim, 1)
        initialise_convolutions(self)

    def down(self, x: Tensor, target: Tensor) -> Tensor:
        """Halve a map (rounded up) to the size of ``target``; both options are the 2x2 mean on even sizes."""
        if self.average_down:
            return F.avg_pool2d(x, kernel_size=2, stride=2, ceil_mode=True, count_include_pad=False)
        return F.interpolate(x, size=target.shape[-2:], mode="bilinear", align_corners=False)

    def up(self, x: Tensor, target: Tensor) -> Tensor:
        """Resize a map to the exact size of ``target``."""
        return resize_like(x, target, self.upsampling)

    def forward(self, x3: Tensor, x4: Tensor, x5: Tensor, x6: Tensor) -> MaskDecoderOutput:
        """Decode the mask features of a batch.

        Args:
            x3: (B, C3, H/8, W/8); sizes are rounded up here and below.
            x4: (B, C4, H/16, W/16).
            x5: (B, C5, H/32, W/32).
            x6: (B, C6, H/64, W/64), the global semantics X_G.

        Returns:
            X_mask, the mask features and the projected X_G.
        """
        x3, x4, x5, x_global = self.lateral3(x3), self.lateral4(x4), self.lateral5(x5), self.lateral6(x6)
        p5 = self.enhance_in(x5, x_global)
        p4 = x4 + self.up(p5, x4)
        p3 = x3 + self.up(p4, x3)
        n3 = self.first3(p3)
        n4 = self.first4(p4) + self.down(n3, p4)
        n5 = self.first5(p5) + self.down(n4, p5)
        s5 = self.enhance_out(self.second5(n5), x_global)
        s4 = self.second4(n4) + self.up(s5, n4)
        x_mask = self.second3(n3) + self.up(s4, n3)
        return MaskDecoderOutput(x_mask, self.mask_features(x_mask), x_global)
