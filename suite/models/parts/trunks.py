"""The backbones of prior art as one kind of module: an image to C2, C3, C4, C5 at strides 4, 8, 16, 32.

ResNet-18 and ResNet-50: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, table 1; B option of the
shortcut. Two places of the stride are in use for bottlenecks: in the 3x3 (as torchvision, taken by most methods) and in
the first 1x1 (as the paper and MSRA's weights, taken by detectron2's FPN detectors), about 6 % fewer
multiply-accumulates. MobileNetV2 and TopFormer are the reference model's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from reference_model.backbones.blocks import ConvNorm
from reference_model.backbones.mobilenetv2 import STAGES, MobileNetV2
from reference_model.backbones.topformer import TOPFORMER_CONFIGS, TopFormer

Depth = Literal[18, 50]
BLOCKS: dict[Depth, tuple[int, int, int, int]] = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}
WIDTHS = (64, 128, 256, 512)
STEM_CHANNELS = 64


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where stride or width change."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int, stride_in_1x1: bool) -> None:
        super().__init__()
        self.first = ConvNorm(in_channels, width, 3, stride)
        self.second = ConvNorm(width, width, 3, zero_scale=True)
        self.shortcut = ConvNorm(in_channels, width, 1, stride) if stride != 1 or in_channels != width else None

    def forward(self, feature: Tensor) -> Tensor:
        """``(B, in, H, W)`` to ``(B, width, ceil(H / stride), ceil(W / stride))``."""
        kept = feature if self.shortcut is None else self.shortcut(feature)
        return F.relu(self.second(F.relu(self.first(feature))) + kept)


class Bottleneck(nn.Module):
    """1x1 down, 3x3, 1x1 up to four times the width, and a shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int, stride_in_1x1: bool) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.reduce = ConvNorm(in_channels, width, 1, stride if stride_in_1x1 else 1)
        self.filter = ConvNorm(width, width, 3, 1 if stride_in_1x1 else stride)
        self.widen = ConvNorm(width, out_channels, zero_scale=True)
        changes = stride != 1 or in_channels != out_channels
        self.shortcut = ConvNorm(in_channels, out_channels, 1, stride) if changes else None

    def forward(self, feature: Tensor) -> Tensor:
        """``(B, in, H, W)`` to ``(B, 4 * width, ceil(H / stride), ceil(W / stride))``."""
        kept = feature if self.shortcut is None else self.shortcut(feature)
        return F.relu(self.widen(F.relu(self.filter(F.relu(self.reduce(feature))))) + kept)


class ResNet(nn.Module):
    """ResNet as a trunk of four maps.

    Args:
        depth: 18 (basic blocks) or 50 (bottlenecks).
        stride_in_1x1: bottlenecks take their stride in the first 1x1 and not in the 3x3.

    Attributes:
        out_channels: channels of C2, C3, C4, C5.
    """

    def __init__(self, depth: Depth, stride_in_1x1: bool = False) -> None:
        super().__init__()
        block = Bottleneck if depth == 50 else BasicBlock
        self.stem = ConvNorm(3, STEM_CHANNELS, 7, 2)
        self.stages = nn.ModuleList()
        channels = STEM_CHANNELS
        for index, (width, count) in enumerate(zip(WIDTHS, BLOCKS[depth], strict=True)):
            blocks = nn.Sequential()
            for stride in (1 if index == 0 else 2, *[1] * (count - 1)):
                blocks.append(block(channels, width, stride, stride_in_1x1))
                channels = width * block.expansion
            self.stages.append(blocks)
        c2, c3, c4, c5 = (width * block.expansion for width in WIDTHS)
        self.out_channels = (c2, c3, c4, c5)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Image (B, 3, H, W) to C2, C3, C4, C5 at strides 4, 8, 16, 32, each side rounded up."""
        feature = F.max_pool2d(F.relu(self.stem(image)), 3, 2, 1)
        maps = []
        for stage in self.stages:
            feature = stage(feature)
            maps.append(feature)
        c2, c3, c4, c5 = maps
        return c2, c3, c4, c5


class MobileNetTrunk(nn.Module):
    """MobileNetV2 up to the last stage that is tapped; later layers of the classifier are not built.

    Args:
        taps: stages, counted from 1, that are C2, C3, C4, C5.
    """

    def __init__(self, taps: tuple[int, ...]) -> None:
        super().__init__()
        whole = MobileNetV2()
        self.taps = taps
        self.stem = whole.stem
        self.stages = whole.stages[: max(taps)]
        c2, c3, c4, c5 = (STAGES[tap - 1][1] for tap in taps)
        self.out_channels = (c2, c3, c4, c5)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Image (B, 3, H, W) to C2, C3, C4, C5."""
        feature = F.relu6(self.stem(image))
        maps = []
        for number, stage in enumerate(self.stages, start=1):
            feature = stage(feature)
            if number in self.taps:
                maps.append(feature)
        c2, c3, c4, c5 = maps
        return c2, c3, c4, c5


class TopFormerTrunk(nn.Module):
    """TopFormer-Base: C2 is the raw pyramid's X2, C3..C5 are X3..X5 after semantic injection.

    Without injection nothing would read the transformer's tokens, and half of the backbone would be dead code.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = TopFormer(TOPFORMER_CONFIGS["topformer_base"], inject=True)
        c3, c4, c5, _ = self.backbone.out_channels
        self.out_channels = (self.backbone.config.pyramid_channels[0], c3, c4, c5)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Image (B, 3, H, W) to C2, C3, C4, C5."""
        stages = self.backbone.stage_features(image)
        return stages["pyr2"], stages["inj3"], stages["inj4"], stages["inj5"]


Trunk = ResNet | MobileNetTrunk | TopFormerTrunk
TRUNKS: dict[str, Callable[[], Trunk]] = {
    "resnet18": partial(ResNet, 18),
    "resnet50": partial(ResNet, 50),
    "resnet50_msra": partial(ResNet, 50, stride_in_1x1=True),
    "mobilenetv2": partial(MobileNetTrunk, (2, 3, 5, 7)),
    "mobilenetv2_edge": partial(MobileNetTrunk, (2, 3, 4, 6)),
    "topformer_base": TopFormerTrunk,
}
"""Trunks by name; all have ``out_channels`` (C2, C3, C4, C5) and ``forward(image)`` giving these maps.

Of MobileNetV2, AdelaiDet taps 24, 32, 96 and 320 channels, YolactEdge 32, 64 and 160 from C3 on.
"""
