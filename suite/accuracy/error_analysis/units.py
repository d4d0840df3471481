"""Judges the detections of COCO results and the tracks of YouTube-VIS results, and says in what a bad track fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from suite.accuracy.error_analysis.judging import Judged, Localise, Unit, judge
from suite.accuracy.error_analysis.kinds import (
    BACKGROUND_IOU,
    FOREGROUND_IOU,
    IDENTITY_SWITCH,
    IMAGE_KINDS,
    SPATIAL,
    TEMPORAL_MISS,
    VIDEO_KINDS,
)
from suite.accuracy.mask_engines import image_ranks, object_areas
from suite.accuracy.matches import Flags, Floats, Integers
from suite.accuracy.track_iou import frame_overlaps, track_iou
from suite.accuracy.video_ap import AREA_RANGES_PX
from suite.datasets.coco import CocoDataset, Detections, Groups
from suite.datasets.youtube_vis import MaskedTrack, YoutubeVisDataset

IMAGE_AREA_RANGES_PX = ((0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10))
"""All, small, medium, large."""


def _image_units(dataset: CocoDataset, detections: Detections) -> Iterator[Unit]:
    objects, areas, found_areas = dataset.objects, object_areas(dataset), detections.areas_px
    painted = Groups(detections.image, len(dataset.images))
    wanted = Groups(objects.image, len(dataset.images))
    for index, place in enumerate(np.argsort(image_ranks(dataset)).tolist()):
        found, real = painted.rows(place), wanted.rows(place)
        if not len(found) and not len(real):
            continue
        crowd = objects.crowd[real]
        ious = np.zeros((len(found), len(real)))
        if ious.size:
            masks = detections.codes.rles(found), dataset.codes.rles(real)
            ious = coco_mask.iou(*masks, crowd.astype(np.uint8).tolist())
        yield Unit(
            index=index,
            ious=ious,
            category=detections.class_index[found],
            score=detections.scores[found],
            area=found_areas[found],
            object_category=objects.class_index[real],
            object_area=areas[real],
            crowd=crowd,
            places=found,
            object_places=real,
        )


def judge_images(dataset: CocoDataset, detections: Detections) -> Judged:
    """Judge every detection over all areas and over small, medium and large objects, one image in memory at a time.

    Units are the images in ascending order of id.
    """
    units = _image_units(dataset, detections)
    return judge(units, len(dataset.images), len(dataset.categories), IMAGE_KINDS, IMAGE_AREA_RANGES_PX)


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


def _track_units(dataset: YoutubeVisDataset, tracks: Sequence[MaskedTrack]) -> Iterator[Unit]:
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
    units = _track_units(dataset, tracks)
    return judge(units, len(dataset.videos), len(dataset.categories), VIDEO_KINDS, AREA_RANGES_PX)
