"""Judges the tracks of a YouTube-VIS results file, and says in what a badly placed track fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from suite.accuracy.error_analysis.judging import Flags, Floats, Integers, Judged, Localise, Unit, judge
from suite.accuracy.error_analysis.kinds import (
    BACKGROUND_IOU,
    FOREGROUND_IOU,
    IDENTITY_SWITCH,
    SPATIAL,
    TEMPORAL_MISS,
    VIDEO_KINDS,
)
from suite.accuracy.track_iou import frame_overlaps, track_iou
from suite.accuracy.video_ap import AREA_RANGES_PX
from suite.datasets.coco import Groups
from suite.datasets.youtube_vis import MaskedTrack, YoutubeVisDataset

SWITCHED, MISTIMED, MISDRAWN = (VIDEO_KINDS.index(kind) for kind in (IDENTITY_SWITCH, TEMPORAL_MISS, SPATIAL))


def _iou(shared: Integers, areas: Integers, frames: Flags) -> float:
    """Return the IoU over some frames of a track and an object from their common pixels and the sum of their areas."""
    intersection, union = int(shared[frames].sum()), int((areas - shared)[frames].sum())
    return intersection / union if union else 0.0


def localisation_kind(shared: Integers, area: Integers, object_areas: Integers, own: int) -> int:
    """Return which of the three localisation errors a track has.

    Args:
        shared: pixels that the track and each object have in common, frame by frame, shape (T, G).
        area: pixels of the track, shape (T,).
        object_areas: pixels of each object, shape (T, G).
        own: the object that the track is measured by.

    Returns:
        Index into `VIDEO_KINDS`.
    """
    both = area[:, None] + object_areas
    union = both - shared
    frame_iou = np.divide(shared, union, out=np.zeros(shared.shape), where=union > 0)
    followed = frame_iou.argmax(axis=1)
    away = (frame_iou.max(axis=1) >= FOREGROUND_IOU) & (followed != own) & (frame_iou[:, own] < frame_iou.max(axis=1))
    mine, sums = shared[:, own], both[:, own]
    if away.any() and _iou(mine, sums, ~away) >= FOREGROUND_IOU:
        return SWITCHED
    visible = (area > 0) & (object_areas[:, own] > 0)
    return MISTIMED if _iou(mine, sums, visible) >= FOREGROUND_IOU else MISDRAWN


def _localise(results: Sequence[MaskedTrack], annotated: Sequence[MaskedTrack], crowd: Flags) -> Localise:
    """Return the function that names the localisation errors of one video's tracks."""

    def localise(rows: Integers, targets: Integers) -> NDArray[np.int8]:
        real = np.flatnonzero(~crowd)
        objects = [annotated[i].masks for i in real.tolist()]
        tracks = [results[i].masks for i in rows.tolist()]
        shared = frame_overlaps(tracks, objects)
        areas = np.stack([masks.areas_px for masks in objects], axis=1)
        own = np.searchsorted(real, targets)
        found = [
            localisation_kind(shared[:, place], masks.areas_px, areas, int(own[place]))
            for place, masks in enumerate(tracks)
        ]
        return np.array(found, np.int8)

    return localise


def _units(dataset: YoutubeVisDataset, tracks: Sequence[MaskedTrack]) -> Iterator[Unit]:
    ranks = {key: rank for rank, key in enumerate(sorted(dataset.places))}

    def column(items: Sequence[MaskedTrack], name: str, kind: type = np.float64) -> Floats:
        return np.array([getattr(item, name) for item in items], kind)

    painted, wanted = (
        Groups(np.array([ranks[track.video_id] for track in items], np.int64), len(ranks))
        for items in (tracks, dataset.masked_tracks)
    )
    for index in range(len(ranks)):
        found, real = painted.rows(index), wanted.rows(index)
        results, annotated = [tracks[i] for i in found.tolist()], [dataset.masked_tracks[i] for i in real.tolist()]
        ious, crowd = np.zeros((len(results), len(annotated))), column(annotated, "crowd", np.bool_).astype(np.bool_)
        if ious.size:
            masks = [[track.masks for track in side] for side in (results, annotated)]
            ious = track_iou(masks[0], masks[1], at_least=BACKGROUND_IOU)
        if results or annotated:
            yield Unit(
                index=index,
                ious=ious,
                category=column(results, "class_index", np.int64).astype(np.int64),
                score=column(results, "score"),
                area=column(results, "area"),
                object_category=column(annotated, "class_index", np.int64).astype(np.int64),
                object_area=column(annotated, "area"),
                crowd=crowd,
                places=found,
                object_places=real,
                localise=_localise(results, annotated, crowd),
            )


def judge_tracks(dataset: YoutubeVisDataset, tracks: Sequence[MaskedTrack]) -> Judged:
    """Judge every track over all areas and over small, medium and large objects, one video in memory at a time.

    Units are the videos in ascending order of id.
    """
    units = _units(dataset, tracks)
    return judge(units, len(dataset.videos), len(dataset.categories), VIDEO_KINDS, AREA_RANGES_PX)
