"""Matching as the official evaluators do it: which detection takes which object at each IoU threshold and object size.

Images and videos (units) are matched by the same code: only how two masks or two tracks overlap is theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from suite.accuracy.score import Curves

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
CAPS = (1, 10, 100)
"""Detections of one category in one image or video that count; 100 wherever no other cap is named."""


@dataclass(frozen=True)
class Instances:
    """The N detections or annotated objects of a dataset, column by column.

    Attributes:
        unit: (N,) place of each one's image or video among the ids in ascending order.
        category: (N,) class index.
        area: (N,) square pixels that decide small, medium and large.
        score: (N,) confidence; 1 for objects.
        crowd: (N,) whether it marks a crowd, which any number of detections may match; False for detections.
        place: (N,) its place among all detections or objects of its file.
    """

    unit: Integers
    category: Integers
    area: Floats
    score: Floats
    crowd: Flags
    place: Integers

    @classmethod
    def of(
        cls, unit: Integers, category: Integers, area: Floats, score: Floats | None = None, crowd: Flags | None = None
    ) -> Instances:
        """Return all detections of a file, which have scores, or all its objects, which may be crowds."""
        amount = len(unit)
        scores, crowds = (np.ones(amount) if score is None else score), np.zeros(amount, np.bool_)
        return cls(unit, category, area, scores, crowds if crowd is None else crowd, np.arange(amount))

    def rows(self, chosen: Integers | Flags) -> Instances:
        """Return some of them."""
        return Instances(*(getattr(self, field.name)[chosen] for field in fields(self)))

    def rank(self) -> Integers:
        """Return how many of the same unit and category stand before each one, (N,)."""
        order = np.lexsort((self.category, self.unit))
        steps = [np.diff(column[order], prepend=-1) for column in (self.unit, self.category)]
        begins = np.flatnonzero(steps[0] | steps[1])
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
        return rank

    def counting(self) -> Instances:
        """Return the detections that count, by falling score, then by unit and place, as official accumulation does."""
        ordered = self.rows(np.lexsort((self.place, self.unit, -self.score)))
        return ordered.rows(ordered.rank() < CAPS[-1])


@dataclass(frozen=True)
class Pairs:
    """Detections and objects of one unit that overlap, by their rows, and the IoU that matching uses; all (P,)."""

    detection: Integers
    object: Integers
    iou: Floats


def find_pairs(
    detections: Instances,
    objects: Instances,
    iou: Callable[[Integers, Integers], Floats],
    at_least: float = THRESHOLDS[0],
    across: bool = False,
) -> Pairs:
    """Return the pairs that overlap by ``at_least``, those of one image or video at a time.

    Args:
        detections: those that count.
        objects: what is annotated.
        iou: gives the IoU of some detections of one unit with some of its objects, by their rows, shape (D, G).
        at_least: smallest IoU of a pair.
        across: whether pairs of different categories are wanted too.
    """
    keys = [side.unit if across else side.unit * 2**31 + side.category for side in (detections, objects)]
    orders, empty = [np.argsort(key, kind="stable") for key in keys], np.zeros(0, np.int64)
    both = np.intersect1d(keys[0], keys[1])
    bounds = [
        np.searchsorted(key[order], both, side).tolist()
        for key, order in zip(keys, orders, strict=True)
        for side in ("left", "right")
    ]
    found: list[tuple[Integers, Integers, Floats]] = [(empty, empty, np.zeros(0))]
    for first, last, object_first, object_last in zip(*bounds, strict=True):
        rows, columns = orders[0][first:last], orders[1][object_first:object_last]
        values = iou(rows, columns)
        row, column = np.nonzero(values >= at_least)
        found.append((rows[row], columns[column], values[row, column]))
    return Pairs(*(np.concatenate(part) for part in zip(*found, strict=True)))


@dataclass(frozen=True)
class Matches:
    """What matching leaves, for R ranges of area, the first one all areas, and T IoU thresholds.

    Attributes:
        units: number of images or videos.
        categories: number of categories.
        detections: the D that count, in the order of `Instances.counting`.
        objects: all G.
        hit: (R, T, D) whether a detection matched a counted object.
        ignored: (R, T, D) whether it counts as neither right nor wrong.
        counted: (R, G) whether an object is asked for.
        found: (R, T, G) whether a counted object was matched.
    """

    units: int
    categories: int
    detections: Instances
    objects: Instances
    hit: Flags
    ignored: Flags
    counted: Flags
    found: Flags


def match(
    size: tuple[int, int],
    detections: Instances,
    objects: Instances,
    pairs: Pairs,
    ranges: Sequence[tuple[float, float]],
    thresholds: Sequence[float] | Floats = THRESHOLDS,
    void: Flags | None = None,
) -> Matches:
    """Match as COCOeval does.

    Detections choose by falling score: the counted object of largest IoU that is free, else such a one that is not
    counted; of equal ones the later. A crowd stays free.

    Args:
        size: number of units and of categories.
        detections: those that count, in order.
        objects: what is annotated.
        pairs: those of one category are used.
        ranges: least and largest area in square pixels, both included, of each range.
        thresholds: smallest IoU of a match, ascending.
        void: (G,) objects whose matches do not count, as those with annotation id 0 in COCOeval.
    """
    same = detections.category[pairs.detection] == objects.category[pairs.object]
    row, column, iou = pairs.detection[same], pairs.object[same], pairs.iou[same]
    taken = np.full((len(ranges), len(thresholds), len(detections.unit)), -1)
    limits = np.array(ranges)[:, :, None]
    outside, counted = ((side.area < limits[:, 0]) | (side.area > limits[:, 1]) for side in (detections, objects))
    counted = ~(counted | objects.crowd)
    for place, asked in enumerate(counted):
        order = np.lexsort((-column, -iou, ~asked[column], row))
        for number, threshold in enumerate(thresholds):
            able = order[iou[order] >= threshold]
            chosen, free, crowd = taken[place, number].tolist(), [True] * len(asked), objects.crowd.tolist()
            for detection, item in zip(row[able].tolist(), column[able].tolist(), strict=True):
                if free[item] and chosen[detection] < 0:
                    chosen[detection], free[item] = item, crowd[item]
            taken[place, number] = chosen
    # Detections that took nothing point at one object more, which is counted.
    known = np.pad(counted, ((0, 0), (0, 1)), constant_values=True)[:, None]
    on = taken >= 0 if void is None else (taken >= 0) & ~np.append(void, True)[taken]
    ignored = ~np.take_along_axis(known, taken, axis=2) | (~on & outside[:, None])
    found = np.zeros((*taken.shape[:2], len(objects.unit) + 1), np.bool_)
    np.put_along_axis(found, taken, True, axis=2)
    return Matches(*size, detections, objects, on & ~ignored, ignored, counted, found[:, :, :-1] & counted[:, None])


def accumulate(matches: Matches) -> Curves:
    """Return precision and recall at every threshold, category, area range and cap, as COCOeval accumulates them."""
    detections, (ranges, thresholds) = matches.detections, matches.hit.shape[:2]
    shape = matches.categories, ranges, len(CAPS)
    precision, recall = np.full((thresholds, len(RECALLS), *shape), -1.0), np.full((thresholds, *shape), -1.0)
    rank, order = detections.rank(), np.argsort(detections.category, kind="stable")
    ends = np.searchsorted(detections.category[order], np.arange(matches.categories + 1))
    for category, (first, last) in enumerate(pairwise(ends)):
        asked = matches.counted[:, matches.objects.category == category].sum(axis=1)
        for number, cap in enumerate(CAPS):
            rows = order[first:last][rank[order[first:last]] < cap]
            for place in np.flatnonzero(asked).tolist():
                hit, ignored = matches.hit[place][:, rows], matches.ignored[place][:, rows]
                true = np.cumsum(hit, axis=1, dtype=np.float64)
                false = np.cumsum(~hit & ~ignored, axis=1, dtype=np.float64)
                reached = true / asked[place]
                envelope = np.maximum.accumulate((true / (false + true + np.spacing(1)))[:, ::-1], axis=1)[:, ::-1]
                recall[:, category, place, number] = reached[:, -1] if len(rows) else 0
                for threshold in range(thresholds):
                    at = np.searchsorted(reached[threshold], RECALLS)
                    precision[threshold, :, category, place, number] = np.append(envelope[threshold], 0)[at]
    return Curves(precision, recall)
