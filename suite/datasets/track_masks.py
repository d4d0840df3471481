"""The masks of tracks, frame by frame, compressed and checked together."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from suite.datasets.fields import MAX_SIDE_PX, Rle, Segmentation
from suite.datasets.masks import Codes, compress, is_absent, without_empty_runs


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
        if place < 0:
            return np.zeros((height, width), np.bool_)
        code = {"size": self.codes.sizes[place].tolist(), "counts": self.codes.counts[place]}
        return np.asarray(coco_mask.decode(code), np.bool_)


_counts = operator.attrgetter("counts")


def _own_size(segmentation: Segmentation, frame: tuple[int, int]) -> tuple[int, int]:
    """Return the size that a run-length code itself states, if it can be one, else the frame's."""
    own = segmentation.size if isinstance(segmentation, Rle) else None
    if own is None or not all(1 <= side <= MAX_SIDE_PX and side == int(side) for side in own):
        return frame
    return int(own[0]), int(own[1])


def compress_tracks(
    tracks: Sequence[tuple[Sequence[Segmentation], tuple[int, int]]],
    entries: Sequence[int],
    path: Path,
    root: str,
    official_quirks: bool,
) -> list[TrackMasks]:
    """Compress every frame of every track.

    Args:
        tracks: for each, one segmentation a frame and the frames' (height, width) in pixels.
        entries: number of each one's entry in the file, for messages.
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
            here = [place for place, frame in enumerate(frames) if not is_absent(frame)]
        present += range(first, end) if len(here) == len(frames) else [first + place for place in here]
        segmentations += frames if len(here) == len(frames) else [frames[place] for place in here]
        sizes += [size] * len(here)
    if official_quirks:
        sizes = [_own_size(segmentation, size) for segmentation, size in zip(segmentations, sizes, strict=True)]

    def named(index: int) -> str:
        track = int(np.searchsorted(ends, present[index], side="right"))
        frame = present[index] - int(ends[track]) + len(tracks[track][0])
        return f"{root}[{entries[track]}].segmentations[{frame}]"

    codes = without_empty_runs(compress(segmentations, sizes, path, named))
    total = int(ends[-1]) if len(ends) else 0
    places, areas_px = np.full(total, -1), np.zeros(total, np.int64)
    places[present] = np.arange(len(present))
    areas_px[present] = codes.areas_px
    return [
        TrackMasks(codes, places[end - len(frames) : end], areas_px[end - len(frames) : end])
        for end, (frames, _) in zip(ends.tolist(), tracks, strict=True)
    ]
