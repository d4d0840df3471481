"""SparseInst: a set of activation maps gathers one feature vector an instance; masks are kernels times mask features.

Cheng et al., "Sparse Instance Activation for Real-Time Instance Segmentation", CVPR 2022; layer sizes as in the
authors' release (hustvl/SparseInst). SparseInst-VIS, by MobileInst's authors, is the same network for each frame.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.models.networks import MASKS
from suite.models.parts.coordinates import CoordinateConv
from suite.models.parts.pyramid_pooling import PyramidPooling
from suite.models.parts.trunks import TrunkName, build_trunk

WIDTH = 256
KERNEL_WIDTH = 128
DEPTH = 4
GROUPS = 4
SMALLEST_SUM = 1e-6


class SparseInstOutput(NamedTuple):
    """What the network gives for one image: N = 100 instances."""

    class_logits: Tensor
    """(1, N, classes)."""
    objectness_logits: Tensor
    """(1, N, 1)."""
    mask_logits: Tensor
    """(1, N, H / 4, W / 4)."""


class ContextEncoder(nn.Module):
    """C3, C4, C5 to one map at stride 8: pyramid pooling, a top-down pyramid, and all levels fused.

    Args:
        in_channels: of C3, C4, C5.
    """

    def __init__(self, in_channels: tuple[int, int, int]) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(channels, WIDTH, 1) for channels in in_channels)
        self.outputs = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in in_channels)
        self.pooling = PyramidPooling(WIDTH)
        self.fusion = nn.Conv2d(WIDTH * len(in_channels), WIDTH, 1)

    def forward(self, c3: Tensor, c4: Tensor, c5: Tensor) -> Tensor:
        """Return the fused map (B, 256, H / 8, W / 8)."""
        l3, l4, l5 = (lateral(feature) for lateral, feature in zip(self.laterals, (c3, c4, c5), strict=True))
        p5 = self.pooling(l5)
        p4 = l4 + F.interpolate(p5, size=l4.shape[-2:], mode="nearest")
        p3 = l3 + F.interpolate(p4, size=l3.shape[-2:], mode="nearest")
        o3, o4, o5 = (output(feature) for output, feature in zip(self.outputs, (p3, p4, p5), strict=True))
        size = o3.shape[-2:]
        coarse = [F.interpolate(level, size=size, mode="bilinear") for level in (o4, o5)]
        result: Tensor = self.fusion(torch.cat([o3, *coarse], dim=1))
        return result


def _branch() -> nn.Sequential:
    """Return four 3x3 convolutions with ReLU; the first also reads the place's coordinates."""
    layers: list[nn.Module] = [CoordinateConv(WIDTH, WIDTH, bias=True), nn.ReLU()]
    for _ in range(DEPTH - 1):
        layers += [nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)


class InstanceBranch(nn.Module):
    """Activation maps pick each instance's features out of the map; linear heads read them.

    Args:
        num_classes: number of classes.
        groups: activation maps per instance: 4 (GroupIAM, with a hidden layer over the four vectors) or 1 (BaseIAM).
    """

    def __init__(self, num_classes: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        width = WIDTH * groups
        self.branch = _branch()
        self.activation = nn.Conv2d(WIDTH, MASKS * groups, 3, padding=1, groups=groups)
        self.hidden = nn.Linear(width, width) if groups > 1 else None
        self.classes = nn.Linear(width, num_classes)
        self.kernels = nn.Linear(width, KERNEL_WIDTH)
        self.objectness = nn.Linear(width, 1)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (B, 256, h, w) to class logits, objectness logits and kernels, (B, N, ...) each."""
        feature = self.branch(feature)
        weights = self.activation(feature).sigmoid().flatten(2)  # (B, groups * N, h * w)
        gathered = weights @ feature.flatten(2).transpose(1, 2)
        gathered = gathered / weights.sum(dim=-1, keepdim=True).clamp(min=SMALLEST_SUM)
        instances = gathered.unflatten(1, (self.groups, MASKS)).transpose(1, 2).flatten(2)  # (B, N, groups * 256)
        if self.hidden is not None:
            instances = F.relu(self.hidden(instances))
        return self.classes(instances), self.objectness(instances), self.kernels(instances)


class SparseInst(nn.Module):
    """The whole network.

    Args:
        trunk: the backbone.
        num_classes: number of classes.
        grouped: GroupIAM, upstream's default, instead of BaseIAM.
    """

    def __init__(self, trunk: TrunkName, num_classes: int = 80, grouped: bool = True) -> None:
        super().__init__()
        self.backbone = build_trunk(trunk)
        _, c3, c4, c5 = self.backbone.out_channels
        self.encoder = ContextEncoder((c3, c4, c5))
        self.instance_branch = InstanceBranch(num_classes, GROUPS if grouped else 1)
        self.mask_branch = nn.Sequential(*_branch(), nn.Conv2d(WIDTH, KERNEL_WIDTH, 1))

    def forward(self, image: Tensor) -> SparseInstOutput:
        """Normalised image (B, 3, H, W) to classes, objectness and masks."""
        _, c3, c4, c5 = self.backbone(image)
        feature = self.encoder(c3, c4, c5)
        class_logits, objectness_logits, kernels = self.instance_branch(feature)
        mask_features = self.mask_branch(feature)
        masks = (kernels @ mask_features.flatten(2)).unflatten(2, mask_features.shape[-2:])
        masks = F.interpolate(masks, scale_factor=2.0, mode="bilinear")
        return SparseInstOutput(class_logits, objectness_logits, masks)
