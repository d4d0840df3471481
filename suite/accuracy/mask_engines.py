"""The two evaluators of COCO mask AP, given the same checked columns: pycocotools, the authority, and hotcoco."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from suite.accuracy.matches import Matches, collect_matches
from suite.accuracy.score import Curves
from suite.datasets.coco import CocoDataset, Detections
from suite.datasets.masks import collection_paused

IMAGES_PER_CHUNK = 250

Dataset = dict[str, list[dict[str, Any]]]


def image_ranks(dataset: CocoDataset) -> NDArray[np.int64]:
    """Return for each image its rank among the ids in ascending order, from 1; it decides between equal scores."""
    ranks = np.empty(len(dataset.images), np.int64)
    ids = [image.image_id for image in dataset.images]
    ranks[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(1, len(ids) + 1)
    return ranks


def has_id_zero(dataset: CocoDataset) -> bool:
    """Tell whether an object has the id 0, with which pycocotools counts every match as a false positive."""
    return 0 in dataset.objects.ids


def object_areas(dataset: CocoDataset) -> NDArray[np.float64]:
    """Return the areas that decide small, medium and large: the file's, and the masks' where it gives none."""
    given = dataset.objects.areas
    return np.where(np.isnan(given), dataset.codes.areas_px, given)


def _annotated(dataset: CocoDataset) -> Dataset:
    """Return the ground truth as a fresh COCO document for the engines.

    Images and categories are numbered in ascending order of their ids and objects from 1 on, so that no id is too
    large, negative or text for an engine; only the id 0 stays, for what pycocotools does with it.
    """
    objects, ranks = dataset.objects, image_ranks(dataset)
    numbers = np.arange(1, len(objects) + 1)
    if has_id_zero(dataset):
        numbers[objects.ids.index(0)] = 0
    columns = zip(
        numbers.tolist(),
        ranks[objects.image].tolist(),
        (objects.class_index + 1).tolist(),
        object_areas(dataset).tolist(),
        objects.crowd.tolist(),
        dataset.codes.rles(),
        strict=True,
    )
    return {
        "images": [
            {"id": rank, "height": image.height, "width": image.width}
            for rank, image in zip(ranks.tolist(), dataset.images, strict=True)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(dataset.categories.names, start=1)],
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


class PycocotoolsEvaluation:
    """An evaluation by pycocotools' COCOeval, in silence."""

    def __init__(self, dataset: CocoDataset, detections: Detections) -> None:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        annotated = _annotated(dataset)
        columns = zip(
            image_ranks(dataset)[detections.image].tolist(),
            (detections.class_index + 1).tolist(),
            detections.scores.tolist(),
            detections.areas_px.tolist(),
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

        def indexed(document: Dataset) -> COCO:
            coco = COCO()
            coco.dataset = document
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

    def __init__(self, dataset: CocoDataset, detections: Detections) -> None:
        import hotcoco

        self._dataset = dataset
        self._annotated = hotcoco.COCO(_annotated(dataset))
        # The columns are image, box (unused), score, category.
        table = np.zeros((len(detections.scores), 7))
        table[:, 0], table[:, 5] = image_ranks(dataset)[detections.image], detections.scores
        table[:, 6] = detections.class_index + 1
        self._results = self._annotated.load_res(table, segmentation=cast("list[Any]", detections.codes.rles()))
        self._results.update_anns(ids=np.arange(1, len(table) + 1), area=detections.areas_px)

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
        image_ids = list(range(1, len(self._dataset.images) + 1))
        categories = list(range(1, len(self._dataset.categories) + 1))
        with collection_paused():
            return collect_matches(self._entries(image_ids), image_ids, categories)
