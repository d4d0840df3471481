"""Outlines and masks of a whole dataset in a few flat arrays, rasterised at the size of the loss and no larger.

Python objects for COCO's 860 000 annotations would be copied into every worker, one page after the other, by reference
counting; flat arrays stay shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from suite.datasets.masks import to_rle
from suite.training.data.views import View


@dataclass(frozen=True)
class Segments:
    """Segmentations by number, 0..N - 1.

    A segmentation has either polygons or a run-length encoding, and neither where the file says null.

    Attributes:
        points: (P, 2) float32 x, y of all polygons, in pixels of the picture.
        polygon_starts: first point of each polygon, and P at the end.
        first_polygon: (N + 1,) first polygon of each segmentation; none for one with an encoding.
        codes: the compressed counts of all encodings, one after the other.
        code_starts: (N + 1,) first byte of each segmentation's encoding; none for one with polygons.
    """

    points: NDArray[np.float32]
    polygon_starts: NDArray[np.int64]
    first_polygon: NDArray[np.int64]
    codes: NDArray[np.uint8]
    code_starts: NDArray[np.int64]

    @classmethod
    def of(cls, segmentations: Iterable[tuple[Any, int, int, str]]) -> Segments:
        """Collect segmentations.

        Args:
            segmentations: each as in the annotations file, with height and width of its picture in pixels and its place
                in the file for messages.

        Raises:
            InputError: if one is malformed or of another size, with its place.
        """
        points: list[NDArray[np.float32]] = []
        lengths, polygons, codes = [0], [0], [b""]
        for segmentation, height, width, where in segmentations:
            rle = to_rle(segmentation, height, width, where)
            if isinstance(segmentation, list):
                found = [np.asarray(polygon, np.float32).reshape(-1, 2) for polygon in segmentation]
                points += found
                lengths += [len(polygon) for polygon in found]
                polygons.append(len(found))
                codes.append(b"")
            else:
                polygons.append(0)
                codes.append(rle["counts"].encode("ascii") if rle is not None else b"")
        return cls(
            np.concatenate(points) if points else np.zeros((0, 2), np.float32),
            np.cumsum(lengths),
            np.cumsum(polygons),
            np.frombuffer(b"".join(codes), np.uint8),
            np.cumsum([len(code) for code in codes]),
        )

    def masks(self, numbers: Sequence[int], view: View, canvas: tuple[int, int], stride: int) -> NDArray[np.bool_]:
        """Rasterise segmentations as a view shows them.

        Args:
            numbers: which.
            view: where the picture's part goes.
            canvas: height and width of the padded input in pixels, multiples of ``stride``.
            stride: pixels of the input per pixel of the result.

        Returns:
            (M, height / stride, width / stride).
        """
        height, width = canvas[0] // stride, canvas[1] // stride
        drawn = np.zeros((len(numbers), height, width), np.bool_)
        for place, number in enumerate(numbers):
            if self.first_polygon[number] < self.first_polygon[number + 1]:
                drawn[place] = self._polygons(number, view, (height, width), stride)
            elif self.code_starts[number] < self.code_starts[number + 1]:
                self._paste(drawn[place], number, view, stride)
        return drawn

    def _polygons(self, number: int, view: View, size: tuple[int, int], stride: int) -> NDArray[np.bool_]:
        """Return polygons moved and scaled in coordinates, so that no mask of the picture's own size is made."""
        moved = []
        for polygon in range(self.first_polygon[number], self.first_polygon[number + 1]):
            points = self.points[self.polygon_starts[polygon] : self.polygon_starts[polygon + 1]]
            moved.append((view.placed(points) / stride).ravel().tolist())
        encoded = coco_mask.merge(coco_mask.frPyObjects(moved, *size))
        shown = np.asarray(coco_mask.decode(encoded), np.bool_)
        # What a crop cuts off must not reach into the padding.
        bottom, right = (-(-side // stride) for side in (view.height, view.width))
        shown[bottom:], shown[:, right:] = False, False
        return shown

    def _paste(self, canvas: NDArray[np.bool_], number: int, view: View, stride: int) -> None:
        counts = self.codes[self.code_starts[number] : self.code_starts[number + 1]].tobytes()
        whole = coco_mask.decode({"size": [view.picture_height, view.picture_width], "counts": counts})
        part = np.ascontiguousarray(view.cut(whole))
        height, width = (max(1, round(side / stride)) for side in (view.height, view.width))
        # The mean over what a pixel of the loss covers, at least half of it.
        shown = cv2.resize(part * np.uint8(255), (width, height), interpolation=cv2.INTER_AREA) > 127
        height, width = min(height, canvas.shape[0]), min(width, canvas.shape[1])
        canvas[:height, :width] = view.flipped(shown)[:height, :width]
