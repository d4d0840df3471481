"""SparseInst: a set of activation maps gathers one feature vector an instance; masks are kernels times mask features.

Cheng et al., "Sparse Instance Activation for Real-Time Instance Segmentation", CVPR 2022; layer sizes as in the
authors' release (hustvl/SparseInst). SparseInst-VIS, by MobileInst's authors, is the same network for each frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_model.backbones.blocks import BackboneError
from reference_model.backbones.official import OfficialLayout, load_into
from reference_model.config import ModelConfig
from reference_model.mobileinst import MobileInst
from suite.accuracy.segmenter import PredictionProtocol, ReferenceSegmenter
from suite.errors import InputError
from suite.models import ModelEntry
from suite.models.parts.attention import mask_product
from suite.models.parts.feature_maps import CoordinateConv, PyramidPooling
from suite.models.parts.official import read_official
from suite.models.parts.selection import Selection, sigmoid_query_selection
from suite.models.parts.synthetic import MASKS, draw_weights
from suite.models.parts.trunks import BLOCKS, TRUNKS

ROWS = (
    ModelEntry(
        name="sparseinst_resnet50_608",
        method="SparseInst",
        backbone="ResNet-50",
        trunk="resnet50",
        input_shapes=((608, 864), (608, 832), (608, 608)),
        reading="GroupIAM, the authors' default",
        published_rows=("table1/sparseinst-resnet-50-608",),
    ),
    ModelEntry(
        name="sparseinst_topformer_base_608",
        method="SparseInst",
        backbone="TopFormer-Base",
        trunk="topformer_base",
        input_shapes=((608, 864), (608, 832), (608, 608)),
        reading="GroupIAM, the authors' default; TopFormer's maps after semantic injection",
        published_rows=("table1/sparseinst-topformer-base-608",),
    ),
    ModelEntry(
        name="sparseinst_vis_topformer_base_360",
        method="SparseInst-VIS",
        backbone="TopFormer-Base",
        trunk="topformer_base",
        input_shapes=((384, 640),),
        num_classes=40,
        reading="per frame SparseInst with GroupIAM, the authors' default; TopFormer's maps after semantic injection; "
        "no code was released",
        published_rows=("table2/2019/sparseinst-vis-topformer-base", "table2/2021/sparseinst-vis-topformer-base"),
    ),
)

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
    """Four activation maps an instance ("GroupIAM") pick its features out of the map; linear heads read them.

    Args:
        num_classes: number of classes.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        width = WIDTH * GROUPS
        self.branch = _branch()
        self.activation = nn.Conv2d(WIDTH, MASKS * GROUPS, 3, padding=1, groups=GROUPS)
        self.hidden = nn.Linear(width, width)
        self.classes = nn.Linear(width, num_classes)
        self.kernels = nn.Linear(width, KERNEL_WIDTH)
        self.objectness = nn.Linear(width, 1)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (B, 256, h, w) to class logits, objectness logits and kernels, (B, N, ...) each."""
        feature = self.branch(feature)
        weights = self.activation(feature).sigmoid().flatten(2)  # (B, 4 * N, h * w)
        gathered = weights @ feature.flatten(2).transpose(1, 2)
        gathered = gathered / weights.sum(dim=-1, keepdim=True).clamp(min=SMALLEST_SUM)
        instances = gathered.unflatten(1, (GROUPS, MASKS)).transpose(1, 2).flatten(2)  # (B, N, 4 * 256)
        instances = F.relu(self.hidden(instances))
        return self.classes(instances), self.objectness(instances), self.kernels(instances)


class SparseInst(nn.Module):
    """The whole network.

    Args:
        trunk: the backbone.
        num_classes: number of classes.
    """

    def __init__(self, trunk: str, num_classes: int = 80) -> None:
        super().__init__()
        self.backbone = TRUNKS[trunk]()
        _, c3, c4, c5 = self.backbone.out_channels
        self.encoder = ContextEncoder((c3, c4, c5))
        self.instance_branch = InstanceBranch(num_classes)
        self.mask_branch = nn.Sequential(*_branch(), nn.Conv2d(WIDTH, KERNEL_WIDTH, 1))

    def forward(self, image: Tensor) -> SparseInstOutput:
        """Normalised image (B, 3, H, W) to classes, objectness and masks."""
        _, c3, c4, c5 = self.backbone(image)
        feature = self.encoder(c3, c4, c5)
        class_logits, objectness_logits, kernels = self.instance_branch(feature)
        masks = F.interpolate(mask_product(kernels, self.mask_branch(feature)), scale_factor=2.0, mode="bilinear")
        return SparseInstOutput(class_logits, objectness_logits, masks)


def build(row: ModelEntry) -> SparseInst:
    """Return the network of a row with random weights."""
    return draw_weights(SparseInst(row.trunk, row.num_classes))


def select(row: ModelEntry, height_px: int, width_px: int, seed: int) -> Selection:
    """Return the selection among the network's masks at 1/4."""
    return sigmoid_query_selection(row.num_classes, MASKS, (height_px // 4, width_px // 4), seed)


def _official_layout() -> OfficialLayout:
    """Return hustvl/SparseInst's names of the modules with ResNet-50, the first convolutions of the branches split."""
    names = {"backbone.stem.convolution": "stem.conv1", "backbone.stem.norm": "stem.conv1.norm"}
    parts = {"reduce": "conv1", "filter": "conv2", "widen": "conv3", "shortcut": "shortcut"}
    for stage, blocks in enumerate(BLOCKS[50]):
        for block in range(blocks):
            for ours, theirs in list(parts.items())[: 4 if block == 0 else 3]:
                place = f"res{stage + 2}.{block}.{theirs}"
                names[f"backbone.stages.{stage}.{block}.{ours}.convolution"] = place
                names[f"backbone.stages.{stage}.{block}.{ours}.norm"] = f"{place}.norm"
    for level in range(3):  # upstream counts from the coarsest
        names[f"encoder.laterals.{level}"] = f"encoder.fpn_laterals.{2 - level}"
        names[f"encoder.outputs.{level}"] = f"encoder.fpn_outputs.{2 - level}"
    names |= {f"encoder.pooling.levels.{level}": f"encoder.ppm.stages.{level}.1" for level in range(4)}
    names |= {"encoder.pooling.merge": "encoder.ppm.bottleneck", "encoder.fusion": "encoder.fusion"}
    for ours, theirs in (
        ("instance_branch.branch", "inst_branch.inst_convs"),
        ("mask_branch", "mask_branch.mask_convs"),
    ):
        names |= {f"{ours}.0.{part}": f"decoder.{theirs}.0.{part}" for part in ("of_features", "of_coordinates")}
        names |= {f"{ours}.{place}": f"decoder.{theirs}.{place}" for place in (2, 4, 6)}
    heads = {"activation": "iam_conv", "hidden": "fc", "classes": "cls_score", "kernels": "mask_kernel"}
    for ours, theirs in (heads | {"objectness": "objectness"}).items():
        names[f"instance_branch.{ours}"] = f"decoder.inst_branch.{theirs}"
    return OfficialLayout(names | {"mask_branch.8": "decoder.mask_branch.projection"}, dropped=())


def _split_coordinates(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return upstream's tensors with each branch's first convolution apart: coordinates x and y come first there."""
    split = dict(tensors)
    texts = [name for name in tensors if isinstance(name, str) and name.endswith("_convs.0.weight")]
    for name in [name for name in texts if isinstance(tensors[name], Tensor)]:
        stem, weight = name.removesuffix("weight"), split.pop(name)
        split |= {f"{stem}of_coordinates.weight": weight[:, :2], f"{stem}of_features.weight": weight[:, 2:]}
        if f"{stem}bias" in split:
            split[f"{stem}of_coordinates.bias"] = split.pop(f"{stem}bias")
    return split


def load_official(network: SparseInst, path: Path) -> None:
    """Load the authors' weights of SparseInst with ResNet-50 and GroupIAM; nothing in the file is executed.

    Args:
        network: with the trunk ``"resnet50"`` and 80 classes.
        path: ``sparse_inst_r50_giam*.pth``, from hustvl/SparseInst's README.

    Raises:
        DataError: if the file is absent.
        InputError: if it is no checkpoint, holds more than tensors and plain values, or does not fit; nothing is
            loaded then.
    """
    official = read_official(path)
    inner = official.get("model")
    tensors = inner if isinstance(inner, Mapping) else official
    try:
        load_into(network, _split_coordinates(tensors), _official_layout())
    except BackboneError as error:
        raise InputError(f"{path}: {error}") from None


def official_segmenter(path: Path) -> ReferenceSegmenter:
    """Return the authors' model as they evaluate it, for images; arguments and errors as `load_official`."""
    network = SparseInst("resnet50")
    load_official(network, path)
    network.register_forward_hook(lambda module, images, out: out._replace(objectness_logits=out[1].squeeze(-1)))
    sizes = ModelConfig("sparseinst_resnet50_608", short_side_px=608, long_side_px=853, size_divisor_px=32)
    protocol = replace(PredictionProtocol.of(sizes), as_sparseinst=True)
    return ReferenceSegmenter(cast(MobileInst, network), sizes, protocol)
