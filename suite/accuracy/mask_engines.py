"""The two evaluators of COCO mask AP, given the same checked columns: pycocotools, the authority, and hotcoco."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from suite.accuracy.coco_files import Detections, GroundTruth
from suite.accuracy.collection import collection_paused
from suite.accuracy.matches import Matches, collect_matches
from suite.accuracy.score import Curves

IMAGES_PER_CHUNK = 250

Dataset = dict[str, list[dict[str, Any]]]


def _annotated(ground_truth: GroundTruth) -> Dataset:
    """Return the ground truth as a fresh COCO document."""
    columns = zip(
        ground_truth.ids.tolist(),
        ground_truth.image_ids.tolist(),
        ground_truth.category_ids.tolist(),
        ground_truth.areas.tolist(),
        ground_truth.crowd.tolist(),
        ground_truth.codes.rles(),
        strict=True,
    )
    return {
        "images": [{"id": key, "height": size[0], "width": size[1]} for key, size in ground_truth.image_sizes.items()],
        "categories": [{"id": category.id, "name": category.name} for category in ground_truth.categories],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": category,
                "area": area,
                "iscrowd": int(crowd),
                "bbox": [0, 0, 0, 0],
                "segmentation": code,
            }
            for number, image, category, area, crowd, code in columns
        ],
    }


def _areas_px(detections: Detections) -> list[float]:
    areas = detections.codes.areas_px if detections.box_areas is None else detections.box_areas
    listed: list[float] = areas.tolist()
    return listed


class PycocotoolsEvaluation:
    """An evaluation by pycocotools' COCOeval, in silence."""

    def __init__(self, ground_truth: GroundTruth, detections: Detections) -> None:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        annotated = _annotated(ground_truth)
        columns = zip(
            detections.image_ids.tolist(),
            detections.category_ids.tolist(),
            detections.scores.tolist(),
            _areas_px(detections),
            detections.codes.rles(),
            strict=True,
        )
        results = [
            {
                "id": place,
                "image_id": image,
                "category_id": category,
                "score": score,
                "area": area,
                "iscrowd": 0,
                "segmentation": code,
            }
            for place, (image, category, score, area, code) in enumerate(columns, start=1)
        ]

        def indexed(dataset: Dataset) -> COCO:
            coco = COCO()
            coco.dataset = dataset
            coco.createIndex()
            return coco

        with contextlib.redirect_stdout(io.StringIO()), collection_paused():
            self._evaluator = COCOeval(indexed(annotated), indexed({**annotated, "annotations": results}), "segm")
            self._evaluator.evaluate()
            self._evaluator.accumulate()

    def curves(self) -> Curves:
        """Return what accumulation leaves."""
        accumulated = self._evaluator.eval
        return Curves(np.asarray(accumulated["precision"]), np.asarray(accumulated["recall"]))

    def matches(self) -> Matches:
        """Return which detections hit, over all areas."""
        return matches_of(self._evaluator)


def matches_of(evaluator: Any) -> Matches:
    """Return the matches of a finished COCOeval over all areas."""
    parameters = evaluator.params
    every = parameters.areaRng[0]
    entries = (entry for entry in evaluator.evalImgs if entry is not None and entry["aRng"] is every)
    return collect_matches(entries, [int(i) for i in parameters.imgIds], [int(i) for i in parameters.catIds])


class HotcocoEvaluation:
    """An evaluation by hotcoco: the same numbers as pycocotools' in a tenth of the time."""

    def __init__(self, ground_truth: GroundTruth, detections: Detections) -> None:
        import hotcoco

        self._ground_truth = ground_truth
        self._annotated = hotcoco.COCO(_annotated(ground_truth))
        # The columns are image, box (unused), score, category.
        table = np.zeros((len(detections.scores), 7))
        table[:, 0], table[:, 5], table[:, 6] = detections.image_ids, detections.scores, detections.category_ids
        self._results = self._annotated.load_res(table, segmentation=cast("list[Any]", detections.codes.rles()))
        areas_px = np.asarray(_areas_px(detections), np.float64)
        self._results.update_anns(ids=np.arange(1, len(table) + 1), area=areas_px)

    def curves(self) -> Curves:
        """Evaluate and accumulate."""
        import hotcoco

        evaluator = hotcoco.COCOeval(self._annotated, self._results, "segm")
        evaluator.evaluate()
        evaluator.accumulate()
        accumulated = cast("dict[str, Any]", evaluator.eval)
        return Curves(np.asarray(accumulated["precision"]), np.asarray(accumulated["recall"]))

    def _entries(self, image_ids: list[int]) -> Iterator[dict[str, Any] | None]:
        """Match again, some images at a time: as Python objects, matches are a hundred times as large."""
        import hotcoco

        for start in range(0, len(image_ids), IMAGES_PER_CHUNK):
            evaluator = hotcoco.COCOeval(self._annotated, self._results, "segm")
            evaluator.params.max_dets, evaluator.params.img_ids = [100], image_ids[start : start + IMAGES_PER_CHUNK]
            evaluator.params.area_rng, evaluator.params.area_rng_lbl = [[0, 1e10]], ["all"]
            evaluator.evaluate()
            yield from evaluator.eval_imgs

    def matches(self) -> Matches:
        """Return which detections hit, over all areas."""
        image_ids = sorted(self._ground_truth.image_sizes)
        categories = [category.id for category in self._ground_truth.categories]
        with collection_paused():
            return collect_matches(self._entries(image_ids), image_ids, categories)
