"""Segmentations of annotation and results files as the compressed codes that the evaluators take, all checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from suite.accuracy.rle import check_codes
from suite.accuracy.typed_json import MAX_SIDE_PX, Rle, Segmentation
from suite.errors import InputError

MAX_COORDINATE_PX = 1e5
"""Polygon corners beyond this overflow the rasteriser's integers."""

Place = Callable[[int], str]
"""Names the place of the i-th segmentation in its file, e.g. ``results[3].segmentation``."""


@dataclass(frozen=True)
class Codes:
    """Compressed codes of many masks; ``has_empty_runs`` tells of codes that no encoder writes but some tools make."""

    counts: list[bytes]
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]
    has_empty_runs: bool

    def rle(self, index: int) -> dict[str, object]:
        """Return one mask as pycocotools takes it."""
        return {"size": [int(self.heights[index]), int(self.widths[index])], "counts": self.counts[index]}


def _polygon_problem(polygons: list[list[float]]) -> str | None:
    if not polygons:
        return "holds no polygon; give one or remove the object"
    for place, polygon in enumerate(polygons):
        # pycocotools takes a first polygon of four numbers for a box and fails; later ones it draws as nothing.
        if len(polygon) % 2 or len(polygon) < (2 if place else 6):
            return f"polygon {place} has {len(polygon)} numbers; give x1, y1, x2, y2, ... for at least 3 corners"
        if any(abs(value) > MAX_COORDINATE_PX for value in polygon):
            return f"polygon {place} has a corner farther than {MAX_COORDINATE_PX:.0f} pixels; correct it"
    return None


def _from_rle(rle: Rle, height: int, width: int) -> bytes | str:
    """Return the counts, or as a string the problem."""
    counts, size = rle.counts, rle.size
    if counts is None or size is None:
        return "has no 'size' and 'counts'; write the mask as run-length code"
    if tuple(size) != (height, width):
        return (
            f"size {list(size)} differs from the frame's [{height}, {width}] (height, width); is it of another image?"
        )
    if not all(1 <= side <= MAX_SIDE_PX for side in size):
        return f"size {list(size)} is not between 1 and {MAX_SIDE_PX} pixels; correct it"
    if isinstance(counts, str):
        return counts.encode("ascii", "replace")
    if not counts or min(counts) < 0 or max(counts) > height * width or sum(counts) != height * width:
        return f"its counts are not non-negative runs that add up to height x width = {height * width}; encode it again"
    encoded: bytes = coco_mask.frPyObjects({"size": list(size), "counts": counts}, height, width)["counts"]
    return encoded


def _from_polygons(polygons: list[list[float]], height: int, width: int) -> bytes | str:
    """Return the counts, or as a string the problem."""
    if (problem := _polygon_problem(polygons)) is not None:
        return problem
    merged: bytes = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))["counts"]
    return merged


def compress(
    segmentations: Sequence[Segmentation], sizes: Sequence[tuple[int, int]], path: object, place: Place
) -> Codes:
    """Turn segmentations of any official form into checked compressed codes.

    Args:
        segmentations: one per mask; null is refused here, so leave absent frames out.
        sizes: (height, width) in pixels of the frame each mask belongs to.
        path: the file, for messages.
        place: names the place of the i-th segmentation, for messages.

    Raises:
        InputError: for an empty or ragged polygon, another size than the frame's, or counts that are not a mask.
    """
    counts: list[bytes] = []
    for index, (segmentation, (height, width)) in enumerate(zip(segmentations, sizes, strict=True)):
        made: bytes | str
        if isinstance(segmentation, Rle):
            made = _from_rle(segmentation, height, width)
        elif segmentation is None:
            made = "is null; give a mask or remove the object"
        else:
            made = _from_polygons(segmentation, height, width)
        if isinstance(made, str):
            raise InputError(f"{path}: {place(index)}: {made}")
        counts.append(made)
    shape = np.asarray(sizes, np.int64).reshape(-1, 2)
    checked = check_codes(counts, shape[:, 0] * shape[:, 1])
    if checked.bad_index is not None:
        raise InputError(f"{path}: {place(checked.bad_index)}: {checked.reason}; encode the mask again")
    return Codes(counts, shape[:, 0], shape[:, 1], checked.has_empty_runs)
