"""One error alone, made by hand: it has the right name, its exact price, and no other kind costs anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from suite.accuracy.error_analysis.analysis import Analysis, analyse_coco, analyse_youtube_vis
from tests.suite.accuracy.cases import compressed, rectangle, written

SIZE = (10, 20)
CAT, DOG = 1, 2
CATEGORIES = [{"id": CAT, "name": "cat"}, {"id": DOG, "name": "dog"}]


def box(left: int, columns: int) -> dict[str, Any]:
    return compressed(rectangle(*SIZE, 0, left, 10, columns))


LEFT, RIGHT, PART = box(0, 10), box(10, 10), box(0, 4)


def images(objects: list[tuple[int, int, Any]], found: list[tuple[int, int, Any, float]], folder: Path) -> Analysis:
    """Analyse (image, category, mask) against (image, category, mask, score)."""
    annotations = [
        {"id": n, "image_id": i, "category_id": c, "segmentation": m, "area": 100, "iscrowd": 0}
        for n, (i, c, m) in enumerate(objects, start=1)
    ]
    pictures = [{"id": number, "height": SIZE[0], "width": SIZE[1]} for number in (1, 2)]
    results = [{"image_id": i, "category_id": c, "segmentation": m, "score": s} for i, c, m, s in found]
    truth = {"images": pictures, "categories": CATEGORIES, "annotations": annotations}
    return analyse_coco(*written(folder, truth, results))


def videos(objects: list[tuple[int, list[Any]]], found: list[tuple[int, list[Any], float]], folder: Path) -> Analysis:
    """Analyse (category, masks) against (category, masks, score) in one video."""
    annotations = [
        {"id": n, "video_id": 1, "category_id": c, "segmentations": m, "areas": [100] * len(m), "iscrowd": 0}
        for n, (c, m) in enumerate(objects, start=1)
    ]
    listed = [{"id": 1, "height": SIZE[0], "width": SIZE[1], "length": len(objects[0][1])}]
    results = [{"video_id": 1, "category_id": c, "segmentations": m, "score": s} for c, m, s in found]
    truth = {"videos": listed, "categories": CATEGORIES, "annotations": annotations}
    return analyse_youtube_vis(*written(folder, truth, results))


def only(analysis: Analysis, name: str, price: float, count: int = 1) -> None:
    """Check that one kind alone is there, costs exactly this much, and that undoing it leads to 1."""
    assert {rung.kind.name: rung.count for rung in analysis.rungs if rung.count} == {name: count}
    gains = {rung.kind.name: rung.gain for rung in analysis.rungs}
    assert gains.pop(name) == pytest.approx(price, abs=1e-12)
    assert set(gains.values()) == {0.0}
    assert analysis.ap50 + price == pytest.approx(1, abs=1e-12)


def test_thresholds_belong_where_tide_puts_them(tmp_path: Path) -> None:
    tenth, half = box(0, 1), box(0, 5)
    kinds = {}
    for name, objects, mask in (
        ("own 0.1", [(1, CAT, LEFT)], tenth),
        ("other 0.1", [(1, DOG, LEFT)], tenth),
        ("other 0.5", [(1, DOG, LEFT)], half),
        ("other 0.4", [(1, DOG, LEFT)], PART),
    ):
        found = images(objects, [(1, CAT, mask, 0.9)], tmp_path)
        kinds[name] = next(rung.kind.name for rung in found.rungs if rung.count and rung.kind.name != "missed")
    assert kinds == {
        "own 0.1": "localisation",
        "other 0.1": "background",
        "other 0.5": "classification",
        "other 0.4": "both",
    }
    assert images([(1, CAT, LEFT)], [(1, CAT, half, 0.9)], tmp_path).ap50 == pytest.approx(1)


@pytest.mark.parametrize(
    ("wanted", "painted"),
    [
        ([LEFT] * 4, [LEFT, None, None, None]),
        ([LEFT, None, None, None], [LEFT] * 4),
        ([LEFT] * 4, [None, box(0, 7), box(0, 7), None]),
    ],
    ids=["too short", "too long", "too short and a little small"],
)
def test_temporal_miss(tmp_path: Path, wanted: list[Any], painted: list[Any]) -> None:
    only(videos([(CAT, wanted)], [(CAT, painted, 0.9)], tmp_path), "temporal_miss", 1.0)
