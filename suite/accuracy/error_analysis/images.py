"""Judges the detections of a COCO results file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from pycocotools import mask as coco_mask

from suite.accuracy.error_analysis.judging import Integers, Judged, Unit, judge
from suite.accuracy.error_analysis.kinds import IMAGE_KINDS
from suite.accuracy.mask_engines import image_ranks, object_areas
from suite.datasets.coco import CocoDataset, Detections, Groups
from suite.datasets.masks import Codes

AREA_RANGES_PX = ((0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10))
"""All, small, medium, large."""


def _masks(codes: Codes, places: Integers, size: Sequence[int]) -> list[dict[str, object]]:
    return [{"size": list(size), "counts": codes.counts[place]} for place in places.tolist()]


def _units(dataset: CocoDataset, detections: Detections) -> Iterator[Unit]:
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
            size = dataset.images[place].height, dataset.images[place].width
            masks = _masks(detections.codes, found, size), _masks(dataset.codes, real, size)
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
    units = _units(dataset, detections)
    return judge(units, len(dataset.images), len(dataset.categories), IMAGE_KINDS, AREA_RANGES_PX)
