"""COCO mask AP of a results file. pycocotools is the authority; hotcoco gives the same numbers much faster."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, cast

import numpy as np
from pycocotools import mask as coco_mask

from suite.accuracy.intervals import bootstrap, with_difference
from suite.accuracy.matches import THRESHOLDS, Floats, Instances, Integers, Pairs, find_pairs, match
from suite.accuracy.score import Curves, Score, per_category, summarize
from suite.datasets.coco import CocoDataset, Detections, grouped, read_detections
from suite.datasets.masks import collection_paused
from suite.errors import InputError

ENGINES = ("auto", "pycocotools", "hotcoco")
AREA_RANGES_PX = ((0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10))
"""All, small, medium, large."""
IMAGES_PER_CHUNK = 250
BOX_AREA_NOTE = (
    "the results carry boxes, so their areas for APs, APm, APl and ARs, ARm, ARl are those of the boxes, "
    "as in pycocotools; remove 'bbox' to use the masks"
)
ZERO_ID_NOTE = (
    "annotation id 0: the official evaluator counts every match with it as a false positive; number annotations from 1"
)
EMPTY_RUN_NOTE = (
    "some masks have empty runs inside their run-length codes; where two of them meet, pycocotools stops comparing too "
    "early; encode them again to be rid of that"
)


def _ranks(dataset: CocoDataset) -> Integers:
    """Return for each image its rank among the ids in ascending order, from 0; it decides between equal scores."""
    ranks = np.empty(len(dataset.images), np.int64)
    ranks[[dataset.places[key] for key in sorted(dataset.places)]] = np.arange(len(ranks))
    return ranks


def _object_areas(dataset: CocoDataset) -> Floats:
    """Return the areas that decide small, medium and large: the file's, and the masks' where it gives none."""
    given = dataset.objects.areas
    return np.where(np.isnan(given), dataset.codes.areas_px, given)


def _annotated(dataset: CocoDataset) -> dict[str, list[dict[str, Any]]]:
    """Return the ground truth as a fresh COCO document for the engines.

    Images and categories are numbered in ascending order of their ids and objects from 1 on, so that no id is too
    large, negative or text for an engine; only the id 0 stays, for what pycocotools does with it.
    """
    objects, ranks = dataset.objects, _ranks(dataset) + 1
    numbers = np.arange(1, len(objects) + 1)
    numbers[[place for place, key in enumerate(objects.ids) if key == 0]] = 0
    columns = {
        "id": numbers,
        "image_id": ranks[objects.image],
        "category_id": objects.class_index + 1,
        "area": _object_areas(dataset),
        "iscrowd": objects.crowd.astype(np.int64),
    }
    names, values = (*columns, "segmentation"), (column.tolist() for column in columns.values())
    rows = zip(*values, dataset.codes.rles(), strict=True)
    return {
        "images": [
            {"id": rank, "height": image.height, "width": image.width}
            for rank, image in zip(ranks.tolist(), dataset.images, strict=True)
        ],
        "categories": [
            {"id": number, "name": name or str(number)} for number, name in enumerate(dataset.categories.names, start=1)
        ],
        "annotations": [{"bbox": [0, 0, 0, 0], **dict(zip(names, row, strict=True))} for row in rows],
    }


def _results(detections: Detections, rows: Integers, ranks: Integers) -> Floats:
    """Return some results as hotcoco takes them, but for the masks: image, box, score and category, shape (N, 7).

    The area of a result is that of its box.
    """
    table = np.ones((len(rows), 7))
    table[:, 0], table[:, 5] = ranks[detections.image[rows]] + 1, detections.scores[rows]
    table[:, 1:3], table[:, 3], table[:, 6] = 0, detections.areas_px[rows], detections.class_index[rows] + 1
    return table


def pycocotools_curves(dataset: CocoDataset, detections: Detections) -> Curves:
    """Evaluate by pycocotools' COCOeval, in silence."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    annotated = _annotated(dataset)
    table = _results(detections, np.arange(len(detections.scores)), _ranks(dataset))
    columns = zip(table.tolist(), detections.codes.rles(), strict=True)
    results = [
        {
            "id": place,
            "image_id": int(row[0]),
            "category_id": int(row[6]),
            "score": row[5],
            "area": row[3],
            "iscrowd": 0,
            "segmentation": code,
        }
        for place, (row, code) in enumerate(columns, start=1)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        sides = COCO(), COCO()
        for side, items in zip(sides, (annotated["annotations"], results), strict=True):
            side.dataset = {**annotated, "annotations": items}
            side.createIndex()
        evaluator = COCOeval(*sides, "segm")
        evaluator.evaluate()
        evaluator.accumulate()
    return Curves(np.asarray(evaluator.eval["precision"]), np.asarray(evaluator.eval["recall"]))


def hotcoco_curves(dataset: CocoDataset, detections: Detections) -> Curves:
    """Evaluate by hotcoco: pycocotools' numbers in a tenth of the time, few images in memory at a time."""
    import hotcoco

    annotated, ranks = _annotated(dataset), _ranks(dataset)
    objects_of = grouped(dataset.objects.image, len(dataset.images))
    results_of = grouped(detections.image, len(dataset.images))
    stream, places = hotcoco.StreamingEval(annotated["categories"], "segm"), np.argsort(ranks).tolist()
    for start in range(0, len(places), IMAGES_PER_CHUNK):
        chunk = places[start : start + IMAGES_PER_CHUNK]
        images = [annotated["images"][place] for place in chunk]
        objects = [annotated["annotations"][row] for place in chunk for row in objects_of[place].tolist()]
        rows = np.concatenate([results_of[place] for place in chunk])
        masks = cast("list[Any]", detections.codes.rles(rows))
        stream.update(images, objects, _results(detections, rows, ranks), segmentation=masks)
    evaluator = stream.finalize()
    evaluator.accumulate()
    accumulated = cast("dict[str, Any]", evaluator.eval)
    return Curves(np.asarray(accumulated["precision"]), np.asarray(accumulated["recall"]))


def choose_engine(asked: str, dataset: CocoDataset, detections: Detections) -> str:
    """Return the engine to use: hotcoco unless it is known to differ from pycocotools on this input.

    An unknown engine is refused, and hotcoco where it would give another number.
    """
    if asked not in ENGINES:
        raise InputError(f"unknown engine {asked!r}; choose one of {', '.join(ENGINES)}")
    differences = {
        "annotation id 0": 0 in dataset.objects.ids,
        "empty runs in masks": dataset.codes.has_empty_runs or detections.codes.has_empty_runs,
    }
    found = [name for name, present in differences.items() if present]
    if found and asked == "hotcoco":
        raise InputError(
            f"{dataset.path}: hotcoco does not do what pycocotools does with {found[0]}; use --engine pycocotools"
        )
    return "pycocotools" if found or asked == "pycocotools" else "hotcoco"


def mask_pairs(
    dataset: CocoDataset, detections: Detections, at_least: float = THRESHOLDS[0], across: bool = False
) -> tuple[tuple[int, int], Instances, Instances, Pairs]:
    """Return numbers of images and categories, the detections that count, the objects, and which of them overlap.

    ``at_least`` and ``across`` are those of `find_pairs`.
    """
    objects, ranks = dataset.objects, _ranks(dataset)
    asked = Instances.of(ranks[objects.image], objects.class_index, _object_areas(dataset), crowd=objects.crowd)
    found = Instances.of(ranks[detections.image], detections.class_index, detections.areas_px, detections.scores)
    found = found.counting()

    def iou(rows: Integers, columns: Integers) -> Floats:
        masks = detections.codes.rles(found.place[rows]), dataset.codes.rles(columns)
        ious: Floats = coco_mask.iou(*masks, objects.crowd[columns].astype(np.uint8).tolist())
        return ious

    size = len(dataset.images), len(dataset.categories)
    return size, found, asked, find_pairs(found, asked, iou, at_least, across)


@collection_paused()
def evaluate_coco(dataset: CocoDataset, detections: Detections, engine: str = "auto") -> Score:
    """Score results against ground truth, both read already; see `score_coco`."""
    used = choose_engine(engine, dataset, detections)
    curves = (hotcoco_curves if used == "hotcoco" else pycocotools_curves)(dataset, detections)
    notes = dataset.notes()
    if missing := int(np.isnan(dataset.objects.areas).sum()):
        notes.append(f"{missing} objects have no area in the annotations; that of their masks was taken")
    if detections.box_areas is not None:
        notes.append(BOX_AREA_NOTE)
    if 0 in dataset.objects.ids:
        notes.append(ZERO_ID_NOTE)
    if dataset.codes.has_empty_runs and detections.codes.has_empty_runs:
        notes.append(EMPTY_RUN_NOTE)
    return Score(
        task="coco",
        engine=used,
        stats=summarize(curves),
        per_category=per_category(curves, dataset.categories),
        counts={
            "images": len(dataset.images),
            "annotations": len(dataset.objects),
            "results": len(detections.scores),
        },
        notes=tuple(notes),
    )


@collection_paused()
def score_coco(
    annotations: Path,
    results: Path,
    engine: str = "auto",
    resamples: int = 0,
    seed: int = 0,
    against: Path | None = None,
) -> Score:
    """Score a COCO results file against an instances file, exactly as pycocotools does.

    Args:
        annotations: COCO instances file, ``.json`` or ``.json.gz``.
        results: COCO results file: a list of ``{image_id, category_id, score, segmentation}``.
        engine: ``"pycocotools"``, ``"hotcoco"`` (equal and much faster) or ``"auto"``: hotcoco where it is equal.
        resamples: number of bootstrap draws of the images for 95 % intervals; 0 leaves them out.
        seed: base seed of the draws.
        against: another model's results file, from whose numbers the difference is taken, with its interval.

    Returns:
        The twelve official numbers, over all categories and for each; an empty results list scores 0.

    Raises:
        DataError: if a file is absent.
        InputError: naming file and place of whatever is wrong in any file.
    """
    dataset = CocoDataset.load(annotations).require_truth()
    read = [read_detections(path, dataset) for path in (results, against) if path is not None]
    scores, drawn = [evaluate_coco(dataset, detections, engine) for detections in read], None
    if resamples:
        void = np.array([key == 0 for key in dataset.objects.ids], np.bool_)
        models = [match(*mask_pairs(dataset, one), AREA_RANGES_PX[:1], void=void) for one in read]
        drawn = bootstrap(models, "images", resamples, seed)
    return with_difference(scores, drawn)
