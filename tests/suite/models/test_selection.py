"""Selection against its definitions, and the scores that it is timed on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.models import get_entry
from suite.models.parts.selection import (
    Floats,
    Selection,
    box_iou,
    fast_nms,
    greedy_nms,
    matrix_nms,
    sigmoid,
    synthetic_logits,
)


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


def test_nothing_to_suppress() -> None:
    nothing = np.zeros((0, 4), np.float32)
    assert len(greedy_nms(nothing, nothing[:, 0], np.zeros(0, np.int64), 0.5, 10)) == 0
    assert matrix_nms(np.zeros((0, 9), np.float32), nothing[:, 0], np.zeros(0, np.int64)).shape == (0,)
    assert fast_nms(np.zeros((2, 0, 4), np.float32), 0.5).shape == (2, 0)


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


PLACES, GROUPS, NEIGHBOURS, CLASSES = 6000, 40, 9, 21
THRESHOLD = 0.05
"""YOLACT's and FCOS's, the lowest of those that decide how many candidates there are."""


def softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits.astype(np.float64))
    return exponents / exponents.sum(-1, keepdims=True)


@pytest.mark.parametrize("background", [0, -1, None])
def test_only_the_confident_places_become_candidates(background: int | None):
    for logits in synthetic_logits(PLACES, CLASSES, 1, GROUPS, NEIGHBOURS, background=background):
        scores = sigmoid(logits) if background is None else np.delete(softmax(logits), background, axis=1)
        candidates = int((scores.max(1) > THRESHOLD).sum())
        # A few background draws in ten thousand pass; a few groups overlap, or are drawn weak.
        assert 0.7 * GROUPS * NEIGHBOURS <= candidates <= GROUPS * NEIGHBOURS + 0.05 * PLACES


@pytest.mark.parametrize("background", [0, -1])
def test_an_object_is_never_of_the_class_background(background: int):
    for logits in synthetic_logits(PLACES, CLASSES, 2, GROUPS, NEIGHBOURS, background=background):
        probability = softmax(logits)
        is_object = probability[:, background] < 0.01
        assert 0.7 * GROUPS * NEIGHBOURS <= is_object.sum() <= GROUPS * NEIGHBOURS
        assert (np.median(np.delete(probability, background, axis=1).max(1)[is_object])) > 0.5


def test_yolact_and_the_query_methods_with_a_softmax_are_timed_on_such_scores():
    dense, queries = selection("yolact_resnet50_550", 3), selection("fastinst_topformer_base_640", 3)
    for timed, background in ((dense, 0), (queries, -1)):
        for logits in timed.score_maps:
            assert (softmax(logits)[:, background] > 0.5).mean() > 0.6
