"""SOLOv2 and SOLOv2-Lite: every cell of a grid predicts a class and the kernel of a 1x1 convolution that is its mask.

Wang et al., "SOLOv2: Dynamic and Fast Instance Segmentation", NeurIPS 2020. Neither of the rows compared here has
deformable convolutions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.models import ModelEntry
from suite.models.parts.attention import mask_product
from suite.models.parts.feature_maps import GROUPS, FeaturePyramid, coordinate_maps, tower
from suite.models.parts.selection import (
    DETECTIONS,
    Floats,
    Selection,
    blob_logits,
    matrix_nms,
    sigmoid,
    synthetic_logits,
)
from suite.models.parts.synthetic import draw_weights, middle
from suite.models.parts.trunks import TRUNKS

ROWS = (
    ModelEntry(
        name="solov2_lite_resnet18_448",
        method="SOLOv2-Lite",
        backbone="ResNet-18",
        trunk="resnet18",
        input_shapes=((448, 768), (448, 608)),
        variant="lite",
        masks_apart=True,
        reading="the authors' light head (2 x 256 channels, kernels of 128); no deformable convolution",
        published_rows=("table1/solov2-lite-resnet-18-448",),
    ),
    ModelEntry(
        name="solov2_lite_resnet50_448",
        method="SOLOv2-Lite",
        backbone="ResNet-50",
        trunk="resnet50",
        input_shapes=((448, 768), (448, 608)),
        variant="lite",
        masks_apart=True,
        reading="the authors' light head (2 x 256 channels, kernels of 128); no deformable convolution",
        published_rows=("table1/solov2-lite-resnet-50-448",),
    ),
    ModelEntry(
        name="solov2_mobilenetv2_640",
        method="SOLOv2",
        backbone="MobileNetV2",
        trunk="mobilenetv2",
        input_shapes=((640, 864), (640, 640), (640, 1088)),
        masks_apart=True,
        reading="the full head (4 x 512 channels, kernels of 256): the name has no Lite and the published latency fits "
        "only this; nobody published this model, its input shape is inferred",
        published_rows=("table1/solov2-mobilenetv2-640",),
    ),
    ModelEntry(
        name="solov2_lite_mobilenetv2_640",
        method="SOLOv2-Lite",
        backbone="MobileNetV2",
        trunk="mobilenetv2",
        variant="lite",
        alternative_to="solov2_mobilenetv2_640",
        masks_apart=True,
        reading="the authors' light head (2 x 256 channels, kernels of 128); no deformable convolution; "
        "faster than the published latency allows",
    ),
)

STRIDES_PX = (8, 8, 16, 32, 32)
CANDIDATES = 500
PYRAMID_WIDTH = 256
MASK_WIDTH = 128
GRIDS = (40, 36, 24, 16, 12)
"""Cells along a side of the grid of P2..P6: 3872 cells in all."""


class Solov2Output(NamedTuple):
    """What the network computes; cells are those of the five grids, fine to coarse, row by row."""

    class_scores: Tensor
    """(B, classes, cells) in (0, 1)."""
    window_maxima: Tensor
    """(B, classes, cells): the largest score of the cell and its neighbours before it; only a cell that equals its own
    maximum is a candidate ("point NMS"). The comparison is left to selection: it would tell two runtimes apart by the
    last digit of two nearly equal neighbours."""
    kernels: Tensor
    """(B, kernel_dim, cells)."""
    mask_features: Tensor
    """(B, kernel_dim, H/4, W/4)."""
    mask_probabilities: Tensor | None = None
    """(B, 100, H/4, W/4) with masks, else None."""


def window_maxima(scores: Tensor) -> Tensor:
    """Return the largest value of each 2x2 window that ends at a cell, cut at the first row and column; same shape."""
    return F.max_pool2d(scores, 2, stride=1, padding=1)[..., :-1, :-1]


class MaskBranch(nn.Module):
    """P2..P5 to the mask features at a quarter of the image.

    Each level passes a 3x3 convolution, group normalisation and ReLU per doubling of its resolution (P2 one without
    doubling), and the sum a 1x1. P5 also sees its coordinates.

    Args:
        kernel_dim: channels of the mask features.
    """

    def __init__(self, kernel_dim: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        for doublings in range(4):
            steps = nn.Sequential()
            for step in range(max(doublings, 1)):
                channels = PYRAMID_WIDTH if step == 0 else MASK_WIDTH
                steps.append(tower(channels, MASK_WIDTH, 1, bias=False, with_coordinates=doublings == 3 and step == 0))
                if doublings:
                    steps.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
            self.levels.append(steps)
        self.project = nn.Sequential(
            nn.Conv2d(MASK_WIDTH, kernel_dim, 1, bias=False), nn.GroupNorm(GROUPS, kernel_dim), nn.ReLU()
        )

    def forward(self, levels: tuple[Tensor, ...]) -> Tensor:
        """P2..P5 (B, 256, h, w) to ``(B, kernel_dim, H/4, W/4)``."""
        p2, p3, p4, p5 = (steps(level) for steps, level in zip(self.levels, levels, strict=True))
        result: Tensor = self.project(p2 + p3 + p4 + p5)
        return result


class GridHead(nn.Module):
    """The head that all levels share: a level resized to its grid, a tower of kernels and a tower of classes.

    Args:
        depth: convolutions in a tower: 4, Lite 2.
        width: channels of a tower: 512, Lite 256.
        kernel_dim: length of a kernel: 256, Lite 128.
        num_classes: categories.
    """

    def __init__(self, depth: int, width: int, kernel_dim: int, num_classes: int) -> None:
        super().__init__()
        self.kernel_tower = tower(PYRAMID_WIDTH, width, depth, bias=False, with_coordinates=True)
        self.class_tower = tower(PYRAMID_WIDTH, width, depth, bias=False)
        self.kernels = nn.Conv2d(width, kernel_dim, 3, padding=1)
        self.classes = nn.Conv2d(width, num_classes, 3, padding=1)

    def forward(self, level: Tensor, grid: int) -> tuple[Tensor, Tensor, Tensor]:
        """A level (B, 256, h, w) to class scores, their `window_maxima` and kernels (B, values, grid²)."""
        height, width = level.shape[-2:]
        size = (grid, grid)
        coordinates = coordinate_maps(height, width, level.device)
        feature = F.interpolate(level, size=size, mode="bilinear", align_corners=False)
        coordinates = F.interpolate(coordinates, size=size, mode="bilinear", align_corners=False)
        kernels: Tensor = self.kernel_tower[0](feature, coordinates)
        for layer in list(self.kernel_tower)[1:]:
            kernels = layer(kernels)
        scores = self.classes(self.class_tower(feature)).sigmoid()
        return scores.flatten(2), window_maxima(scores).flatten(2), self.kernels(kernels).flatten(2)


class Solov2(nn.Module):
    """The whole network.

    Args:
        trunk: backbone, see `suite.models.parts.trunks.TRUNKS`.
        lite: the head of SOLOv2-Lite.
        num_classes: categories.
    """

    def __init__(self, trunk: str, lite: bool, num_classes: int = 80) -> None:
        super().__init__()
        depth, width, kernel_dim = (2, 256, 128) if lite else (4, 512, 256)
        self.trunk = TRUNKS[trunk]()
        self.pyramid = FeaturePyramid(self.trunk.out_channels, PYRAMID_WIDTH)
        self.head = GridHead(depth, width, kernel_dim, num_classes)
        self.mask_branch = MaskBranch(kernel_dim)

    def forward(self, image: Tensor) -> Solov2Output:
        """Return all head outputs for an image (1, 3, H, W), sides multiples of 32; the masks are None."""
        p2, p3, p4, p5, p6 = self.pyramid(self.trunk(image))
        # Bilinear resizing to half and to P5's size, before that to the grid: as upstream does it.
        halved = F.avg_pool2d(p2, 2)
        enlarged = F.interpolate(p6, size=p5.shape[-2:], mode="bilinear", align_corners=False)
        inputs = zip((halved, p3, p4, p5, enlarged), GRIDS, strict=True)
        per_level = [self.head(level, grid) for level, grid in inputs]
        scores, maxima, kernels = (torch.cat(values, dim=2) for values in zip(*per_level, strict=True))
        return Solov2Output(scores, maxima, kernels, self.mask_branch((p2, p3, p4, p5)))

    def with_masks(self, image: Tensor) -> Solov2Output:
        """As `forward`, and the masks of 100 cells in the middle of all grids, for one image."""
        output = self.forward(image)
        chosen = output.kernels[:, :, middle(output.kernels.shape[2])]
        return output._replace(mask_probabilities=mask_product(chosen.transpose(1, 2), output.mask_features).sigmoid())


def build(row: ModelEntry) -> Solov2:
    """Return the network of a row with random weights."""
    return draw_weights(Solov2(row.trunk, row.variant == "lite", row.num_classes))


def _grid_maxima(scores: Floats) -> Floats:
    """Return `window_maxima` of scores (cells, classes), grid by grid and row by row, in the same shape."""
    grids = torch.split(torch.from_numpy(scores.T), [grid**2 for grid in GRIDS], dim=1)
    maxima = [window_maxima(cells.reshape(-1, grid, grid)) for cells, grid in zip(grids, GRIDS, strict=True)]
    return torch.cat([cells.flatten(1) for cells in maxima], dim=1).T.numpy()


def select(row: ModelEntry, height_px: int, width_px: int, seed: int) -> Selection:
    """Return SOLOv2's selection, mask products left out.

    Score above 0.1 and the largest of its 2x2 window, area of the binary mask above the level's stride, score times
    mean foreground probability, Matrix NMS on the 500 best, 0.05, 100 best.
    """
    cells = [grid**2 for grid in GRIDS]
    least_area = np.repeat(STRIDES_PX, cells)
    bank = sigmoid(blob_logits(CANDIDATES, height_px // 4, width_px // 4, seed).clip(-30, 30))
    bank = bank.reshape(CANDIDATES, -1)

    def run(scores_and_maxima: Floats) -> object:
        scores, maxima = scores_and_maxima
        cell, category = np.nonzero((scores > 0.1) & (scores == maxima))
        probability = bank[np.arange(len(cell)) % CANDIDATES]
        masks = probability > 0.5
        area = masks.sum(1)
        large = area > least_area[cell]
        cell, category, masks, area = cell[large], category[large], masks[large], area[large]
        certainty = scores[cell, category] * (probability[large] * masks).sum(1) / area
        order = np.argsort(-certainty)[:CANDIDATES]
        decayed = matrix_nms(masks[order].astype(np.float32), certainty[order], category[order])
        best = np.argsort(-decayed)[:DETECTIONS]
        best = best[decayed[best] >= 0.05]
        return category[order][best], decayed[best], order[best]

    scores = [sigmoid(logits) for logits in synthetic_logits(sum(cells), row.num_classes, seed, neighbours=5)]
    maps = tuple(np.stack([score, _grid_maxima(score)]) for score in scores)
    covers = "point NMS, binary masks of about 300 candidates, mask score, Matrix NMS, top 100; not their mask products"
    return Selection(run, maps, covers)
