"""FCOS's dense head with CondInst's controller: per location a class, a box, its centre-ness and a mask head's weights.

Tian et al., "FCOS: Fully Convolutional One-Stage Object Detection", ICCV 2019; "Conditional Convolutions for Instance
Segmentation", ECCV 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from suite.models.parts.towers import tower

WIDTH = 256
DEPTH = 4
STRIDES_PX = (8, 16, 32, 64, 128)


class DenseOutput(NamedTuple):
    """What the head predicts, for the locations of all levels, fine to coarse and row by row."""

    class_logits: Tensor
    """(B, classes, locations)."""
    box_sides_px: Tensor
    """(B, 4, locations): distances to the left, top, right and bottom side, not negative."""
    centerness_logits: Tensor
    """(B, 1, locations)."""
    controllers: Tensor
    """(B, controls, locations): the weights of each location's mask head."""


class FcosHead(nn.Module):
    """The head that P3..P7 share; only the scale of the boxes is a level's own.

    The three convolutions that end the box tower (box, centre-ness, controller) are computed as one.

    Args:
        num_classes: categories.
        controls: values that the controller predicts.
    """

    def __init__(self, num_classes: int, controls: int) -> None:
        super().__init__()
        self.class_tower = tower(WIDTH, WIDTH, DEPTH, bias=True)
        self.box_tower = tower(WIDTH, WIDTH, DEPTH, bias=True)
        self.classes = nn.Conv2d(WIDTH, num_classes, 3, padding=1)
        self.of_box = nn.Conv2d(WIDTH, 4 + 1 + controls, 3, padding=1)
        self.controls = controls
        self.scales = nn.Parameter(torch.ones(len(STRIDES_PX)))

    def forward(self, levels: Sequence[Tensor]) -> DenseOutput:
        """P3..P7 (B, 256, h, w) to the predictions at all their locations."""
        predictions = []
        for index, (level, stride_px) in enumerate(zip(levels, STRIDES_PX, strict=True)):
            classes = self.classes(self.class_tower(level)).flatten(2)
            boxes, centerness, controllers = torch.split(
                self.of_box(self.box_tower(level)).flatten(2), [4, 1, self.controls], dim=1
            )
            predictions.append((classes, F.relu(boxes * self.scales[index]) * stride_px, centerness, controllers))
        return DenseOutput(*(torch.cat(values, dim=2) for values in zip(*predictions, strict=True)))


def locations_px(levels: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Return where the locations of a pyramid lie in the image.

    Args:
        levels: (height, width) of P3..P7.

    Returns:
        Centres (locations, 2) as x and y in pixels, and the number 0..4 of each location's level (locations,).
    """
    centres, numbers = [], []
    for index, ((height, width), stride_px) in enumerate(zip(levels, STRIDES_PX, strict=True)):
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centres.append(torch.stack([columns, rows], dim=-1).reshape(-1, 2) * stride_px + stride_px // 2)
        numbers.append(torch.full((height * width,), index))
    return torch.cat(centres).float(), torch.cat(numbers)
