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
from suite.accuracy.matches import Flags, Floats, Integers, within_cap

Localise = Callable[[Integers, Integers], NDArray[np.int8]]
Candidates = list[tuple[int, list[tuple[int, float]]]]


@dataclass(frozen=True)
class Unit:
    """One image or video with D detections and G objects.

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


def _candidates(ious: Floats) -> Candidates:
    """Return for each row that can match at all its number and its possible objects with their IoU."""
    found: dict[int, list[tuple[int, float]]] = {}
    rows, columns = np.nonzero(ious >= FOREGROUND_IOU)
    for row, column, iou in zip(rows.tolist(), columns.tolist(), ious[rows, columns].tolist(), strict=True):
        found.setdefault(row, []).append((column, iou))
    return list(found.items())


def _match(candidates: Candidates, detections: int, ignored: Flags, crowd: Flags) -> Integers:
    """Match as the official evaluators do at IoU 0.5.

    Args:
        candidates: by falling score.
        detections: their number D.
        ignored: objects that are not counted: taken only where no counted one is free, shape (G,).
        crowd: objects that any number of detections may match, shape (G,).

    Returns:
        The object that each detection matched, -1 for none, shape (D,). Of equal IoU, the later object wins.
    """
    matched = np.full(detections, -1)
    counts, free, many = (~ignored).tolist(), [True] * len(ignored), crowd.tolist()
    for row, objects in candidates:
        best, rank = -1, (False, 0.0)
        for column, iou in objects:
            if (free[column] or many[column]) and (counts[column], iou) >= rank:
                best, rank = column, (counts[column], iou)
        if best >= 0:
            matched[row], free[best] = best, False
    return matched


def _classify(unit: Unit, kinds: Sequence[Kind]) -> tuple[NDArray[np.int8], Integers]:
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
    whole, flags = np.zeros(0, np.int64), np.zeros((len(area_ranges), 0), np.bool_)
    detections: list[tuple[Any, ...]] = [(whole, whole, np.zeros(0), whole, np.zeros(0, np.int8), whole)]
    objects: list[tuple[Integers, ...]] = [(whole, whole, whole)]
    verdicts: list[tuple[Flags, ...]] = [(flags,) * 4]
    objects_before = 0
    for unit in units:
        rows = within_cap(unit.category, unit.score)
        rows = rows[np.argsort(-unit.score[rows], kind="stable")]
        kind, target = _classify(unit, kinds)
        candidates = _candidates(np.where(unit.category[rows, None] == unit.object_category, unit.ious[rows], -1.0))
        here = []
        for low, high in area_ranges:
            ignored = unit.crowd | (unit.object_area < low) | (unit.object_area > high)
            matched = _match(candidates, len(rows), ignored, unit.crowd)
            on = matched >= 0
            found = np.zeros(len(ignored), np.bool_)
            found[matched[on]] = True
            outside = (unit.area[rows] < low) | (unit.area[rows] > high)
            out = np.where(on, np.append(ignored, False)[matched], outside)
            here.append((on & ~out, out, ~ignored, found & ~ignored))
        verdicts.append(tuple(np.array(part) for part in zip(*here, strict=True)))
        shifted = np.where(target >= 0, target + objects_before, -1)[rows]
        index = np.full(len(rows), unit.index)
        detections.append((index, unit.category[rows], unit.score[rows], unit.places[rows], kind[rows], shifted))
        objects.append((np.full(len(unit.crowd), unit.index), unit.object_category, unit.object_places))
        objects_before += len(unit.crowd)
    columns = [np.concatenate(column) for column in zip(*detections, strict=True)]
    # By falling score, then by unit and place in the file.
    order = np.lexsort((columns[3], columns[0], -columns[2]))
    hit, ignored, counted, found = (np.concatenate(part, axis=1) for part in zip(*verdicts, strict=True))
    unit_of, category, score, place, kind, target = (column[order] for column in columns)
    object_unit, object_category, object_place = (np.concatenate(part) for part in zip(*objects, strict=True))
    return Judged(
        kinds=kinds,
        categories=categories,
        units=number_of_units,
        unit=unit_of,
        category=category,
        score=score,
        place=place,
        kind=kind,
        target=target,
        hit=hit[:, order],
        ignored=ignored[:, order],
        object_unit=object_unit,
        object_category=object_category,
        object_place=object_place,
        counted=counted,
        found=found,
    )
