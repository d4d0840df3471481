"""Segmentations of annotation and results files as the compressed codes that the evaluators take, all checked."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from suite.accuracy.collection import collection_paused
from suite.accuracy.rle import check_codes
from suite.accuracy.typed_json import Rle, Segmentation
from suite.datasets.masks import MAX_COORDINATE_PX
from suite.errors import InputError

Place = Callable[[int], str]
"""Names the place of the i-th segmentation in its file, e.g. ``results[3].segmentation``."""


@dataclass(frozen=True)
class Codes:
    """Compressed codes of many masks; ``has_empty_runs`` tells of codes that no encoder writes but some tools make."""

    counts: list[str]
    heights: NDArray[np.int64]
    widths: NDArray[np.int64]
    areas_px: NDArray[np.int64]
    has_empty_runs: bool

    def rles(self) -> list[dict[str, Any]]:
        """Return the masks as pycocotools takes them; masks of one size share the list that states it."""
        shared: dict[tuple[int, int], list[int]] = {}
        sizes = zip(self.heights.tolist(), self.widths.tolist(), strict=True)
        with collection_paused():
            return [
                {"size": shared.setdefault(size, list(size)), "counts": counts}
                for size, counts in zip(sizes, self.counts, strict=True)
            ]


def _from_rle(rle: Rle, frame: tuple[int, int]) -> str:
    if rle.counts is None or rle.size is None:
        raise ValueError("has no 'size' and 'counts'; write the mask as run-length code")
    height, width = frame
    if rle.size != frame:
        raise ValueError(
            f"size {list(rle.size)} differs from the frame's [{height}, {width}] (height, width); whose mask is it?"
        )
    if isinstance(rle.counts, str):
        return rle.counts
    if not rle.counts or min(rle.counts) < 0 or sum(rle.counts) != height * width:
        raise ValueError(
            f"its counts are not non-negative runs that add up to height x width = {height * width}; encode it again"
        )
    encoded: bytes = coco_mask.frPyObjects({"size": [height, width], "counts": rle.counts}, height, width)["counts"]
    return encoded.decode("ascii")


def _from_polygons(polygons: list[list[float]], frame: tuple[int, int]) -> str:
    if not polygons:
        raise ValueError("holds no polygon; give one or remove the object")
    for place, polygon in enumerate(polygons):
        # pycocotools takes a first polygon of four numbers for a box and fails; later ones it draws as nothing.
        if len(polygon) % 2 or len(polygon) < (2 if place else 6):
            raise ValueError(
                f"polygon {place} has {len(polygon)} numbers; give x1, y1, x2, y2, ... for at least 3 corners"
            )
        if any(abs(value) > MAX_COORDINATE_PX for value in polygon):
            raise ValueError(f"polygon {place} has a corner farther than {MAX_COORDINATE_PX:.0f} pixels; correct it")
    merged: bytes = coco_mask.merge(coco_mask.frPyObjects(polygons, *frame))["counts"]
    return merged.decode("ascii")


def _convert(segmentation: Segmentation, frame: tuple[int, int]) -> str:
    """Return the compressed counts of one segmentation.

    Raises:
        ValueError: saying what is wrong with it.
    """
    if isinstance(segmentation, Rle):
        return _from_rle(segmentation, frame)
    if segmentation is None:
        raise ValueError("is null; give a mask or remove the object")
    return _from_polygons(segmentation, frame)


def _all_compressed(segmentations: Sequence[Segmentation], sizes: Sequence[tuple[int, int]]) -> list[str] | None:
    """Return the counts where every mask is a compressed code of its frame's size, else None.

    That is the usual case, for up to a million masks at once, so nothing here runs in a loop of Python.
    """
    if set(map(type, segmentations)) - {Rle}:
        return None
    if not all(map(operator.eq, map(operator.attrgetter("size"), segmentations), sizes)):
        return None
    counts = list(map(operator.attrgetter("counts"), segmentations))
    return None if set(map(type, counts)) - {str} else counts


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
    counts = _all_compressed(segmentations, sizes)
    if counts is None:
        counts = []
        try:
            for segmentation, size in zip(segmentations, sizes, strict=True):
                if type(segmentation) is Rle and segmentation.size == size and type(segmentation.counts) is str:
                    counts.append(segmentation.counts)
                else:
                    counts.append(_convert(segmentation, size))
        except ValueError as error:
            raise InputError(f"{path}: {place(len(counts))}: {error}") from None
    shape = np.asarray(sizes, np.int64).reshape(-1, 2)
    checked = check_codes(counts, shape[:, 0] * shape[:, 1])
    if checked.bad_index is not None:
        raise InputError(f"{path}: {place(checked.bad_index)}: {checked.reason}; encode the mask again")
    return Codes(counts, shape[:, 0], shape[:, 1], checked.areas_px, checked.has_empty_runs)
