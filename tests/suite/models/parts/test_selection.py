"""Scores that selection is timed on: background nearly everywhere, whichever function turns logits into scores."""

import numpy as np
import pytest

from suite.models.parts.dense_selection import yolact_selection
from suite.models.parts.selection import sigmoid, softmax_query_selection, synthetic_logits

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
    dense = yolact_selection(80, 192, 256, 3)
    queries = softmax_query_selection(80, 100, (24, 32), 3)
    for selection, background in ((dense, 0), (queries, -1)):
        for logits in selection.score_maps:
            assert (softmax(logits)[:, background] > 0.5).mean() > 0.6
