"""COCO mask AP of a results file. pycocotools is the authority; hotcoco gives the same numbers much faster."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from suite.accuracy.coco_files import (
    BOX_AREA_NOTE,
    ZERO_ID_NOTE,
    Detections,
    GroundTruth,
    read_detections,
    read_ground_truth,
)
from suite.accuracy.score import Curves, Score, per_category, summarize
from suite.errors import InputError

ENGINES = ("auto", "pycocotools", "hotcoco")


def _indexed(dataset: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def _detection_areas(detections: Detections) -> list[float]:
    if detections.box_areas is not None:
        return [float(area) for area in detections.box_areas]
    codes = detections.codes
    return [int(coco_mask.area(codes.rle(index))) for index in range(len(codes.counts))]


def evaluate_pycocotools(ground_truth: GroundTruth, detections: Detections) -> Curves:
    """Evaluate with pycocotools' COCOeval, on fresh objects, in silence."""
    images = [{"id": key, "height": size[0], "width": size[1]} for key, size in ground_truth.image_sizes.items()]
    categories = [{"id": category.id, "name": category.name} for category in ground_truth.categories]
    annotations = [
        {
            "id": int(number),
            "image_id": int(image),
            "category_id": int(category),
            "area": float(area),
            "iscrowd": int(crowd),
            "segmentation": ground_truth.codes.rle(index),
        }
        for index, (number, image, category, area, crowd) in enumerate(
            zip(
                ground_truth.ids,
                ground_truth.image_ids,
                ground_truth.category_ids,
                ground_truth.areas,
                ground_truth.crowd,
                strict=True,
            )
        )
    ]
    results = [
        {
            "id": index + 1,
            "image_id": int(image),
            "category_id": int(category),
            "score": float(score),
            "area": area,
            "iscrowd": 0,
            "segmentation": detections.codes.rle(index),
        }
        for index, (image, category, score, area) in enumerate(
            zip(
                detections.image_ids,
                detections.category_ids,
                detections.scores,
                _detection_areas(detections),
                strict=True,
            )
        )
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = COCOeval(
            _indexed({"images": images, "categories": categories, "annotations": annotations}),
            _indexed({"images": images, "categories": categories, "annotations": results}),
            "segm",
        )
        evaluator.evaluate()
        evaluator.accumulate()
    return Curves(np.asarray(evaluator.eval["precision"]), np.asarray(evaluator.eval["recall"]))


def score_coco(annotations: Path, results: Path, engine: str = "auto") -> Score:
    """Score a COCO results file against an instances file, exactly as pycocotools does.

    Args:
        annotations: COCO instances file, ``.json`` or ``.json.gz``.
        results: COCO results file: a list of ``{image_id, category_id, score, segmentation}``.
        engine: ``"pycocotools"``, ``"hotcoco"`` or ``"auto"``.

    Returns:
        The twelve official numbers, over all categories and for each; an empty results list scores 0.

    Raises:
        DataError: if a file is absent.
        InputError: naming file and place of whatever is wrong in either file.
    """
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}; choose one of {', '.join(ENGINES)}")
    ground_truth = read_ground_truth(annotations)
    detections = read_detections(results, ground_truth)
    curves = evaluate_pycocotools(ground_truth, detections)
    notes = []
    if detections.box_areas is not None:
        notes.append(BOX_AREA_NOTE)
    if (ground_truth.ids == 0).any():
        notes.append(ZERO_ID_NOTE)
    return Score(
        task="coco",
        engine="pycocotools",
        stats=summarize(curves),
        per_category=per_category(curves, ground_truth.categories),
        counts={
            "images": len(ground_truth.image_sizes),
            "annotations": len(ground_truth.ids),
            "results": len(detections.scores),
        },
        notes=tuple(notes),
    )
