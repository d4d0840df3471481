from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from suite.accuracy.mask_ap import AREA_RANGES_PX, mask_pairs, score_coco
from suite.accuracy.matches import accumulate, match
from suite.accuracy.score import STATS
from suite.datasets.coco import CocoDataset, read_detections
from suite.errors import InputError
from tests.suite.accuracy.cases import compressed, random_coco, rectangle, uncompressed, written

SIZE = (40, 60)
ENGINES = ["pycocotools", "hotcoco"]


def official(annotations: Path, results: list[dict[str, Any]]) -> COCOeval:
    """Run pycocotools as everybody does, on its own copies; compressed codes only, as its reader demands."""
    truth = COCO(str(annotations))
    found = copy.deepcopy(results)
    for item in found:
        if isinstance(item["segmentation"]["counts"], list):
            item["segmentation"] = truth.annToRLE(item)
    evaluator = COCOeval(truth, truth.loadRes(found), "segm")
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    return evaluator


def document(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "images": [{"id": number, "height": SIZE[0], "width": SIZE[1]} for number in (1, 2)],
        "categories": [{"id": 5, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": [
            {"id": place + 1, "image_id": 1, "category_id": 3, "iscrowd": 0, "area": 100, **item}
            for place, item in enumerate(objects)
        ],
    }


def mask(top: int, left: int, rows: int, columns: int) -> dict[str, Any]:
    return compressed(rectangle(*SIZE, top, left, rows, columns))


def result(segmentation: Any, score: float = 0.5, **other: Any) -> dict[str, Any]:
    return {"image_id": 1, "category_id": 3, "score": score, "segmentation": segmentation, **other}


def stats(folder: Path, annotations: Any, results: Any, engine: str = "auto") -> dict[str, float]:
    return score_coco(*written(folder, annotations, results), engine=engine).stats


@pytest.mark.parametrize("seed", range(36))
def test_random_sets_get_pycocotools_numbers_from_both_engines(tmp_path: Path, seed: int) -> None:
    annotations, results = random_coco(seed)
    if seed % 6 == 0:
        for place, item in enumerate(results):
            item["bbox"] = [0, 0, place % 50, 40.5]
    before = copy.deepcopy((annotations, results))
    paths = written(tmp_path, annotations, results)
    scores = [score_coco(*paths, engine=engine) for engine in ENGINES]
    assert scores[0].stats == scores[1].stats
    assert scores[0].per_category == scores[1].per_category
    assert (annotations, results) == before
    if results:
        evaluator, dataset = official(paths[0], results), CocoDataset.load(paths[0])
        assert list(scores[0].stats.values()) == evaluator.stats.tolist()
        # Intervals and error analysis match by themselves, to the last digit alike.
        curves = accumulate(match(*mask_pairs(dataset, read_detections(paths[1], dataset)), AREA_RANGES_PX))
        assert np.array_equal(curves.precision, evaluator.eval["precision"])
        assert np.array_equal(curves.recall, evaluator.eval["recall"])


def test_real_images_with_crowds_and_polygons(tmp_path: Path, shared_data: Path) -> None:
    annotations = shared_data / "coco_mini" / "annotations" / "instances_val2017.json"
    rng = np.random.default_rng(0)
    truth = COCO(str(annotations))
    results = []
    for item in truth.dataset["annotations"]:
        for _ in range(rng.integers(0, 3)):
            drawn = np.roll(truth.annToMask(item), tuple(rng.integers(-4, 5, 2)), (0, 1))
            category = item["category_id"] if rng.random() < 0.9 else 1
            results.append(
                result(compressed(drawn), round(rng.random(), 2), image_id=item["image_id"], category_id=category)
            )
    path = tmp_path / "results.json.gz"
    path.write_bytes(gzip.compress(json.dumps(results).encode()))
    evaluator = official(annotations, results)
    for engine in ENGINES:
        score = score_coco(annotations, path, engine)
        assert list(score.stats.values()) == evaluator.stats.tolist()
        people = evaluator.eval["precision"][:, :, 0, 0, 2]
        assert score.per_category["person"]["AP"] == people.mean()
    assert 0.1 < evaluator.stats[0] < 0.9


@pytest.mark.parametrize("engine", ENGINES)
class TestByHand:
    def test_empty_results_score_zero_and_absent_categories_are_left_out(self, tmp_path: Path, engine: str) -> None:
        annotations = document([{"segmentation": mask(0, 0, 10, 10)}])
        score = score_coco(*written(tmp_path, annotations, []), engine=engine)
        undefined = {"APm", "APl", "ARm", "ARl"}
        assert score.stats == {name: -1 if name in undefined else 0 for name in STATS}
        assert list(score.stats) == list(STATS)
        assert list(score.per_category) == ["cat", "dog"]
        assert score.per_category["cat"]["AP"] == 0
        assert score.per_category["dog"]["AP"] == -1
        everywhere = [result(mask(0, 0, 10, 10), category_id=5), result(mask(0, 0, 10, 10))]
        assert stats(tmp_path, annotations, everywhere, engine)["AP"] == pytest.approx(1)

    def test_forms_of_segmentation_agree(self, tmp_path: Path, engine: str) -> None:
        drawn = rectangle(*SIZE, 2, 3, 10, 10)
        polygons = [[3, 2, 8, 2, 8, 12, 3, 12], [8, 2, 13, 2, 13, 12, 8, 12]]
        for truth in (compressed(drawn), uncompressed(drawn), polygons):
            for found in (compressed(drawn), uncompressed(drawn), polygons):
                annotations = document([{"segmentation": truth}])
                assert stats(tmp_path, annotations, [result(found)], engine)["AP"] == pytest.approx(1)


def test_boxes_in_the_results_give_the_areas_as_in_pycocotools_and_it_is_said(tmp_path: Path) -> None:
    annotations = document([{"segmentation": mask(0, 0, 10, 10), "area": 2000}])
    results = [result(mask(20, 20, 10, 10), 0.9, bbox=[0, 0, 60, 60]), result(mask(0, 0, 10, 10), bbox=[0, 0, 60, 60])]
    score = score_coco(*written(tmp_path, annotations, results))
    assert score.stats["APm"] == pytest.approx(0.5)
    assert "boxes" in score.notes[0]
    bare = [{key: value for key, value in item.items() if key != "bbox"} for item in results]
    assert stats(tmp_path, annotations, bare)["APm"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": 0}, 0.0),
        ({"segmentation": {"size": list(SIZE), "counts": [0, 0, 400, 2000]}}, 1.0),
    ],
)
def test_auto_leaves_hotcoco_where_it_differs(tmp_path: Path, change: dict[str, Any], expected: float) -> None:
    annotations = document([{"segmentation": {"size": list(SIZE), "counts": [400, 2000]}, **change}])
    results = [result({"size": list(SIZE), "counts": [400, 2000]})]
    paths = written(tmp_path, annotations, results)
    score = score_coco(*paths)
    assert score.engine == "pycocotools"
    assert score.stats["AP"] == pytest.approx(expected)
    assert list(score.stats.values()) == official(paths[0], results).stats.tolist()
    with pytest.raises(InputError, match="use --engine pycocotools"):
        score_coco(*paths, engine="hotcoco")
