"""Finds hits and errors at IoU 0.5: first the official matching, then the kind of every error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.accuracy.error_analysis.kinds import (
    BACKGROUND,
    BACKGROUND_IOU,
    BOTH,
    CLASSIFICATION,
    DUPLICATE,
    FOREGROUND_IOU,
    LOCALISATION,
    Kind,
)

CAP = 100
"""Detections of one category in one image or video that count."""

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Localise = Callable[[Integers, Integers], NDArray[np.int8]]


@dataclass(frozen=True)
class Unit:
    """One image or video.

    Attributes:
        index: its place among all units in ascending order of id.
        ious: IoU of every detection with every object, whatever their categories, shape (D, G); for crowd objects, the
            one that matching uses. Values below `BACKGROUND_IOU` need not be exact.
        category: index of each detection's category, shape (D,).
        score: shape (D,).
        area: area in square pixels that decides whether an unmatched detection falls into a range, shape (D,).
        object_category: index of each object's category, shape (G,).
        object_area: shape (G,).
        crowd: shape (G,).
        places: place of each detection in its file, ascending, shape (D,).
        object_places: place of each object in its file, ascending, shape (G,).
        localise: tells the kinds of localisation errors from the detections' and their objects' row numbers, as
            indices into the task's kinds; None where there is only one kind.
    """

    index: int
    ious: Floats
    category: Integers
    score: Floats
    area: Floats
    object_category: Integers
    object_area: Floats
    crowd: Flags
    places: Integers
    object_places: Integers
    localise: Localise | None = None


@dataclass(frozen=True)
class Judged:
    """Every detection and object of a dataset with what is wrong about it; R is the number of area ranges.

    Detections are ordered by falling score, then by unit and place in the file, which is the order in which official
    accumulation takes those of one category.

    Attributes:
        kinds: the task's kinds of error.
        categories: number of categories.
        units: number of units.
        unit: index of each detection's unit, shape (D,).
        category: index of each detection's category, shape (D,).
        score: shape (D,).
        place: place of each detection in the results file, shape (D,).
        kind: index into ``kinds`` of what is wrong where a detection is a false positive, shape (D,).
        target: the object it would have to match instead, by its place in the columns below; -1 for none, shape (D,).
        hit: whether a detection matched a counted object, shape (R, D).
        ignored: whether it counts as neither right nor wrong, shape (R, D).
        object_unit: index of each object's unit, shape (G,).
        object_category: index of each object's category, shape (G,).
        object_place: place of each object in the annotations file, shape (G,).
        counted: whether an object is asked for, shape (R, G).
        found: whether it was matched, shape (R, G).
    """

    kinds: tuple[Kind, ...]
    categories: int
    units: int
    unit: Integers
    category: Integers
    score: Floats
    place: Integers
    kind: NDArray[np.int8]
    target: Integers
    hit: Flags
    ignored: Flags
    object_unit: Integers
    object_category: Integers
    object_place: Integers
    counted: Flags
    found: Flags


def match(ious: Floats, ignored: Flags, crowd: Flags) -> Integers:
    """Match as the official evaluators do at IoU 0.5.

    Args:
        ious: rows by falling score, -1 for pairs of different categories, shape (D, G).
        ignored: objects that are not counted: taken only where no counted one is free, shape (G,).
        crowd: objects that any number of detections may match, shape (G,).

    Returns:
        The object that each detection matched, -1 for none, shape (D,). Of equal IoU, the later object wins.
    """
    matched = np.full(len(ious), -1)
    candidate = ious >= FOREGROUND_IOU
    free = np.ones(ious.shape[1], np.bool_)
    for row in np.flatnonzero(candidate.any(axis=1)).tolist():
        possible = np.flatnonzero(candidate[row] & (free | crowd))
        if len(possible):
            counted = possible[~ignored[possible]]
            chosen = counted if len(counted) else possible
            best = chosen[::-1][np.argmax(ious[row, chosen[::-1]])]
            matched[row], free[best] = best, False
    return matched


def classify(unit: Unit, kinds: Sequence[Kind]) -> tuple[NDArray[np.int8], Integers]:
    """Say what is wrong with every detection, should it be a false positive.

    Returns:
        Index into ``kinds``, shape (D,), and the row number of the object it was meant for, -1 for none, shape (D,).
    """
    number = {kind: place for place, kind in enumerate(kinds)}
    kind = np.full(len(unit.ious), number[BACKGROUND], np.int8)
    target = np.full(len(unit.ious), -1)
    if not unit.ious.size:
        return kind, target
    real = np.where(unit.crowd, -1.0, unit.ious)
    same = unit.category[:, None] == unit.object_category
    own, other = np.where(same, real, -1.0), np.where(same, -1.0, real)
    best_own, best_other = own.max(axis=1), other.max(axis=1)
    localisation = (best_own >= BACKGROUND_IOU) & (best_own <= FOREGROUND_IOU)
    classification = ~localisation & (best_other >= FOREGROUND_IOU)
    duplicate = ~localisation & ~classification & (best_own >= FOREGROUND_IOU)
    rest = ~(localisation | classification | duplicate)
    kind[classification], kind[duplicate] = number[CLASSIFICATION], number[DUPLICATE]
    kind[rest & (np.maximum(best_own, best_other) > BACKGROUND_IOU)] = number[BOTH]
    target[localisation] = own[localisation].argmax(axis=1)
    target[classification] = other[classification].argmax(axis=1)
    if unit.localise is None:
        kind[localisation] = number[LOCALISATION]
    elif localisation.any():
        kind[localisation] = unit.localise(np.flatnonzero(localisation), target[localisation])
    return kind, target


def _capped(unit: Unit) -> Integers:
    """Return the rows that count, by falling score: at most `CAP` of each category."""
    order = np.argsort(-unit.score, kind="stable")
    if len(order) <= CAP:
        return order
    grouped = np.argsort(unit.category[order], kind="stable")
    sorted_categories = unit.category[order][grouped]
    rank = np.arange(len(order)) - np.searchsorted(sorted_categories, sorted_categories)
    return order[np.sort(grouped[rank < CAP])]


def judge(
    units: Iterable[Unit],
    number_of_units: int,
    categories: int,
    kinds: tuple[Kind, ...],
    area_ranges: Sequence[Sequence[float]],
) -> Judged:
    """Judge every detection of a dataset.

    Args:
        units: each image or video, one at a time; only their verdicts are kept.
        number_of_units: how many there are.
        categories: number of categories.
        kinds: the task's kinds of error.
        area_ranges: lowest and highest area in square pixels, both included, of each range.
    """
    table = _Table(len(area_ranges))
    for unit in units:
        rows = _capped(unit)
        kind, target = classify(unit, kinds)
        same = unit.category[:, None] == unit.object_category
        ious = np.where(same, unit.ious, -1.0)[rows]
        verdicts = []
        for low, high in area_ranges:
            ignored = unit.crowd | (unit.object_area < low) | (unit.object_area > high)
            matched = match(ious, ignored, unit.crowd)
            on = matched >= 0
            found = np.zeros(len(ignored), np.bool_)
            found[matched[on]] = True
            outside = (unit.area[rows] < low) | (unit.area[rows] > high)
            out = np.where(on, np.append(ignored, False)[matched], outside)
            verdicts.append((on & ~out, out, ~ignored, found & ~ignored))
        table.add(unit, rows, kind[rows], target[rows], verdicts)
    return table.judged(kinds, categories, number_of_units)


class _Table:
    """Collects the verdicts of units, column by column."""

    def __init__(self, ranges: int) -> None:
        whole, flags = np.zeros(0, np.int64), np.zeros((ranges, 0), np.bool_)
        self.detections: list[tuple[Any, ...]] = [(whole, whole, np.zeros(0), whole, np.zeros(0, np.int8), whole)]
        self.objects: list[tuple[Integers, ...]] = [(whole, whole, whole)]
        self.verdicts: list[tuple[Flags, ...]] = [(flags,) * 4]
        self.number_of_objects = 0

    def add(
        self,
        unit: Unit,
        rows: Integers,
        kind: NDArray[np.int8],
        target: Integers,
        verdicts: Sequence[tuple[Flags, ...]],
    ) -> None:
        shifted = np.where(target >= 0, target + self.number_of_objects, -1)
        self.number_of_objects += len(unit.crowd)
        here, there = np.full(len(rows), unit.index), np.full(len(unit.crowd), unit.index)
        columns = (here, unit.category[rows], unit.score[rows], unit.places[rows], kind, shifted)
        self.detections.append(columns)
        self.objects.append((there, unit.object_category, unit.object_places))
        self.verdicts.append(tuple(np.array(part) for part in zip(*verdicts, strict=True)))

    def judged(self, kinds: tuple[Kind, ...], categories: int, units: int) -> Judged:
        columns = [np.concatenate(column) for column in zip(*self.detections, strict=True)]
        unit, category, score, place, kind, target = columns
        hit, ignored, counted, found = (np.concatenate(part, axis=1) for part in zip(*self.verdicts, strict=True))
        object_unit, object_category, object_place = (np.concatenate(part) for part in zip(*self.objects, strict=True))
        order = np.lexsort((place, unit, -score))
        return Judged(
            kinds=kinds,
            categories=categories,
            units=units,
            unit=unit[order],
            category=category[order],
            score=score[order],
            place=place[order],
            kind=kind[order],
            target=target[order],
            hit=hit[:, order],
            ignored=ignored[:, order],
            object_unit=object_unit,
            object_category=object_category,
            object_place=object_place,
            counted=counted,
            found=found,
        )
