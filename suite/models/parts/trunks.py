"""The backbones of prior art as one kind of thing: an image to C2, C3, C4, C5 at strides 4, 8, 16, 32."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from reference_model.backbones.mobilenetv2 import STAGES, MobileNetV2
from reference_model.backbones.topformer import TOPFORMER_CONFIGS, TopFormer
from suite.models.parts.resnet import ResNet

TrunkName = Literal["resnet18", "resnet50", "resnet50_msra", "mobilenetv2", "mobilenetv2_edge", "topformer_base"]
MOBILENET_TAPS = {"mobilenetv2": (2, 3, 5, 7), "mobilenetv2_edge": (2, 3, 4, 6)}
"""Stages of MobileNetV2 that are C2..C5. AdelaiDet taps 24, 32, 96, 320 channels; YolactEdge 32, 64, 160 from C3 on."""


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


def build_trunk(name: TrunkName) -> Trunk:
    """Build a trunk; all have ``out_channels`` (C2, C3, C4, C5) and ``forward(image)`` giving these maps.

    Args:
        name: ``resnet50`` has its strides in the 3x3, ``resnet50_msra`` in the first 1x1; for the two MobileNetV2 see
            `MOBILENET_TAPS`.
    """
    if name in MOBILENET_TAPS:
        return MobileNetTrunk(MOBILENET_TAPS[name])
    if name == "topformer_base":
        return TopFormerTrunk()
    return ResNet(18 if name == "resnet18" else 50, stride_in_1x1=name == "resnet50_msra")
