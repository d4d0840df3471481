"""The masks of tracks, frame by frame, compressed and checked together."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from suite.accuracy.segmentations import Codes, compress
from suite.accuracy.typed_json import MAX_SIDE_PX, Rle, Segmentation


@dataclass(frozen=True)
class TrackMasks:
    """The masks of a track, frame by frame.

    ``places`` says where the code of each frame is in ``codes`` (shared by all tracks of a file), -1 where the object
    is absent; ``areas_px`` is the number of pixels that each covers, 0 where it is absent. Both have the shape (T,).
    """

    codes: Codes
    places: NDArray[np.int64]
    areas_px: NDArray[np.int64]


_counts = operator.attrgetter("counts")


def _present(segmentation: Segmentation) -> bool:
    """Tell whether the object is in a frame; null, ``[]`` and ``{}`` say that it is not."""
    if type(segmentation) is Rle:
        return segmentation.counts is not None or segmentation.size is not None
    return bool(segmentation)


def _own_size(segmentation: Segmentation, frame: tuple[int, int]) -> tuple[int, int]:
    """Return the size that a run-length code itself states, if it can be one, else the frame's."""
    own = segmentation.size if isinstance(segmentation, Rle) else None
    return own if own is not None and all(1 <= side <= MAX_SIDE_PX for side in own) else frame


def compress_tracks(
    tracks: Sequence[tuple[Sequence[Segmentation], tuple[int, int]]], path: Path, root: str, official_quirks: bool
) -> list[TrackMasks]:
    """Compress every frame of every track.

    Args:
        tracks: for each, one segmentation a frame and the frames' (height, width) in pixels.
        path: the file, for messages.
        root: ``"annotations"`` or ``"results"``, for messages.
        official_quirks: let masks keep another size than the frame's.

    Raises:
        InputError: naming the place of a bad mask.
    """
    ends = np.cumsum([len(segmentations) for segmentations, _ in tracks], dtype=np.int64)
    present: list[int] = []
    segmentations: list[Segmentation] = []
    sizes: list[tuple[int, int]] = []
    for end, (frames, size) in zip(ends.tolist(), tracks, strict=True):
        first = end - len(frames)
        # Most tracks are in all frames, and most masks state their counts: then nothing is asked frame by frame.
        if set(map(type, frames)) == {Rle} and None not in map(_counts, frames):
            here: Sequence[int] = range(len(frames))
        else:
            here = [place for place, frame in enumerate(frames) if frame is not None and _present(frame)]
        present += range(first, end) if len(here) == len(frames) else [first + place for place in here]
        segmentations += frames if len(here) == len(frames) else [frames[place] for place in here]
        sizes += [size] * len(here)
    if official_quirks:
        sizes = [_own_size(segmentation, size) for segmentation, size in zip(segmentations, sizes, strict=True)]

    def named(index: int) -> str:
        track = int(np.searchsorted(ends, present[index], side="right"))
        frame = present[index] - int(ends[track]) + len(tracks[track][0])
        return f"{root}[{track}].segmentations[{frame}]"

    codes = compress(segmentations, sizes, path, named)
    if codes.has_empty_runs:
        # pycocotools stops comparing early where the empty runs of two masks meet.
        clean = [coco_mask.encode(coco_mask.decode(rle))["counts"].decode("ascii") for rle in codes.rles()]
        codes = replace(codes, counts=clean, has_empty_runs=False)
    total = int(ends[-1]) if len(ends) else 0
    places, areas_px = np.full(total, -1), np.zeros(total, np.int64)
    places[present] = np.arange(len(present))
    areas_px[present] = codes.areas_px
    return [
        TrackMasks(codes, places[end - len(frames) : end], areas_px[end - len(frames) : end])
        for end, (frames, _) in zip(ends.tolist(), tracks, strict=True)
    ]
