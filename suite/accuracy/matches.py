"""What matching leaves of an evaluation: which detection hit, in which image or video, and AP resampled from it.

Matches are made once; in a weighted dataset an image drawn twice counts twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Counts = NDArray[np.int32]


CAP = 100
"""Detections of one category in one image or video that count."""


def within_cap(group: Integers, score: Floats) -> Integers:
    """Return the rows that are among the `CAP` of highest score in their group, ascending.

    Args:
        group: number of each row's unit and category, shape (D,).
        score: confidence, shape (D,); of equal ones, the earlier counts.
    """
    order = np.lexsort((-score, group))
    rank = np.arange(len(order)) - np.searchsorted(group[order], group[order])
    return np.sort(order[rank < CAP])


@dataclass(frozen=True)
class Matches:
    """Matches over all areas, at most 100 detections per unit (image or video) and category.

    Detections are sorted by category, then by falling score; equal scores keep the order of units and files, as in
    COCOeval.

    Attributes:
        unit: index of each detection's unit, shape (D,).
        category: index of its category, ascending, shape (D,).
        hit: whether it matched a counted object, for each IoU threshold, shape (10, D).
        ignored: whether it counts as neither right nor wrong, shape (10, D).
        objects: counted objects of each unit and category, shape (units, categories).
    """

    unit: Integers
    category: Integers
    hit: Flags
    ignored: Flags
    objects: Integers


def _side_by_side(tables: Sequence[Any]) -> Flags:
    """Return tables of 10 rows, arrays or nested lists of any truth values, joined along the second axis."""
    if not tables:
        return np.zeros((10, 0), np.bool_)
    if isinstance(tables[0], np.ndarray):
        return np.concatenate(tables, axis=1).astype(np.bool_)
    # Reading all values in one go spares an array for each of a quarter of a million small tables.
    widths = np.array([len(table[0]) for table in tables])
    rows = len(tables[0])
    flat = np.fromiter(chain.from_iterable(chain.from_iterable(tables)), np.bool_, rows * int(widths.sum()))
    starts = np.repeat(rows * (np.cumsum(widths) - widths), widths)
    column = np.arange(len(starts)) - np.repeat(np.cumsum(widths) - widths, widths)
    joined: Flags = flat[starts + np.arange(rows)[:, None] * np.repeat(widths, widths) + column]
    return joined


@dataclass(frozen=True)
class Unmatched:
    """Detections where nothing of their category is annotated, at most `CAP` per unit and category, in file order."""

    unit: Integers
    category: Integers
    score: Floats
    ignored: Flags


NOTHING = Unmatched(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.bool_))


def collect_matches(
    entries: Iterable[Mapping[str, Any] | None],
    unit_ids: Sequence[int],
    category_ids: Sequence[int],
    unmatched: Unmatched = NOTHING,
) -> Matches:
    """Gather the per-image (or per-video) entries of COCOeval or hotcoco for the range of all areas.

    Args:
        entries: as in ``evalImgs``. None is skipped.
        unit_ids: ids of images or videos, ascending.
        category_ids: ids of categories, ascending.
        unmatched: detections that are in no entry.
    """
    unit_index = {number: index for index, number in enumerate(unit_ids)}
    category_index = {number: index for index, number in enumerate(category_ids)}
    objects = np.zeros((len(unit_ids), len(category_ids)), np.int64)
    places: list[tuple[int, int, int]] = []
    scores: list[Sequence[float]] = [unmatched.score.tolist()]
    none, ignored = np.zeros((10, len(unmatched.unit)), np.bool_), unmatched.ignored[None].repeat(10, axis=0)
    matched_tables, ignored_tables = [], []
    for entry in entries:
        if entry is None:
            continue
        unit, category = unit_index[entry["image_id"]], category_index[entry["category_id"]]
        objects[unit, category] = len(entry["gtIgnore"]) - np.count_nonzero(entry["gtIgnore"])
        if len(entry["dtScores"]):
            places.append((unit, category, len(entry["dtScores"])))
            scores.append(entry["dtScores"])
            matched_tables.append(entry["dtMatches"])
            ignored_tables.append(entry["dtIgnore"])
    unit_, category_, amount = np.array(places, np.int64).reshape(-1, 3).T
    units = np.concatenate([unmatched.unit, np.repeat(unit_, amount)])
    categories = np.concatenate([unmatched.category, np.repeat(category_, amount)])
    order = np.lexsort((units, -np.fromiter(chain.from_iterable(scores), np.float64, len(units)), categories))
    out = np.concatenate([ignored, _side_by_side(ignored_tables)], axis=1)[:, order]
    hit = np.concatenate([none, _side_by_side(matched_tables)], axis=1)[:, order] & ~out
    return Matches(units[order], categories[order], hit, out, objects)


RECALLS = np.linspace(0.0, 1.0, 101)


_MISSED_BY_ROUNDING = np.arange(101) / 100 < RECALLS
"""Official recalls that rounding puts above the hundredth they stand for, so that this very hundredth misses them."""


def _prefix(values: Counts) -> Counts:
    sums = np.zeros(len(values) + 1, np.int32)
    np.cumsum(values, out=sums[1:])
    return sums


def _recalls_reached(true: Counts, objects: Floats) -> Counts:
    """Return how many of the official recalls are at most ``true / objects``, as a search among them would."""
    hundredths = 100.0 * true / objects
    # A quotient of two whole numbers below 10**7 is a hundredth or farther than this from any.
    whole = (hundredths + 1e-9).astype(np.int32)
    return whole + 1 - (_MISSED_BY_ROUNDING[whole] & (np.abs(hundredths - whole) < 1e-9))


class WeightedAp:
    """AP as a function of how often each image (or video) is in the dataset.

    Only hits need to be looked at: between two of them precision falls, so that it is sampled at hits alone. The value
    is that of the official evaluator on the dataset with every image repeated by its weight.

    Args:
        matches: of one model on one dataset.
    """

    def __init__(self, matches: Matches) -> None:
        self.unit, self.objects = matches.unit, matches.objects.astype(np.float64)
        self.shape = len(matches.hit), matches.objects.shape[1]
        # Hits of all thresholds, one behind the other; a segment is one category at one threshold.
        threshold, self.place = np.nonzero(matches.hit)
        self.category = matches.category[self.place]
        self.segment = threshold * self.shape[1] + self.category
        self.first = np.searchsorted(self.segment, np.arange(self.shape[0] * self.shape[1]))[self.segment]
        self.begins = self.first == np.arange(len(self.first))
        category_start = np.searchsorted(matches.category, np.arange(self.shape[1]))[self.category]
        # The ignored detections up to each hit are taken off the detections up to it.
        out_threshold, self.out_place = np.nonzero(matches.ignored)
        detections = matches.hit.shape[1]
        out_key = out_threshold * detections + self.out_place
        out_until = np.searchsorted(out_key, threshold * detections + self.place, side="right")
        out_start = np.searchsorted(out_key, threshold * detections + category_start - 1, side="right")
        self.until, self.start = self.place + 1, category_start
        self.some_out = np.flatnonzero(out_until > out_start)
        self.out_until, self.out_start = out_until[self.some_out], out_start[self.some_out]
        # Running maxima within segments: each later segment is lifted above all earlier ones.
        self.lift = 2.0 * self.segment[::-1].max(initial=0) - 2.0 * self.segment

    def __call__(self, weights: Integers) -> Floats:
        """Return AP per threshold and category, shape (10, categories), NaN where no object is left.

        Args:
            weights: number of times each unit is in the dataset, shape (units,).
        """
        of_detection = weights.astype(np.int32)[self.unit]
        counted, hits = _prefix(of_detection), _prefix(of_detection[self.place])
        true = hits[1:] - hits[self.first]
        seen = counted[self.until] - counted[self.start]
        if len(self.some_out):
            left_out = _prefix(of_detection[self.out_place])
            seen[self.some_out] -= left_out[self.out_until] - left_out[self.out_start]
        objects = weights @ self.objects
        precision = true / (seen + np.spacing(1.0))
        lifted = np.maximum.accumulate((precision + self.lift)[::-1])[::-1]
        reached = _recalls_reached(true, np.maximum(objects, 1)[self.category])
        steps = np.diff(reached, prepend=np.int32(0))
        steps[self.begins] = reached[self.begins]
        here = np.flatnonzero(steps)
        gained = (lifted[here] - self.lift[here]) * steps[here]
        ap = np.bincount(self.segment[here], gained, minlength=self.shape[0] * self.shape[1]) / len(RECALLS)
        ap = ap.reshape(self.shape)
        ap[:, objects == 0] = np.nan
        return ap


def statistics(ap: Floats) -> dict[str, float]:
    """Return AP, AP50 and AP75 of an array of shape (10, categories); -1 where no category has an object."""
    defined = ap[:, ~np.isnan(ap[0])]
    if not defined.size:
        return {"AP": -1.0, "AP50": -1.0, "AP75": -1.0}
    return {"AP": float(defined.mean()), "AP50": float(defined[0].mean()), "AP75": float(defined[5].mean())}
