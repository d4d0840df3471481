"""The two evaluators of COCO mask AP, given the same checked columns: pycocotools, the authority, and hotcoco."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from suite.accuracy.matches import CAP, Flags, Integers, Matches, Unmatched, collect_matches, within_cap
from suite.accuracy.score import Curves
from suite.datasets.coco import CocoDataset, Detections, Groups
from suite.datasets.masks import collection_paused

IMAGES_PER_CHUNK = 250
ANY_AREA_PX = (0, 1e10)

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
    """An evaluation by hotcoco: pycocotools' numbers in a tenth of the time, few images in memory at a time."""

    def __init__(self, dataset: CocoDataset, detections: Detections) -> None:
        self._detections, self._truth = detections, _annotated(dataset)
        self._objects_of = Groups(dataset.objects.image, len(dataset.images))
        self._results_of = Groups(detections.image, len(dataset.images))
        self._ranks = image_ranks(dataset)
        self._places = np.argsort(self._ranks)
        # The columns are image, box, score, category; the area of a result is that of its box.
        self._table = np.zeros((len(detections.scores), 7))
        self._table[:, 0], self._table[:, 5] = self._ranks[detections.image], detections.scores
        self._table[:, 3], self._table[:, 4] = detections.areas_px, 1
        self._table[:, 6] = detections.class_index + 1

    def _chunks(self) -> Iterator[tuple[Dataset, Integers]]:
        """Yield the ground truth of some images, in ascending order of id, and the rows of their results."""
        for start in range(0, len(self._places), IMAGES_PER_CHUNK):
            places = self._places[start : start + IMAGES_PER_CHUNK].tolist()
            rows = [row for place in places for row in self._objects_of.rows(place).tolist()]
            truth = {
                "images": [self._truth["images"][place] for place in places],
                "categories": self._truth["categories"],
                "annotations": [self._truth["annotations"][row] for row in rows],
            }
            yield truth, np.concatenate([self._results_of.rows(place) for place in places])

    def curves(self) -> Curves:
        """Evaluate and accumulate."""
        import hotcoco

        masks = self._detections.codes
        stream = hotcoco.StreamingEval(self._truth["categories"], "segm")
        with collection_paused():
            for truth, rows in self._chunks():
                images, annotations = truth["images"], truth["annotations"]
                stream.update(images, annotations, self._table[rows], segmentation=cast("list[Any]", masks.rles(rows)))
        evaluator = stream.finalize()
        evaluator.accumulate()
        accumulated = cast("dict[str, Any]", evaluator.eval)
        return Curves(np.asarray(accumulated["precision"]), np.asarray(accumulated["recall"]))

    def _entries(self, matchable: Flags) -> Iterator[dict[str, Any] | None]:
        """Match some results again, over all areas: as Python objects, matches are a hundred times as large."""
        import hotcoco

        masks = self._detections.codes
        for truth, rows in self._chunks():
            rows = rows[matchable[rows]]
            annotated = hotcoco.COCO(truth)
            results = annotated.load_res(self._table[rows], segmentation=cast("list[Any]", masks.rles(rows)))
            evaluator = hotcoco.COCOeval(annotated, results, "segm")
            evaluator.params.max_dets = [CAP]
            evaluator.params.area_rng, evaluator.params.area_rng_lbl = [list(ANY_AREA_PX)], ["all"]
            evaluator.evaluate()
            yield from evaluator.eval_imgs

    def matches(self) -> Matches:
        """Return which detections hit, over all areas."""
        units, categories = len(self._places), len(self._truth["categories"])
        annotated = np.zeros((units + 1, categories + 1), np.bool_)
        for item in self._truth["annotations"]:
            annotated[item["image_id"], item["category_id"]] = True
        image, category = self._table[:, 0].astype(np.int64), self._table[:, 6].astype(np.int64)
        matchable = annotated[image, category]
        rest = np.flatnonzero(~matchable)
        rest = rest[within_cap(image[rest] * (categories + 1) + category[rest], self._table[rest, 5])]
        areas = self._table[rest, 3]
        unmatched = Unmatched(
            unit=image[rest] - 1,
            category=category[rest] - 1,
            score=self._table[rest, 5],
            ignored=(areas < ANY_AREA_PX[0]) | (areas > ANY_AREA_PX[1]),
        )
        with collection_paused():
            return collect_matches(self._entries(matchable), range(1, units + 1), range(1, categories + 1), unmatched)
