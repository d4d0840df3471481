"""COCO mask AP of a results file. pycocotools is the authority; hotcoco gives the same numbers much faster."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from suite.accuracy.intervals import bootstrap, with_difference
from suite.accuracy.mask_engines import HotcocoEvaluation, PycocotoolsEvaluation, has_id_zero
from suite.accuracy.score import Score, per_category, summarize
from suite.datasets.coco import CocoDataset, Detections, read_detections
from suite.datasets.masks import collection_paused
from suite.errors import InputError

Evaluation = PycocotoolsEvaluation | HotcocoEvaluation
ENGINES = ("auto", "pycocotools", "hotcoco")
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


def choose_engine(asked: str, dataset: CocoDataset, detections: Detections) -> str:
    """Return the engine to use: hotcoco unless it is known to differ from pycocotools on this input.

    Raises:
        InputError: if the engine is unknown, or hotcoco was asked for where it would give another number.
    """
    if asked not in ENGINES:
        raise InputError(f"unknown engine {asked!r}; choose one of {', '.join(ENGINES)}")
    differences = {
        "annotation id 0": has_id_zero(dataset),
        "empty runs in masks": dataset.codes.has_empty_runs or detections.codes.has_empty_runs,
    }
    found = [name for name, present in differences.items() if present]
    if found and asked == "hotcoco":
        raise InputError(
            f"{dataset.path}: hotcoco does not do what pycocotools does with {found[0]}; use --engine pycocotools"
        )
    return "pycocotools" if found or asked == "pycocotools" else "hotcoco"


def read_ground_truth(annotations: Path) -> CocoDataset:
    """Read a COCO instances file to score against.

    Raises:
        DataError: if the file is absent.
        InputError: naming the place of whatever is wrong in it, or if it has no annotations.
    """
    dataset = CocoDataset.load(annotations)
    dataset.require_truth()
    return dataset


@collection_paused()
def evaluate_coco(dataset: CocoDataset, detections: Detections, engine: str = "auto") -> tuple[Score, Evaluation]:
    """Score results against ground truth, both read already; see `score_coco`."""
    used = choose_engine(engine, dataset, detections)
    evaluation = (HotcocoEvaluation if used == "hotcoco" else PycocotoolsEvaluation)(dataset, detections)
    curves = evaluation.curves()
    notes = dataset.notes()
    if missing := int(np.isnan(dataset.objects.areas).sum()):
        notes.append(f"{missing} objects have no area in the annotations; that of their masks was taken")
    if detections.box_areas is not None:
        notes.append(BOX_AREA_NOTE)
    if has_id_zero(dataset):
        notes.append(ZERO_ID_NOTE)
    if dataset.codes.has_empty_runs and detections.codes.has_empty_runs:
        notes.append(EMPTY_RUN_NOTE)
    score = Score(
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
    return score, evaluation


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
    dataset = read_ground_truth(annotations)
    files = [results] if against is None else [results, against]
    scored = [evaluate_coco(dataset, read_detections(path, dataset), engine) for path in files]
    drawn = None
    if resamples:
        drawn = bootstrap([evaluation.matches() for _, evaluation in scored], "images", resamples, seed)
    return with_difference([score for score, _ in scored], drawn)
