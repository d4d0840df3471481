"""Segmentations in every form that COCO and YouTube-VIS files use, as checked compressed codes or boolean masks.

The forms are a list of polygons ``[[x1, y1, x2, y2, ...], ...]``, a run-length code with a list of counts, one with a
compressed string of counts, and null where an object has no mask. pycocotools does the coding; it crashes or never
comes back on much of what is refused here.
"""

from __future__ import annotations

import gc
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from suite.datasets.annotations import Rle, Segmentation
from suite.datasets.pictures import Size
from suite.datasets.rle import BadCodeError, check_codes
from suite.errors import InputError

CompressedRle = dict[str, Any]
"""``{"size": [height, width], "counts": "..."}`` with the counts as an ASCII string."""

MAX_COORDINATE_PX = 1e5
"""Polygon corners beyond this overflow the integers of pycocotools, which then crashes or never comes back."""

MAX_BOUNDARY_PX = 1e6
"""pycocotools lists five points a pixel of a polygon's boundary, inside the frame or not: 40 MB for this many."""

MOST_USUAL_PX, MAX_EXCESS_PX = 2e4, 2e8
"""What boundaries are longer than 20 times a frame's sides, or the first, is added up over a file; the second takes
pycocotools some 20 s."""

MAX_RUNS = 2**26
"""More runs than any frame of the largest size needs in practice; a longer list is refused before it is added up."""

Place = Callable[[int], str]
"""Names the place of the i-th segmentation in its file, e.g. ``results[3].segmentation``."""


