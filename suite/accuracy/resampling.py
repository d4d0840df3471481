"""AP of a weighted dataset, from matches made once: an image drawn twice counts twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suite.accuracy.matches import Matches

RECALLS = np.linspace(0.0, 1.0, 101)

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def _before(positions: Integers, sorted_positions: Integers) -> Integers:
    """Return how many of ``sorted_positions`` lie at or before each of ``positions``."""
    return np.searchsorted(sorted_positions, positions, side="right").astype(np.int64)


def _prefix(values: Integers) -> Integers:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(values)])


class WeightedAp:
    """AP as a function of how often each image (or video) is in the dataset.

    Only hits need to be looked at: between two of them precision falls, so that it is sampled at hits alone. The value
    is that of the official evaluator on the dataset with every image repeated by its weight.

    Args:
        matches: of one model on one dataset.
    """

    def __init__(self, matches: Matches) -> None:
        self.unit, self.objects = matches.unit, matches.objects
        self.categories = matches.objects.shape[1]
        thresholds = len(matches.hit)
        # Hits of all thresholds, one behind the other; a segment is one category at one threshold.
        threshold, self.place = np.nonzero(matches.hit)
        self.segment = threshold * self.categories + matches.category[self.place]
        segments = np.arange(thresholds * self.categories)
        self.first = np.searchsorted(self.segment, segments)
        self.category_start = np.searchsorted(matches.category, np.arange(self.categories))[
            self.segment % self.categories
        ]
        out_threshold, self.out_place = np.nonzero(matches.ignored)
        detections = matches.hit.shape[1]
        key = out_threshold * detections + self.out_place
        self.out_until = _before(threshold * detections + self.place, key)
        self.out_start = _before(threshold * detections + self.category_start - 1, key)
        # Running maxima within segments: each later segment is lifted above all earlier ones.
        self.lift = 2.0 * self.segment[::-1].max(initial=0) - 2.0 * self.segment
        self.thresholds = thresholds

    def __call__(self, weights: Integers) -> Floats:
        """Return AP per threshold and category, shape (10, categories), NaN where no object is left.

        Args:
            weights: number of times each unit is in the dataset, shape (units,).
        """
        of_detection = weights[self.unit]
        counted = _prefix(of_detection)
        left_out = _prefix(of_detection[self.out_place])
        hits = _prefix(of_detection[self.place])
        start = self.first[self.segment]
        true = hits[1:] - hits[start]
        seen = counted[self.place + 1] - counted[self.category_start]
        seen = seen - (left_out[self.out_until] - left_out[self.out_start])
        objects = weights @ self.objects
        precision = true / (seen + np.spacing(1.0))
        lifted = np.maximum.accumulate((precision + self.lift)[::-1])[::-1] - self.lift
        recall = true / np.maximum(objects[self.segment % self.categories], 1)
        reached = np.searchsorted(RECALLS, recall, side="right")
        before = np.concatenate([np.zeros(1, np.int64), reached[:-1]])
        before[start == np.arange(len(start))] = 0
        gained = lifted * (reached - before)
        sums = np.bincount(self.segment, gained, minlength=self.thresholds * self.categories)
        ap = (sums / len(RECALLS)).reshape(self.thresholds, self.categories)
        ap[:, objects == 0] = np.nan
        return ap


def statistics(ap: Floats) -> dict[str, float]:
    """Return AP, AP50 and AP75 of an array of shape (10, categories); -1 where no category has an object."""
    defined = ap[:, ~np.isnan(ap[0])]
    if not defined.size:
        return {"AP": -1.0, "AP50": -1.0, "AP75": -1.0}
    return {"AP": float(defined.mean()), "AP50": float(defined[0].mean()), "AP75": float(defined[5].mean())}
