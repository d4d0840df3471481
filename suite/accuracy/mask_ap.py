"""COCO mask AP of a results file. pycocotools is the authority; hotcoco gives the same numbers much faster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from suite.accuracy.coco_files import (
    BOX_AREA_NOTE,
    ZERO_ID_NOTE,
    Detections,
    GroundTruth,
    read_detections,
    read_ground_truth,
)
from suite.accuracy.intervals import bootstrap, with_difference
from suite.accuracy.mask_engines import HotcocoEvaluation, PycocotoolsEvaluation
from suite.accuracy.score import Score, per_category, summarize
from suite.errors import InputError

ENGINES = ("auto", "pycocotools", "hotcoco")
EMPTY_RUN_NOTE = (
    "some masks have empty runs inside their run-length codes; where two of them meet, pycocotools stops comparing too "
    "early; encode them again to be rid of that"
)


def _refuse_unknown_engine(engine: str) -> None:
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}; choose one of {', '.join(ENGINES)}")


def choose_engine(asked: str, ground_truth: GroundTruth, detections: Detections) -> str:
    """Return the engine to use: hotcoco unless it is known to differ from pycocotools on this input.

    Raises:
        InputError: if hotcoco was asked for where it would give another number.
    """
    ids = [ground_truth.ids, np.array(list(ground_truth.image_sizes), np.int64)]
    ids.append(np.array([category.id for category in ground_truth.categories], np.int64))
    differences = {
        "annotation id 0": bool((ground_truth.ids == 0).any()),
        "negative ids": any(bool((numbers < 0).any()) for numbers in ids),
        "empty runs in masks": ground_truth.codes.has_empty_runs or detections.codes.has_empty_runs,
    }
    found = [name for name, present in differences.items() if present]
    if found and asked == "hotcoco":
        raise InputError(
            f"{ground_truth.path}: hotcoco does not do what pycocotools does with {found[0]}; use --engine pycocotools"
        )
    return "pycocotools" if found or asked == "pycocotools" else "hotcoco"


@dataclass(frozen=True)
class CocoEvaluation:
    """A score and the evaluation behind it."""

    score: Score
    behind: PycocotoolsEvaluation | HotcocoEvaluation


def evaluate_coco(ground_truth: GroundTruth, results: Path, engine: str = "auto") -> CocoEvaluation:
    """Score one results file against ground truth that was read already; see `score_coco`."""
    _refuse_unknown_engine(engine)
    detections = read_detections(results, ground_truth)
    used = choose_engine(engine, ground_truth, detections)
    evaluation = (HotcocoEvaluation if used == "hotcoco" else PycocotoolsEvaluation)(ground_truth, detections)
    curves = evaluation.curves()
    notes = []
    if detections.box_areas is not None:
        notes.append(BOX_AREA_NOTE)
    if (ground_truth.ids == 0).any():
        notes.append(ZERO_ID_NOTE)
    if ground_truth.codes.has_empty_runs and detections.codes.has_empty_runs:
        notes.append(EMPTY_RUN_NOTE)
    score = Score(
        task="coco",
        engine=used,
        stats=summarize(curves),
        per_category=per_category(curves, ground_truth.categories),
        counts={
            "images": len(ground_truth.image_sizes),
            "annotations": len(ground_truth.ids),
            "results": len(detections.scores),
        },
        notes=tuple(notes),
    )
    return CocoEvaluation(score, evaluation)


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
    _refuse_unknown_engine(engine)
    ground_truth = read_ground_truth(annotations)
    first = evaluate_coco(ground_truth, results, engine)
    second = evaluate_coco(ground_truth, against, engine) if against is not None else None
    if not resamples:
        return with_difference(first.score, second.score if second else None, None)
    matches = [evaluation.behind.matches() for evaluation in (first, second) if evaluation is not None]
    drawn = bootstrap(matches, "images", resamples, seed)
    return with_difference(first.score, second.score if second else None, drawn)
