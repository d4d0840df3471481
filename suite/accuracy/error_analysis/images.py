"""Judges the detections of a COCO results file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pycocotools import mask as coco_mask

from suite.accuracy.coco_files import Detections, GroundTruth
from suite.accuracy.error_analysis.judging import Integers, Judged, Unit, judge
from suite.accuracy.error_analysis.kinds import IMAGE_KINDS
from suite.accuracy.segmentations import Codes

AREA_RANGES_PX = ((0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10))
"""All, small, medium, large."""


def places_by_unit(unit_of: Integers, units: Integers) -> list[Integers]:
    """Return the places of the entries of each unit, ascending.

    Args:
        unit_of: id of each entry's unit.
        units: all ids, ascending.
    """
    order = np.argsort(unit_of, kind="stable")
    bounds = np.searchsorted(unit_of[order], units, side="right")
    return np.split(order, bounds[:-1])


def _masks(codes: Codes, places: Integers, size: Sequence[int]) -> list[dict[str, object]]:
    return [{"size": list(size), "counts": codes.counts[place]} for place in places.tolist()]


def _units(ground_truth: GroundTruth, detections: Detections) -> Iterator[Unit]:
    images = np.array(sorted(ground_truth.image_sizes), np.int64)
    category_ids = np.array([category.id for category in ground_truth.categories], np.int64)
    painted = places_by_unit(detections.image_ids, images)
    wanted = places_by_unit(ground_truth.image_ids, images)
    areas = detections.codes.areas_px if detections.box_areas is None else detections.box_areas
    for index, (image, found, real) in enumerate(zip(images.tolist(), painted, wanted, strict=True)):
        if not len(found) and not len(real):
            continue
        crowd = ground_truth.crowd[real]
        ious = np.zeros((len(found), len(real)))
        if ious.size:
            size = ground_truth.image_sizes[image]
            masks = _masks(detections.codes, found, size), _masks(ground_truth.codes, real, size)
            ious = coco_mask.iou(*masks, crowd.astype(np.uint8).tolist())
        yield Unit(
            index=index,
            ious=ious,
            category=np.searchsorted(category_ids, detections.category_ids[found]),
            score=detections.scores[found],
            area=areas[found].astype(np.float64),
            object_category=np.searchsorted(category_ids, ground_truth.category_ids[real]),
            object_area=ground_truth.areas[real],
            crowd=crowd,
            places=found,
            object_places=real,
        )


def judge_images(ground_truth: GroundTruth, detections: Detections) -> Judged:
    """Judge every detection over all areas and over small, medium and large objects, one image in memory at a time.

    Units are the images in ascending order of id.
    """
    units = _units(ground_truth, detections)
    return judge(units, len(ground_truth.image_sizes), len(ground_truth.categories), IMAGE_KINDS, AREA_RANGES_PX)
