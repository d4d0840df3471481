"""Selection against its definitions, and the scores that it is timed on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.models import get_entry
from suite.models.parts.selection import Floats, Selection, box_iou, fast_nms, greedy_nms, matrix_nms


def random_boxes(generator: np.random.Generator, *shape: int) -> Floats:
    corners = np.sort(generator.integers(0, 12, (*shape, 2, 2)), axis=-2).astype(np.float32)
    return corners.reshape(*shape, 4)


def iou(a: Floats, b: Floats) -> float:
    """By counting unit squares."""

    def squares(box: Floats) -> set[tuple[int, int]]:
        left, top, right, bottom = (int(side) for side in box)
        return {(x, y) for x in range(left, right) for y in range(top, bottom)}

    first, second = squares(a), squares(b)
    return len(first & second) / max(len(first | second), 1)


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_greedy_suppression_against_its_definition(seed: int) -> None:
    generator = np.random.default_rng(seed)
    boxes, categories = random_boxes(generator, 12), generator.integers(0, 2, 12)
    scores = generator.permutation(12).astype(np.float32)
    kept: list[int] = []
    for index in np.argsort(-scores):
        rivals = [other for other in kept if categories[other] == categories[index]]
        if all(iou(boxes[index], boxes[other]) <= 0.3 for other in rivals):
            kept.append(int(index))
    assert greedy_nms(boxes, scores, categories, 0.3, limit=100).tolist() == kept
    assert greedy_nms(boxes, scores, categories, 0.3, limit=3).tolist() == kept[:3]


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_fast_suppression_against_its_definition(seed: int) -> None:
    boxes = random_boxes(np.random.default_rng(seed), 3, 8)
    expected = [[all(iou(boxes[c, j], boxes[c, i]) <= 0.4 for i in range(j)) for j in range(8)] for c in range(3)]
    assert fast_nms(boxes, 0.4).tolist() == expected
    assert box_iou(boxes[0], boxes[1])[2, 5] == pytest.approx(iou(boxes[0, 2], boxes[1, 5]))


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_matrix_suppression_against_its_definition(seed: int) -> None:
    generator = np.random.default_rng(seed)
    masks = (generator.random((7, 20)) < 0.5).astype(np.float32)
    scores = np.sort(generator.random(7))[::-1].astype(np.float32)
    categories = generator.integers(0, 2, 7)

    def overlap(i: int, j: int) -> float:
        union = np.maximum(masks[i], masks[j]).sum()
        return float((masks[i] * masks[j]).sum() / max(union, 1)) if categories[i] == categories[j] else 0.0

    expected = []
    for j in range(7):
        decays = [1.0]
        for i in range(j):
            own = max((overlap(k, i) for k in range(i)), default=0.0)
            decays.append(math.exp(-2 * overlap(i, j) ** 2) / math.exp(-2 * own**2))
        expected.append(scores[j] * min(decays))
    np.testing.assert_allclose(matrix_nms(masks, scores, categories), expected, rtol=1e-5)


def selection(model: str, seed: int) -> Selection:
    chosen = get_entry(model).selection
    assert chosen is not None
    return chosen(192, 256, seed)


@pytest.mark.parametrize(("model", "threshold"), [("yolact_resnet50_550", 0.5), ("condinst_resnet50_800", 0.6)])
def test_boxes_that_are_kept_are_no_duplicates(model: str, threshold: float) -> None:
    timed = selection(model, 3)
    assert len({scores.shape for scores in timed.score_maps}) == 1
    for scores in timed.score_maps[:2]:
        kept: Any = timed.run(scores)
        category, score, boxes, place = kept
        assert 5 < len(category) <= 100
        assert np.all(np.diff(score) <= 0)
        assert 0 < score[-1] <= score[0] <= 1
        assert len(set(zip(category.tolist(), place.tolist(), strict=True))) == len(category)
        overlaps = np.triu(box_iou(boxes, boxes), k=1) * (category[:, None] == category[None])
        assert overlaps.max() <= threshold


def test_selections_of_one_seed_repeat_and_decayed_scores_stay_ordered() -> None:
    one, again = (selection("solov2_mobilenetv2_640", 3) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one.score_maps, again.score_maps, strict=True))
    kept_arrays: Any = one.run(one.score_maps[0])
    category, score, kept = kept_arrays
    assert 5 < len(category) <= 100
    assert np.all(np.diff(score) <= 0)
    assert score.min() >= 0.05
    assert len(set(kept.tolist())) == len(kept)
