"""Which videos are hard to track in, judged from their annotations alone; their names can be had without reading masks.

Association of instances between key frames can only show where instances can be confused or lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from suite.datasets.categories import Id
    from suite.datasets.youtube_vis import MaskedTrack, YoutubeVisDataset

FAST_IOU = 0.1
"""Two consecutive masks of an object that overlap by no more than this count as fast motion."""


def _look_alikes_meet(tracks: Sequence[MaskedTrack]) -> bool:
    from pycocotools import mask as coco_mask

    unseen = np.full(4, np.nan)  # is on no side of anything
    boxes = [
        np.array([unseen if code is None else coco_mask.toBbox(code) for code in track.masks.rles()])
        for track in tracks
    ]
    return any(
        bool(((a[:, :2] < b[:, :2] + b[:, 2:]) & (b[:, :2] < a[:, :2] + a[:, 2:])).all(axis=1).any())
        for (one, a), (other, b) in combinations(zip(tracks, boxes, strict=True), 2)
        if one.class_index == other.class_index
    )


def _comes_back(tracks: Sequence[MaskedTrack]) -> bool:
    seen = [np.flatnonzero(track.masks.areas_px) for track in tracks]
    return any(bool((np.diff(frames) > 1).any()) for frames in seen)


def _moves_fast(tracks: Sequence[MaskedTrack]) -> bool:
    from pycocotools import mask as coco_mask

    return any(
        one is not None and other is not None and coco_mask.iou([one], [other], [0])[0, 0] <= FAST_IOU
        for track in tracks
        for one, other in pairwise(track.masks.rles())
    )


_JUDGES: dict[str, Callable[[Sequence[MaskedTrack]], bool]] = {
    "look_alikes": _look_alikes_meet,
    "occlusion": _comes_back,
    "fast_motion": _moves_fast,
}
EASY = "easy"
TRAITS = {
    "look_alikes": "the boxes of two objects of one category touch in some frame",
    "occlusion": "an object is gone for at least one frame and comes back",
    "fast_motion": f"two consecutive masks of an object overlap by an IoU of at most {FAST_IOU}",
    EASY: "none of these is so",
}
"""Trait -> what makes a video have it."""


def videos_by_trait(dataset: YoutubeVisDataset) -> dict[str, frozenset[Id]]:
    """Return trait -> ids of the videos that have it; a video may have several, crowds count for nothing.

    Args:
        dataset: annotated videos; their frames are not read.

    Raises:
        InputError: naming the track and frame of a bad mask.
    """
    tracks_of: dict[Id, list[MaskedTrack]] = {video.video_id: [] for video in dataset.videos}
    for track in dataset.masked_tracks:
        if not track.crowd:
            tracks_of[track.video_id].append(track)
    found = {
        trait: frozenset(video_id for video_id, tracks in tracks_of.items() if judge(tracks))
        for trait, judge in _JUDGES.items()
    }
    return {**found, EASY: frozenset(tracks_of).difference(*found.values())}
