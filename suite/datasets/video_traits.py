"""Which videos are hard to track in, judged from their annotations alone; their names can be had without reading masks.

Association of instances between key frames can only show where instances can be confused or lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from suite.datasets.categories import Id
    from suite.datasets.youtube_vis import MaskedTrack, YoutubeVisDataset

Mask = NDArray[np.bool_]

FAST_IOU = 0.1
"""Two consecutive masks of an object that overlap by no more than this count as fast motion."""


def _box(mask: Mask) -> tuple[int, int, int, int]:
    """Return first row, first column, last row and last column of a non-empty mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]), int(columns[-1])


def _boxes_meet(first: Mask, second: Mask) -> bool:
    top, left, bottom, right = _box(first)
    other_top, other_left, other_bottom, other_right = _box(second)
    return top <= other_bottom and other_top <= bottom and left <= other_right and other_left <= right


Tracked = tuple[int, Sequence[Mask | None]]
"""Class index and one mask per frame, None where nothing of the object is seen."""


def _look_alikes_meet(tracks: Sequence[Tracked]) -> bool:
    return any(
        one is not None and other is not None and _boxes_meet(one, other)
        for (class_index, masks), (other_class, others) in combinations(tracks, 2)
        if class_index == other_class
        for one, other in zip(masks, others, strict=True)
    )


def _comes_back(tracks: Sequence[Tracked]) -> bool:
    for _, masks in tracks:
        seen = [frame for frame, mask in enumerate(masks) if mask is not None]
        if seen and len(seen) < seen[-1] - seen[0] + 1:
            return True
    return False


def _moves_fast(tracks: Sequence[Tracked]) -> bool:
    return any(
        one is not None
        and other is not None
        and np.count_nonzero(one & other) <= FAST_IOU * np.count_nonzero(one | other)
        for _, masks in tracks
        for one, other in pairwise(masks)
    )


_JUDGES: dict[str, Callable[[Sequence[Tracked]], bool]] = {
    "look_alikes": _look_alikes_meet,
    "occlusion": _comes_back,
    "fast_motion": _moves_fast,
}
TRAITS = {
    "look_alikes": "the boxes of two objects of one category touch in some frame",
    "occlusion": "an object is gone for at least one frame and comes back",
    "fast_motion": f"two consecutive masks of an object overlap by an IoU of at most {FAST_IOU}",
}
"""Trait -> what makes a video have it."""


def _tracked(track: MaskedTrack) -> Tracked:
    codes, places, areas_px = track.masks.codes, track.masks.places.tolist(), track.masks.areas_px.tolist()
    return track.class_index, [
        codes.mask(place) if area else None for place, area in zip(places, areas_px, strict=True)
    ]


def videos_by_trait(dataset: YoutubeVisDataset) -> dict[str, frozenset[Id]]:
    """Return trait -> ids of the videos that have it; a video may have several or none, crowds count for nothing.

    Args:
        dataset: annotated videos; their frames are not read.

    Raises:
        InputError: naming the track and frame of a bad mask.
    """
    tracks_of: dict[Id, list[Tracked]] = {video.video_id: [] for video in dataset.videos}
    for track in dataset.masked_tracks:
        if not track.crowd:
            tracks_of[track.video_id].append(_tracked(track))
    return {
        trait: frozenset(video_id for video_id, tracks in tracks_of.items() if judge(tracks))
        for trait, judge in _JUDGES.items()
    }
