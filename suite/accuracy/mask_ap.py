"""COCO mask AP of a results file. pycocotools is the authority; hotcoco gives the same numbers much faster."""

from __future__ import annotations

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
from suite.accuracy.mask_engines import evaluate_hotcoco, evaluate_pycocotools
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


def score_coco(annotations: Path, results: Path, engine: str = "auto") -> Score:
    """Score a COCO results file against an instances file, exactly as pycocotools does.

    Args:
        annotations: COCO instances file, ``.json`` or ``.json.gz``.
        results: COCO results file: a list of ``{image_id, category_id, score, segmentation}``.
        engine: ``"pycocotools"``, ``"hotcoco"`` (equal and much faster) or ``"auto"``: hotcoco where it is equal.

    Returns:
        The twelve official numbers, over all categories and for each; an empty results list scores 0.

    Raises:
        DataError: if a file is absent.
        InputError: naming file and place of whatever is wrong in either file.
    """
    _refuse_unknown_engine(engine)
    ground_truth = read_ground_truth(annotations)
    detections = read_detections(results, ground_truth)
    used = choose_engine(engine, ground_truth, detections)
    curves = (evaluate_hotcoco if used == "hotcoco" else evaluate_pycocotools)(ground_truth, detections)
    notes = []
    if detections.box_areas is not None:
        notes.append(BOX_AREA_NOTE)
    if (ground_truth.ids == 0).any():
        notes.append(ZERO_ID_NOTE)
    if ground_truth.codes.has_empty_runs and detections.codes.has_empty_runs:
        notes.append(EMPTY_RUN_NOTE)
    return Score(
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