@contextmanager
def collection_paused() -> Iterator[None]:
    """Keep the garbage collector from walking millions of new objects without cycles; several times faster there."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@dataclass(frozen=True)
class Codes:
    """Compressed codes of N masks.

    Attributes:
        counts: one string per mask.
        frames: height and width in pixels of every kind of frame, as pycocotools takes them.
        frame: (N,) the kind of frame that each mask belongs to.
        areas_px: (N,) pixels that each covers.
        has_empty_runs: whether some code has an empty run after its first, which no encoder writes but some tools make.
    """

    counts: list[str]
    frames: list[list[int]]
    frame: NDArray[np.int64]
    areas_px: NDArray[np.int64]
    has_empty_runs: bool

    def rles(self, rows: NDArray[np.int64] | None = None) -> list[CompressedRle]:
        """Return the masks, or those of some rows, as pycocotools takes them."""
        places, frame = (range(len(self.counts)), self.frame) if rows is None else (rows.tolist(), self.frame[rows])
        frames, counts = self.frames, self.counts
        with collection_paused():
            return [
                {"size": frames[kind], "counts": counts[place]}
                for kind, place in zip(frame.tolist(), places, strict=True)
            ]

    def mask(self, place: int) -> NDArray[np.bool_]:
        """Return one mask, (H, W)."""
        return np.asarray(coco_mask.decode(self.rles(np.array([place]))[0]), np.bool_)


def encode_mask(mask: NDArray[np.bool_]) -> CompressedRle:
    """Return the compressed run-length code of an (H, W) boolean mask."""
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [int(mask.shape[0]), int(mask.shape[1])], "counts": encoded["counts"].decode("ascii")}


def is_absent(segmentation: Segmentation) -> bool:
    """Tell whether a segmentation holds no mask at all: null, ``[]``, ``[[]]`` or ``{}``."""
    if type(segmentation) is Rle:
        return segmentation.counts is None and segmentation.size is None
    return not segmentation or not any(segmentation)  # type: ignore[arg-type]


def _from_runs(counts: Sequence[float], size: Size) -> str:
    pixels = size[0] * size[1]
    whole = [int(run) for run in counts[: MAX_RUNS + 1] if 0 <= run <= pixels and run == int(run)]
    if len(whole) != len(counts) or not counts or sum(whole) != pixels:
        raise ValueError(
            f"its counts are not non-negative runs that add up to height x width = {pixels}; encode it again"
        )
    encoded: bytes = coco_mask.frPyObjects({"size": list(size), "counts": whole}, *size)["counts"]
    return encoded.decode("ascii")


def _check_polygons(polygons: list[list[float]], size: Size) -> float:
    """Refuse polygons that pycocotools does not take; return by how much their boundaries are longer than usual."""
    if not polygons:
        raise ValueError("holds no polygon; give one or remove the object")
    excess, usual = 0.0, min(MOST_USUAL_PX, 20 * sum(size))
    for place, polygon in enumerate(polygons):
        # pycocotools takes a first polygon of four numbers for a box and fails; later ones it draws as nothing.
        if len(polygon) % 2 or len(polygon) < (2 if place else 6):
            raise ValueError(
                f"polygon {place} has {len(polygon)} numbers; give x1, y1, x2, y2, ... for at least 3 corners"
            )
        low, high = min(polygon), max(polygon)
        if not -MAX_COORDINATE_PX <= low <= high <= MAX_COORDINATE_PX or math.isnan(sum(polygon)):
            raise ValueError(f"polygon {place} has a corner farther than {MAX_COORDINATE_PX:.0f} pixels; correct it")
        if len(polygon) // 2 * (high - low) > usual:  # so long so many edges of this extent can be
            corners = np.array(polygon).reshape(-1, 2)
            boundary = float(np.abs(corners - np.roll(corners, 1, axis=0)).max(axis=1).sum())
            if boundary > MAX_BOUNDARY_PX:
                raise ValueError(f"polygon {place} has a boundary of over {MAX_BOUNDARY_PX:.0f} pixels; correct it")
            excess += max(0.0, boundary - usual)
    return excess


def _compressed(segmentation: Segmentation, size: Size) -> str:
    """Return the compressed counts of a segmentation, or say what is wrong; a string is not looked at, nor polygons."""
    if segmentation is None:
        raise ValueError("is null; give a mask or remove the object")
    if not isinstance(segmentation, Rle):
        merged: bytes = coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))["counts"]
        return merged.decode("ascii")
    if segmentation.counts is None or segmentation.size is None:
        raise ValueError("has no 'size' and 'counts'; write the mask as run-length code")
    if segmentation.size != size:
        stated = list(segmentation.size)
        raise ValueError(f"size {stated} differs from the frame's {list(size)} (height, width); whose mask is it?")
    return segmentation.counts if isinstance(segmentation.counts, str) else _from_runs(segmentation.counts, size)


def _all_compressed(segmentations: Sequence[Segmentation], sizes: Iterable[Size]) -> list[str] | None:
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
    segmentations: Sequence[Segmentation], frames: Sequence[Size], frame: NDArray[np.int64], path: object, place: Place
) -> Codes:
    """Turn segmentations of any form into checked compressed codes.

    Args:
        segmentations: one per mask; null is refused here, so leave absent frames out.
        frames: (height, width) in pixels of every frame.
        frame: which of them each mask belongs to, shape (len(segmentations),).
        path: the file, for messages.
        place: names the place of the i-th segmentation, for messages.

    Raises:
        InputError: for an empty or ragged polygon, another size than the frame's, or counts that are not a mask.
    """
    of_each = frame.tolist()
    counts = _all_compressed(segmentations, map(frames.__getitem__, of_each))
    if counts is None:
        counts, excess = [], 0.0
        try:
            for segmentation, number in zip(segmentations, of_each, strict=True):
                excess += _check_polygons(segmentation, frames[number]) if isinstance(segmentation, list) else 0
                if excess > MAX_EXCESS_PX:
                    raise ValueError(
                        f"the boundaries so far are longer than usual by {MAX_EXCESS_PX:.0f} pixels; store these masks "
                        "as run lengths"
                    )
                counts.append(_compressed(segmentation, frames[number]))
        except (ValueError, OverflowError) as error:
            raise InputError(f"{path}: {place(len(counts))}: {error}") from None
    kinds = {size: number for number, size in enumerate(dict.fromkeys(frames))}
    kind = np.array([kinds[size] for size in frames], np.int64)[frame]
    pixels = np.array([height * width for height, width in kinds], np.int64)
    try:
        return Codes(counts, list(map(list, kinds)), kind, *check_codes(counts, pixels[kind]))
    except BadCodeError as error:
        raise InputError(f"{path}: {place(error.index)}: {error}; encode the mask again") from None


def without_empty_runs(codes: Codes) -> Codes:
    """Return the codes as an encoder writes them; pycocotools stops comparing early where empty runs meet."""
    if not codes.has_empty_runs:
        return codes
    clean = [coco_mask.encode(coco_mask.decode(rle))["counts"].decode("ascii") for rle in codes.rles()]
    return Codes(clean, codes.frames, codes.frame, codes.areas_px, False)


def to_mask(segmentation: Segmentation, height: int, width: int, where: str) -> NDArray[np.bool_] | None:
    """Return a segmentation of a frame as an (H, W) boolean mask, None where there is no mask.

    Errors are those of `compress`; ``where`` is file and place, for the message.
    """
    if is_absent(segmentation):
        return None
    return compress([segmentation], [(height, width)], np.zeros(1, np.int64), where, lambda _: "segmentation").mask(0)


@dataclass(frozen=True)
class TrackMasks:
    """The masks of a track, frame by frame.

    ``places`` says where the code of each frame is in ``codes`` (shared by all tracks of a file), -1 where the object
    is absent; ``areas_px`` is the number of pixels that each covers, 0 where it is absent. Both have the shape (T,).
    """

    codes: Codes
    places: NDArray[np.int64]
    areas_px: NDArray[np.int64]

    def mask(self, frame: int, height: int, width: int) -> NDArray[np.bool_]:
        """Return the (height, width) mask of a frame, empty where the object is absent."""
        place = int(self.places[frame])
        return np.zeros((height, width), np.bool_) if place < 0 else self.codes.mask(place)

    def rles(self) -> list[CompressedRle | None]:
        """Return the mask of each frame as pycocotools takes it, None where nothing of the object is seen."""
        codes = iter(self.codes.rles(self.places[self.areas_px > 0]))
        return [next(codes) if area else None for area in self.areas_px.tolist()]
