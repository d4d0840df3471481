"""CondInst: FCOS whose every location also predicts the weights of a small mask head.

Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection", ICCV 2019; "Conditional Convolutions for Instance
Segmentation", ECCV 2020. The mask head is three 1x1 convolutions, 10 -> 8 -> 8 -> 1 channels with ReLU between, on 8
features at 1/8 that all instances share and on the instance's relative coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_model.backbones.blocks import BATCH_NORM_EPSILON, ConvNorm
from suite.models import ModelEntry
from suite.models.parts.feature_maps import FeaturePyramid, tower
from suite.models.parts.selection import (
    DETECTIONS,
    Floats,
    Selection,
    cell_centres,
    greedy_nms,
    level_sizes,
    sigmoid,
    synthetic_logits,
)
from suite.models.parts.synthetic import draw_weights, middle
from suite.models.parts.trunks import TRUNKS

ROWS = (
    ModelEntry(
        name="condinst_resnet50_800",
        method="CondInst",
        backbone="ResNet-50",
        trunk="resnet50_msra",
        input_shapes=((800, 1344), (800, 1088)),
        masks_apart=True,
        reading="short side 800 px and the longest side that the authors' configuration allows",
        published_rows=("table1/condinst-resnet-50-800",),
    ),
    ModelEntry(
        name="condinst_topformer_base_640",
        method="CondInst",
        backbone="TopFormer-Base",
        trunk="topformer_base",
        input_shapes=((640, 864), (640, 640), (640, 1088)),
        masks_apart=True,
        reading="TopFormer's maps after semantic injection; the shape of the other methods at 640 px, "
        "the smaller of two",
        published_rows=("table1/condinst-topformer-base-640",),
    ),
)

LEVEL_CANDIDATES = 1000
WIDTH = 256
DEPTH = 4
STRIDES_PX = (8, 16, 32, 64, 128)


class CondInstOutput(NamedTuple):
    """What the network computes, for the locations of all levels P3..P7, fine to coarse and row by row."""

    class_logits: Tensor
    """(B, classes, locations)."""
    box_sides_px: Tensor
    """(B, 4, locations): distances to the left, top, right and bottom side, not negative."""
    centerness_logits: Tensor
    """(B, 1, locations)."""
    controllers: Tensor
    """(B, controls, locations): the weights of each location's mask head."""
    embeddings: Tensor | None
    """(B, 256, locations): what tells instances apart across frames, in CrossVIS alone."""
    mask_features: Tensor
    """(B, 8, H/8, W/8)."""
    mask_probabilities: Tensor | None = None
    """(B, 100, H/4, W/4) with masks, else None."""


