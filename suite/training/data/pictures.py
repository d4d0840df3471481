"""From files to a batch: decode, cut, resize, normalise into place, rasterise at the size of the loss and no larger.

Python objects for COCO's 860 000 annotations would be copied into every worker, one page after the other, by reference
counting; flat arrays stay shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor

from reference_model.images import IMAGE_MEAN, IMAGE_STD, padded_size
from reference_model.targets import MASK_STRIDE, InstanceTargets
from suite.datasets.masks import Codes
from suite.datasets.pictures import read_picture
from suite.training.data.views import View

cv2.setNumThreads(1)  # Workers are as many as cores; a pool of threads in each would only take them from each other.


@dataclass(frozen=True)
class Segments:
    """Masks by number, 0..N - 1, as the compressed run-length codes that scoring compares, too.

    Attributes:
        codes: the counts of all masks, one after the other, ASCII.
        starts: (N + 1,) first byte of each, and their number at the end.
    """

    codes: NDArray[np.uint8]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, codes: Codes) -> Segments:
        """Collect checked codes."""
        joined = "".join(codes.counts).encode("ascii")
        return cls(np.frombuffer(joined, np.uint8), np.cumsum([0, *map(len, codes.counts)]))

    def masks(self, numbers: NDArray[np.int64], view: View, canvas: tuple[int, int], stride: int) -> NDArray[np.bool_]:
        """Return masks as a view shows them: true where at least half of what a pixel covers belongs to the object.

        Args:
            numbers: which, (M,).
            view: where the picture's part goes.
            canvas: height and width of the padded input in pixels, multiples of ``stride``.
            stride: pixels of the input per pixel of the result.

        Returns:
            (M, height / stride, width / stride).
        """
        drawn = np.zeros((len(numbers), canvas[0] // stride, canvas[1] // stride), np.bool_)
        height, width = (max(1, round(side / stride)) for side in (view.height, view.width))
        for mask, number in zip(drawn, numbers, strict=True):
            counts = self.codes[self.starts[number] : self.starts[number + 1]].tobytes()
            whole = coco_mask.decode({"size": [view.picture_height, view.picture_width], "counts": counts})
            # Decoded column by column: the other way round, every step would read the whole mask in strides.
            part = np.ascontiguousarray(view.cut(whole).T) * np.uint8(255)
            shown = cv2.resize(part, (height, width), interpolation=cv2.INTER_AREA).T > 127
            rows, columns = min(height, canvas[0] // stride), min(width, canvas[1] // stride)
            mask[:rows, :columns] = view.flipped(shown)[:rows, :columns]
        return drawn


@dataclass(frozen=True)
class PictureTable:
    """All pictures of a training set and what is on them.

    Attributes:
        files: where each picture is.
        ids: the dataset's id of each picture, for messages; a number or text.
        sizes: (N, 2) height and width in pixels.
        first: (N + 1,) first object of each picture.
        labels: (A,) contiguous class index of each object.
        instance_ids: (A,) id of each, the same in every frame of a video.
        crowd: (A,) whether it marks a crowd, which is no instance.
        segments: the segmentation of each.
    """

    files: tuple[str, ...]
    ids: NDArray[np.object_]
    sizes: NDArray[np.int32]
    first: NDArray[np.int64]
    labels: NDArray[np.int64]
    instance_ids: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    segments: Segments

    def counts(self) -> NDArray[np.int64]:
        """Return the number of instances of each picture."""
        counts: NDArray[np.int64] = np.diff(np.append(0, np.cumsum(~self.crowd))[self.first])
        return counts

    def read(self, view: View) -> NDArray[np.uint8]:
        """Return the shown part of a picture, (height, width, 3) uint8 RGB; errors as of `read_picture`."""
        pixels = read_picture(Path(self.files[view.picture]), (view.picture_height, view.picture_width))
        part = view.cut(pixels)
        if part.shape[:2] != (view.height, view.width):
            way = cv2.INTER_AREA if view.height < view.rows else cv2.INTER_LINEAR
            part = np.asarray(cv2.resize(part, (view.width, view.height), interpolation=way), np.uint8)
        if view.gain != 1:
            part = np.asarray(cv2.convertScaleAbs(part, alpha=view.gain), np.uint8)
        return view.flipped(part)

    def targets(self, view: View, canvas: tuple[int, int]) -> InstanceTargets:
        """Return what is to be found in a view, masks at the size of the loss; what a crop cuts away is left out.

        A crowd's pixels are ignored, unless they belong to an object as well.

        Args:
            view: of one of this table's pictures.
            canvas: height and width of the padded input.
        """
        numbers = np.arange(self.first[view.picture], self.first[view.picture + 1])
        masks, crowd = self.segments.masks(numbers, view, canvas, MASK_STRIDE), self.crowd[numbers]
        seen = masks.any((1, 2)) & ~crowd
        ignored = masks[crowd].any(0) & ~masks[~crowd].any(0) if crowd.any() else None
        return InstanceTargets(
            torch.from_numpy(self.labels[numbers[seen]]),
            torch.from_numpy(masks[seen]),
            torch.from_numpy(self.instance_ids[numbers[seen]]),
            None if ignored is None else torch.from_numpy(ignored),
        )


def common_canvas(views: Sequence[View], divisor: int) -> tuple[int, int]:
    """Return the padded height and width that all views of an iteration share."""
    return padded_size(max(view.height for view in views), max(view.width for view in views), divisor)


def place(pictures: Sequence[NDArray[np.uint8]], canvas: tuple[int, int]) -> Tensor:
    """Normalise pictures into one batch padded with zeros.

    Args:
        pictures: each (h, w, 3) uint8 RGB, no larger than the canvas.
        canvas: height and width of the result.

    Returns:
        (B, 3, H, W) float32, channels last.
    """
    height, width = canvas
    # Whole rows at a time: numpy is 13 times slower where the last axis is as short as three channels.
    mean = np.tile(np.asarray(IMAGE_MEAN, np.float32), width)
    scale = np.tile(1 / np.asarray(IMAGE_STD, np.float32), width)
    batch = np.empty((len(pictures), height, width * 3), np.float32)
    for into, picture in zip(batch, pictures, strict=True):
        rows, columns = picture.shape[0], picture.shape[1] * 3
        part = into[:rows, :columns]
        part[:] = picture.reshape(rows, columns)
        part -= mean[:columns]
        part *= scale[:columns]
        into[rows:], into[:rows, columns:] = 0, 0
    return torch.from_numpy(batch.reshape(len(pictures), height, width, 3)).permute(0, 3, 1, 2)
