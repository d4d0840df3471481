"""Finds hits and errors at IoU 0.5: the official matching, the kind of every error, and in what a bad track fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suite.accuracy import mask_ap, video_ap
from suite.accuracy.error_analysis.kinds import (
    BACKGROUND,
    BACKGROUND_IOU,
    BOTH,
    CLASSIFICATION,
    DUPLICATE,
    FOREGROUND_IOU,
    IDENTITY_SWITCH,
    IMAGE_KINDS,
    LOCALISATION,
    SPATIAL,
    TEMPORAL_MISS,
    VIDEO_KINDS,
    Kind,
)
from suite.accuracy.matches import Flags, Floats, Instances, Integers, Matches, Pairs, match
from suite.accuracy.track_iou import frame_overlaps
from suite.datasets.coco import CocoDataset, Detections
from suite.datasets.youtube_vis import MaskedTrack, YoutubeVisDataset


@dataclass(frozen=True)
class Judged:
    """Every detection and object of a dataset with what is wrong about it.

    Attributes:
        matches: at IoU 0.5, over all areas and over small, medium and large objects.
        kinds: the task's kinds of error.
        kind: (D,) index into ``kinds`` of what is wrong where a detection is a false positive.
        target: (D,) row of the object that it would have to match instead, -1 for none.
    """

    matches: Matches
    kinds: tuple[Kind, ...]
    kind: NDArray[np.int8]
    target: Integers


def _best(pairs: Pairs, chosen: Flags, detections: int) -> tuple[Floats, Integers]:
    """Return the largest IoU of every detection among chosen pairs, 0 for none, and the first object that has it."""
    row, column, iou = pairs.detection[chosen], pairs.object[chosen], pairs.iou[chosen]
    order = np.lexsort((column, -iou, row))
    rows, first = np.unique(row[order], return_index=True)
    best, target = np.zeros(detections), np.full(detections, -1)
    best[rows], target[rows] = iou[order][first], column[order][first]
    return best, target


def _judge(
    size: tuple[int, int],
    detections: Instances,
    objects: Instances,
    pairs: Pairs,
    kinds: tuple[Kind, ...],
    ranges: Sequence[tuple[float, float]],
) -> tuple[Judged, Integers]:
    """Judge detections; also return the rows of those with an error of localisation, whose kind is still the first."""
    amount = len(detections.unit)
    same = detections.category[pairs.detection] == objects.category[pairs.object]
    real = ~objects.crowd[pairs.object]
    (own, own_target), (other, other_target) = (_best(pairs, real & chosen, amount) for chosen in (same, ~same))
    localisation = (own >= BACKGROUND_IOU) & (own <= FOREGROUND_IOU)
    conditions = {
        LOCALISATION: localisation,
        CLASSIFICATION: ~localisation & (other >= FOREGROUND_IOU),
        DUPLICATE: own >= FOREGROUND_IOU,
        BOTH: np.maximum(own, other) > BACKGROUND_IOU,
    }
    numbers = [kinds.index(kind) if kind in kinds else 0 for kind in conditions]
    kind = np.select(list(conditions.values()), numbers, kinds.index(BACKGROUND)).astype(np.int8)
    target = np.select([localisation, conditions[CLASSIFICATION]], [own_target, other_target], -1)
    matches = match(size, detections, objects, pairs, ranges, (FOREGROUND_IOU,))
    return Judged(matches, kinds, kind, target), np.flatnonzero(localisation)


def judge_images(dataset: CocoDataset, detections: Detections) -> Judged:
    """Judge every detection over all areas and over small, medium and large objects."""
    found = mask_ap.mask_pairs(dataset, detections, BACKGROUND_IOU, across=True)
    return _judge(*found, IMAGE_KINDS, mask_ap.AREA_RANGES_PX)[0]


def judge_tracks(dataset: YoutubeVisDataset, tracks: Sequence[MaskedTrack]) -> Judged:
    """Judge every track over all areas and over small, medium and large objects."""
    size, found, objects, pairs = video_ap.track_pairs(
        dataset, dataset.masked_tracks, tracks, BACKGROUND_IOU, across=True
    )
    judged, localised = _judge(size, found, objects, pairs, VIDEO_KINDS, video_ap.AREA_RANGES_PX)
    for unit in np.unique(found.unit[localised]).tolist():
        rows, real = localised[found.unit[localised] == unit], np.flatnonzero((objects.unit == unit) & ~objects.crowd)
        painted = [tracks[place].masks for place in found.place[rows].tolist()]
        wanted = [dataset.masked_tracks[place].masks for place in real.tolist()]
        shared, areas = frame_overlaps(painted, wanted), np.stack([masks.areas_px for masks in wanted], axis=1)
        own = np.searchsorted(real, judged.target[rows]).tolist()
        for place, (row, masks) in enumerate(zip(rows.tolist(), painted, strict=True)):
            kind = _localisation_kind(shared[:, place], masks.areas_px, areas, own[place])
            judged.kind[row] = VIDEO_KINDS.index(kind)
    return judged


def _iou(shared: Integers, areas: Integers, frames: Flags) -> float:
    """Return the IoU over some frames of a track and an object from their common pixels and the sum of their areas."""
    intersection, union = int(shared[frames].sum()), int((areas - shared)[frames].sum())
    return intersection / union if union else 0.0


def _localisation_kind(shared: Integers, area: Integers, object_areas: Integers, own: int) -> Kind:
    """Return which of the three localisation errors a track has that is measured by the object ``own``.

    ``shared`` has the pixels that the track and each object have in common, frame by frame, (T, G); ``area`` those of
    the track, (T,), and ``object_areas`` those of each object, (T, G).
    """
    both = area[:, None] + object_areas
    union = both - shared
    frame_iou = np.divide(shared, union, out=np.zeros(shared.shape), where=union > 0)
    followed, best = frame_iou.argmax(axis=1), frame_iou.max(axis=1)
    away = (best >= FOREGROUND_IOU) & (followed != own) & (frame_iou[:, own] < best)
    mine, sums = shared[:, own], both[:, own]
    if away.any() and _iou(mine, sums, ~away) >= FOREGROUND_IOU:
        return IDENTITY_SWITCH
    visible = (area > 0) & (object_areas[:, own] > 0)
    return TEMPORAL_MISS if _iou(mine, sums, visible) >= FOREGROUND_IOU else SPATIAL
