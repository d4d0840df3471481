"""Segmentations in every form the official files use, and boolean masks.

The forms are a list of polygons ``[[x1, y1, x2, y2, ...], ...]``, a run-length encoding with a list of counts, one with
a compressed string of counts, and null for a frame in which the object is not seen. pycocotools does the coding.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from suite.errors import InputError

CompressedRle = dict[str, Any]
"""``{"size": [height, width], "counts": "..."}`` with the counts as an ASCII string."""

MAX_COORDINATE_PX = 1e5
"""Polygon corners beyond this overflow the integers of pycocotools, which then crashes or never comes back."""


def encode_mask(mask: NDArray[np.bool_]) -> CompressedRle:
    """Return the compressed run-length encoding of an (H, W) boolean mask."""
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": encoded["counts"].decode("ascii")}


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_polygons(polygons: list[Any], where: str) -> None:
    if not polygons:
        raise InputError(f"{where}: segmentation is an empty list; give at least one polygon or null")
    for place, polygon in enumerate(polygons):
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2 or not all(map(_number, polygon)):
            raise InputError(
                f"{where}: polygon {place} must be a list of at least 6 finite numbers, x1, y1, x2, y2, ...; correct it"
            )
        if any(abs(value) > MAX_COORDINATE_PX for value in polygon):
            raise InputError(
                f"{where}: polygon {place} has a corner farther than {MAX_COORDINATE_PX:.0f} pixels; correct it"
            )


def _check_rle(rle: dict[str, Any], height: int, width: int, where: str) -> None:
    if rle.get("size") not in ([height, width], (height, width)):
        raise InputError(
            f"{where}: segmentation size is {rle.get('size')!r} but the frame is [{height}, {width}] (height, width); "
            "is it for another image?"
        )
    counts = rle.get("counts")
    if isinstance(counts, list):
        if not all(type(count) is int and count >= 0 for count in counts) or sum(counts) != height * width:
            raise InputError(
                f"{where}: run-length counts must be non-negative integers that add up to height x width = "
                f"{height * width}; write the mask again"
            )
    elif not isinstance(counts, str | bytes):
        raise InputError(f"{where}: segmentation has no 'counts' list or string; write the mask again")


def _check_compressed(counts: bytes, height: int, width: int, where: str) -> None:
    """Refuse a compressed string whose runs do not fill the frame, which pycocotools would read beyond its buffer."""
    problem = f"{where}: compressed run-length counts do not describe a {height} x {width} mask; write the mask again"
    runs: list[int] = []
    value, shift = 0, 0
    for character in counts:
        part = character - 48
        if not 0 <= part < 64 or shift > 30:
            raise InputError(problem)
        value |= (part & 31) << shift
        shift += 5
        if not part & 32:
            if part & 16:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            if runs[-1] < 0:
                raise InputError(problem)
            value, shift = 0, 0
    if shift or sum(runs) != height * width:
        raise InputError(problem)


def to_rle(segmentation: Any, height: int, width: int, where: str) -> CompressedRle | None:
    """Return a segmentation as compressed run-length encoding.

    Args:
        segmentation: polygons, run-length encoding with a list or a string of counts, or None.
        height: frame height in pixels.
        width: frame width in pixels.
        where: file and place, for the message.

    Returns:
        The encoding, counts as a string, or None for a null segmentation.

    Raises:
        InputError: if the segmentation has another form, another size or counts that do not fill the frame.
    """
    if segmentation is None:
        return None
    if isinstance(segmentation, list):
        _check_polygons(segmentation, where)
        encoded = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation, dict):
        _check_rle(segmentation, height, width, where)
        if isinstance(segmentation["counts"], list):
            encoded = coco_mask.frPyObjects(segmentation, height, width)
        else:
            counts = segmentation["counts"]
            raw = counts.encode("latin-1", "replace") if isinstance(counts, str) else counts
            _check_compressed(raw, height, width, where)
            encoded = {"size": [height, width], "counts": raw}
    else:
        raise InputError(f"{where}: segmentation must be polygons, run-length encoding or null; correct it")
    return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}


def to_mask(segmentation: Any, height: int, width: int, where: str) -> NDArray[np.bool_] | None:
    """Return a segmentation as an (H, W) boolean mask, or None for null; see `to_rle` for the rest."""
    rle = to_rle(segmentation, height, width, where)
    return None if rle is None else np.asarray(coco_mask.decode(rle), np.bool_)
