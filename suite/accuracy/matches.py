"""What matching leaves of an evaluation: which detection hit, in which image or video. AP can be resampled from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


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
    hit: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: Integers


def _side_by_side(tables: Sequence[Any]) -> NDArray[np.bool_]:
    """Return tables of 10 rows, arrays or nested lists of any truth values, joined along the second axis."""
    if isinstance(tables[0], np.ndarray):
        return np.concatenate(tables, axis=1).astype(np.bool_)
    # Reading all values in one go spares an array for each of a quarter of a million small tables.
    widths = np.array([len(table[0]) for table in tables])
    rows = len(tables[0])
    flat = np.fromiter(chain.from_iterable(chain.from_iterable(tables)), np.bool_, rows * int(widths.sum()))
    starts = np.repeat(rows * (np.cumsum(widths) - widths), widths)
    column = np.arange(len(starts)) - np.repeat(np.cumsum(widths) - widths, widths)
    joined: NDArray[np.bool_] = flat[starts + np.arange(rows)[:, None] * np.repeat(widths, widths) + column]
    return joined


def collect_matches(
    entries: Iterable[Mapping[str, Any] | None], unit_ids: Sequence[int], category_ids: Sequence[int]
) -> Matches:
    """Gather the per-image (or per-video) entries of COCOeval or hotcoco for the range of all areas.

    Args:
        entries: as in ``evalImgs``; units of one category in ascending order. None is skipped.
        unit_ids: ids of images or videos, ascending.
        category_ids: ids of categories, ascending.
    """
    unit_index = {number: index for index, number in enumerate(unit_ids)}
    category_index = {number: index for index, number in enumerate(category_ids)}
    objects = np.zeros((len(unit_ids), len(category_ids)), np.int64)
    scores: dict[int, list[Any]] = defaultdict(list)
    units: dict[int, list[Integers]] = defaultdict(list)
    matched: dict[int, list[Any]] = defaultdict(list)
    ignored: dict[int, list[Any]] = defaultdict(list)
    for entry in entries:
        if entry is None:
            continue
        unit, category = unit_index[entry["image_id"]], category_index[entry["category_id"]]
        objects[unit, category] = len(entry["gtIgnore"]) - np.count_nonzero(entry["gtIgnore"])
        if len(entry["dtScores"]):
            scores[category].append(entry["dtScores"])
            units[category].append(np.full(len(entry["dtScores"]), unit))
            matched[category].append(entry["dtMatches"])
            ignored[category].append(entry["dtIgnore"])
    found: list[tuple[Integers, Integers, NDArray[np.bool_], NDArray[np.bool_]]] = []
    for category in sorted(scores):
        order = np.argsort(-np.concatenate(scores[category]), kind="mergesort")
        out = _side_by_side(ignored[category])[:, order]
        hit = _side_by_side(matched[category])[:, order] & ~out
        found.append((np.concatenate(units[category])[order], np.full(len(order), category), hit, out))
    if not found:
        nothing, none = np.zeros(0, np.int64), np.zeros((10, 0), np.bool_)
        return Matches(nothing, nothing, none, none, objects)
    return Matches(
        unit=np.concatenate([part[0] for part in found]),
        category=np.concatenate([part[1] for part in found]),
        hit=np.concatenate([part[2] for part in found], axis=1),
        ignored=np.concatenate([part[3] for part in found], axis=1),
        objects=objects,
    )