class FcosHead(nn.Module):
    """The head that P3..P7 share; only the scale of the boxes is a level's own.

    The three convolutions that end the box tower (box, centre-ness, controller) are computed as one.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.class_tower = tower(WIDTH, WIDTH, DEPTH, bias=True)
        self.box_tower = tower(WIDTH, WIDTH, DEPTH, bias=True)
        self.classes = nn.Conv2d(WIDTH, num_classes, 3, padding=1)
        self.of_box = nn.Conv2d(WIDTH, 4 + 1 + CONTROLS, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(STRIDES_PX)))

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """P3..P7 (B, 256, h, w) to classes, boxes, centre-ness and controllers at all their locations."""
        predictions = []
        for index, (level, stride_px) in enumerate(zip(levels, STRIDES_PX, strict=True)):
            classes = self.classes(self.class_tower(level)).flatten(2)
            boxes, centerness, controllers = torch.split(
                self.of_box(self.box_tower(level)).flatten(2), [4, 1, CONTROLS], dim=1
            )
            predictions.append((classes, F.relu(boxes * self.scales[index]) * stride_px, centerness, controllers))
        classes, boxes, centerness, controllers = (torch.cat(values, 2) for values in zip(*predictions, strict=True))
        return classes, boxes, centerness, controllers


def _locations_px(levels: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Return centres (locations, 2) as x and y in pixels, and the number of each location's level among P3..P7."""
    centres, numbers = [], []
    for index, ((height, width), stride_px) in enumerate(zip(levels, STRIDES_PX, strict=True)):
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centres.append(torch.stack([columns, rows], dim=-1).reshape(-1, 2) * stride_px + stride_px // 2)
        numbers.append(torch.full((height * width,), index))
    return torch.cat(centres).float(), torch.cat(numbers)


FEATURES = 8
CONTROLS = 169
FEATURE_STRIDE_PX = 8
OBJECT_SIZES_PX = (64, 128, 256, 512, 1024)
"""What relative coordinates are divided by, per level of the instance's location."""
WEIGHT_COUNTS = ((FEATURES + 2) * FEATURES, FEATURES * FEATURES, FEATURES)
BIAS_COUNTS = (FEATURES, FEATURES, 1)


def upsample_aligned(feature: Tensor, factor: int) -> Tensor:
    """Enlarge a map so that cell i lands exactly on cell ``factor * i + factor // 2``, linearly in between.

    AdelaiDet calls this aligned bilinear and computes it by padding, resizing with aligned corners, padding and
    cropping. Repeating each cell and averaging over windows of ``factor`` is the same function, edges included, made
    of two operators that every mobile runtime has fast.

    Args:
        feature: (B, C, h, w).
        factor: even.

    Returns:
        (B, C, factor * h, factor * w).
    """
    height, width = factor * feature.shape[2], factor * feature.shape[3]
    repeated = F.interpolate(feature, scale_factor=factor, mode="nearest")
    averaged = F.avg_pool2d(repeated, factor, stride=1, padding=factor // 2, count_include_pad=False)
    return averaged[..., :height, :width]


class MaskFeatureBranch(nn.Module):
    """P3, P4 and P5 to the shared mask features at 1/8."""

    def __init__(self, in_channels: int = 256, width: int = 128) -> None:
        super().__init__()
        self.refine = nn.ModuleList(nn.Sequential(ConvNorm(in_channels, width, 3), nn.ReLU()) for _ in range(3))
        self.tower = nn.Sequential()
        for _ in range(4):
            self.tower.append(ConvNorm(width, width, 3))
            self.tower.append(nn.ReLU())
        self.tower.append(nn.Conv2d(width, FEATURES, 1))

    def forward(self, p3: Tensor, p4: Tensor, p5: Tensor) -> Tensor:
        """Levels (B, 256, h, w), each half the size of the one before, to ``(B, 8, H/8, W/8)``."""
        total = self.refine[0](p3)
        for factor, refine, level in ((2, self.refine[1], p4), (4, self.refine[2], p5)):
            enlarged = upsample_aligned(refine(level), factor)
            # P3 of an image whose sides are no multiples of 32 is smaller than its coarser levels enlarged.
            total = total + enlarged[..., : total.shape[2], : total.shape[3]]
        result: Tensor = self.tower(total)
        return result


def dynamic_masks(features: Tensor, controllers: Tensor, centres_px: Tensor, sizes_px: Tensor) -> Tensor:
    """Run every instance's own mask head.

    The first convolution reads the 8 features, which all instances share, and (centre - pixel) / size. Being linear it
    splits into one matrix product with the features, x, y and 1, so that no map is repeated per instance; the other two
    are grouped convolutions, one group per instance. In ONNX Runtime this takes 0.6 of the time of three grouped
    convolutions, and batched matrix products instead of the last two take 0.95.

    Args:
        features: (1, 8, h, w) at 1/8.
        controllers: (K, 169): weights of the three layers (80, 64, 8; output-major, x and y before the features), then
            their biases (8, 8, 1).
        centres_px: (K, 2), x and y of the instances' locations.
        sizes_px: (K,), from `OBJECT_SIZES_PX`.

    Returns:
        Mask logits (1, K, h, w).
    """
    count = len(controllers)
    height, width = features.shape[-2:]
    first, second, third, first_bias, second_bias, third_bias = torch.split(
        controllers, [*WEIGHT_COUNTS, *BIAS_COUNTS], dim=1
    )
    first = first.view(count, FEATURES, FEATURES + 2)
    of_coordinates = first[:, :, :2] / sizes_px[:, None, None]
    offset = first_bias + (of_coordinates @ centres_px[:, :, None]).squeeze(2)
    weights = torch.cat([first[:, :, 2:], -of_coordinates, offset[:, :, None]], dim=2).view(count * FEATURES, -1)

    columns = torch.arange(width, device=features.device) * FEATURE_STRIDE_PX + FEATURE_STRIDE_PX // 2
    rows = torch.arange(height, device=features.device) * FEATURE_STRIDE_PX + FEATURE_STRIDE_PX // 2
    pixels = torch.stack(
        [columns.expand(height, width), rows[:, None].expand(height, width), torch.ones(height, width).to(columns)]
    ).to(features.dtype)
    basis = torch.cat([features.view(FEATURES, -1), pixels.view(3, -1)])

    hidden = F.relu(weights @ basis).view(1, count * FEATURES, height, width)
    hidden = F.conv2d(hidden, second.reshape(-1, FEATURES, 1, 1), second_bias.reshape(-1), groups=count)
    return F.conv2d(F.relu(hidden), third.reshape(count, FEATURES, 1, 1), third_bias.reshape(-1), groups=count)


def _chosen_masks(controllers: Tensor, mask_features: Tensor, levels: Sequence[Tensor]) -> Tensor:
    """Return the mask probabilities (1, 100, 2h, 2w) of 100 locations in the middle of all of one image."""
    device = mask_features.device
    chosen = middle(controllers.shape[2])
    centres_px, numbers = _locations_px([(level.shape[2], level.shape[3]) for level in levels])
    sizes_px = torch.tensor(OBJECT_SIZES_PX, dtype=torch.float32)[numbers[chosen]]
    own = controllers[:, :, chosen].reshape(CONTROLS, -1).T
    logits = dynamic_masks(mask_features, own, centres_px[chosen].to(device), sizes_px.to(device))
    return upsample_aligned(logits, 2).sigmoid()


class EmbeddingHead(nn.Module):
    """CrossVIS's third tower, whose embeddings tell instances apart across frames."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = tower(WIDTH, WIDTH, DEPTH, bias=True)
        self.project = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 1), nn.BatchNorm2d(WIDTH, eps=BATCH_NORM_EPSILON))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """P3..P7 (B, 256, h, w) to the embeddings (B, 256, locations)."""
        return torch.cat([self.project(self.tower(level)).flatten(2) for level in levels], dim=2)


class CondInst(nn.Module):
    """The whole network, for one image.

    Args:
        trunk: backbone, see `suite.models.parts.trunks.TRUNKS`.
        num_classes: categories.
        embeddings: whether it has CrossVIS's head too.
    """

    def __init__(self, trunk: str, num_classes: int = 80, embeddings: bool = False) -> None:
        super().__init__()
        self.trunk = TRUNKS[trunk]()
        self.pyramid = FeaturePyramid(self.trunk.out_channels[1:], extra="two_relu")
        self.head = FcosHead(num_classes)
        self.mask_branch = MaskFeatureBranch()
        self.embedding_head = EmbeddingHead() if embeddings else None

    def forward(self, image: Tensor, masks: bool = False) -> CondInstOutput:
        """Return all head outputs for an image (1, 3, H, W); the masks are None unless they are asked for."""
        levels = self.pyramid(self.trunk(image)[1:])
        classes, boxes, centerness, controllers = self.head(levels)
        mask_features = self.mask_branch(*levels[:3])
        embeddings = None if self.embedding_head is None else self.embedding_head(levels)
        made = _chosen_masks(controllers, mask_features, levels) if masks else None
        return CondInstOutput(classes, boxes, centerness, controllers, embeddings, mask_features, made)

    def with_masks(self, image: Tensor) -> CondInstOutput:
        """As `forward`, and the masks of 100 locations in the middle of all."""
        return self.forward(image, masks=True)


def build(row: ModelEntry) -> CondInst:
    """Return the network of a row with random weights."""
    return draw_weights(CondInst(row.trunk, row.num_classes))


def select(row: ModelEntry, height_px: int, width_px: int, seed: int) -> Selection:
    """Return CondInst's and CrossVIS's selection.

    Class times centre-ness above 0.05, the 1000 best of each level, class-wise NMS at IoU 0.6, 100 best, square root.
    """
    generator = np.random.default_rng(seed)
    sizes = level_sizes(height_px, width_px, len(STRIDES_PX))
    counts = [height * width for height, width in sizes]
    centres = np.concatenate(
        [cell_centres(*size, stride_px) for size, stride_px in zip(sizes, STRIDES_PX, strict=True)]
    )
    object_px = np.repeat(STRIDES_PX, counts)[:, None] * 4
    sides_px = (object_px * generator.uniform(0.8, 1.2, (len(centres), 4))).astype(np.float32)
    centerness = sigmoid(generator.normal(1, 0.5, (len(centres), 1)).astype(np.float32))
    ends = np.cumsum(counts)

    def run(logits: Floats) -> object:
        scores = sigmoid(logits) * centerness
        places, categories = [], []
        for start, end in zip(ends - counts, ends, strict=True):
            place, category = np.nonzero(scores[start:end] > 0.05)
            if len(place) > LEVEL_CANDIDATES:
                best = np.argpartition(-scores[start + place, category], LEVEL_CANDIDATES)[:LEVEL_CANDIDATES]
                place, category = place[best], category[best]
            places.append(place + start)
            categories.append(category)
        place, category = np.concatenate(places), np.concatenate(categories)
        boxes = np.concatenate(
            [centres[place] - sides_px[place, :2], centres[place] + sides_px[place, 2:]], axis=1, dtype=np.float32
        ).clip(0, np.float32(max(height_px, width_px)))
        kept = greedy_nms(boxes, scores[place, category], category, 0.6, DETECTIONS)
        return category[kept], np.sqrt(scores[place, category][kept]), boxes[kept], place[kept]

    maps = synthetic_logits(len(centres), row.num_classes, seed, neighbours=9)
    return Selection(run, maps, "scores, threshold, top 1000 a level, boxes, class-wise NMS, top 100")
