"""What each kind of error costs: AP50 again, after an oracle has undone errors.

The AP of a category depends on where its hits stand among its detections only, so undoing errors means to take
detections out of that order, to put corrected ones in, and to ask for fewer objects.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from suite.accuracy.error_analysis.judging import Judged
from suite.accuracy.error_analysis.kinds import FALSE_NEGATIVES, FALSE_POSITIVES, MISSED, Kind
from suite.accuracy.matches import RECALLS, Flags, Floats, Integers

NONE = np.zeros(0, np.int64)


@lru_cache(1024)
def _steps(hits: int, objects: int) -> tuple[Integers, Integers]:
    """Return the number of each hit, from 1, and how many of the official recalls are first reached by it."""
    true = np.arange(1, hits + 1)
    return true, np.diff(np.searchsorted(RECALLS, true / objects, side="right"), prepend=0)


@dataclass(frozen=True)
class _Category:
    """The counted detections of a category by their place in the order of all, the hits among them, its objects."""

    ranks: Integers
    hits: Integers
    objects: int

    @cached_property
    def seen(self) -> Integers:
        """How many counted detections stand up to each hit, itself included."""
        return np.searchsorted(self.ranks, self.hits, side="right").astype(np.int64)

    def ap(self, removed: Integers = NONE, added: Integers = NONE, fewer: int = 0) -> float:
        """Return AP50 after errors were undone.

        Without objects left to find it is 0 where detections remain, and NaN, out of the mean, where none does.

        Args:
            removed: ranks of wrong detections to take out, ascending.
            added: ranks at which hits come in, ascending.
            fewer: how many objects are no longer asked for.
        """
        objects = self.objects - fewer
        if objects == 0:
            return 0.0 if len(self.ranks) > len(removed) - len(added) else float("nan")
        hits, seen = self.hits, self.seen
        if len(added):
            hits = np.sort(np.concatenate([self.hits, added]))
            seen = np.searchsorted(self.ranks, hits, side="right") + np.searchsorted(added, hits, side="right")
        true, steps = _steps(len(hits), objects)
        precision = true / (seen - np.searchsorted(removed, hits, side="right") + np.spacing(1.0))
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        return float(envelope @ steps) / len(RECALLS)


class Ladder:
    """AP50 of a dataset after any errors were undone.

    Args:
        judged: all detections and objects.
        area_range: number of the area range to look at; 0 is that of all areas.

    Attributes:
        detections: those that count, in order, D in all.
        objects: G in all.
        hit: whether each detection matched a counted object, shape (D,).
        counted: whether each object is asked for, shape (G,).
        lost: whether each object is counted and was not found, shape (G,).
        wrong: whether each detection is a false positive, shape (D,).
        becomes: category in which undoing its error makes a detection a hit, -1 where it is removed, shape (D,).
        missed: whether each object is counted, was not found and would not be by undoing other errors, shape (G,).
    """

    def __init__(self, judged: Judged, area_range: int = 0) -> None:
        self.judged, matches = judged, judged.matches
        self.detections, self.objects = matches.detections, matches.objects
        self.hit, ignored = matches.hit[area_range, 0], matches.ignored[area_range, 0]
        self.counted = matches.counted[area_range]
        self.lost: Flags = self.counted & ~matches.found[area_range, 0]
        self.wrong: Flags = ~self.hit & ~ignored
        correctable = np.array([kind.corrects for kind in judged.kinds])
        wanted = self.wrong & correctable[judged.kind] & np.append(self.lost, False)[judged.target]
        candidates = np.flatnonzero(wanted)
        # The first of each object is the one with the highest score.
        objects, place = np.unique(judged.target[candidates], return_index=True)
        self.becomes = np.full(len(self.wrong), -1)
        self.becomes[candidates[place]] = self.objects.category[objects]
        self.missed = self.lost.copy()
        self.missed[objects] = False
        asked = np.bincount(self.objects.category[self.counted], minlength=matches.categories)
        order, hits = np.flatnonzero(~ignored), np.flatnonzero(self.hit)
        by_category = self._grouped(order, self.detections.category[order])
        hits_of = self._grouped(hits, self.detections.category[hits])
        self._categories = {
            number: _Category(by_category.get(number, NONE), hits_of.get(number, NONE), amount)
            for number, amount in enumerate(asked.tolist())
            if amount
        }
        self.base = self._table({number: category.ap() for number, category in self._categories.items()})

    @staticmethod
    def _grouped(ranks: Integers, categories: Integers) -> dict[int, Integers]:
        """Split ascending ranks by category; they stay ascending."""
        if not len(ranks):
            return {}
        order = np.argsort(categories, kind="stable")
        names, starts = np.unique(categories[order], return_index=True)
        return dict(zip(names.tolist(), np.split(ranks[order], starts[1:]), strict=True))

    def _table(self, values: dict[int, float]) -> Floats:
        table = np.full(self.judged.matches.categories, np.nan)
        table[list(values)] = list(values.values())
        return table

    def mean(self, by_category: Floats) -> float:
        """Return the mean of AP50 by category without NaN: -1 if nothing is annotated, 1 if nothing is left over."""
        defined = by_category[~np.isnan(by_category)]
        if len(defined):
            return float(defined.mean())
        return 1.0 if self._categories else -1.0

    def fixed(self, kinds: Collection[Kind]) -> Floats:
        """Return AP50 by category, (categories,), after all errors of these kinds, or of a special one, were undone.

        All kinds of the task together bring every AP to 1; NaN where there is no AP.
        """
        judged = self.judged
        chosen = np.array([kind in kinds for kind in judged.kinds])
        away = self.wrong & (chosen[judged.kind] | (FALSE_POSITIVES in kinds))
        better = away & (self.becomes >= 0) & chosen[judged.kind]
        gone = np.zeros_like(self.lost)
        if FALSE_NEGATIVES in kinds:
            gone = self.lost
        elif MISSED in kinds:
            gone = self.missed
        return self._undone(np.flatnonzero(away), np.flatnonzero(better), np.flatnonzero(gone))

    def _undone(self, away: Integers, better: Integers, gone: Integers) -> Floats:
        removed = self._grouped(away, self.detections.category[away])
        added = self._grouped(better, self.becomes[better])
        fewer = np.bincount(self.objects.category[gone], minlength=len(self.base))
        touched = set(removed) | set(added) | set(np.flatnonzero(fewer).tolist())
        table = self.base.copy()
        for number in touched & set(self._categories):
            changes = removed.get(number, NONE), added.get(number, NONE), int(fewer[number])
            table[number] = self._categories[number].ap(*changes)
        return table

    def gain(self, kinds: Collection[Kind]) -> float:
        """Return the AP50 that undoing all errors of these kinds would bring."""
        return self.mean(self.fixed(kinds)) - self.mean(self.base)

    def gain_by_unit(self) -> Floats:
        """Return the AP50 that undoing every error of one image or video alone would bring, shape (units,)."""
        wrong, missed = np.flatnonzero(self.wrong), np.flatnonzero(self.missed)
        away = self._grouped(wrong, self.detections.unit[wrong])
        gone = self._grouped(missed, self.objects.unit[missed])
        gains, base = np.zeros(self.judged.matches.units), self.mean(self.base)
        for unit in sorted(set(away) | set(gone)):
            ranks = away.get(unit, NONE)
            better = ranks[self.becomes[ranks] >= 0]
            gains[unit] = self.mean(self._undone(ranks, better, gone.get(unit, NONE))) - base
        return gains

    def counts(self, unit: int | None = None) -> dict[Kind, int]:
        """Return how many errors of each kind there are, in one image or video or in all."""
        here: Flags = self.wrong if unit is None else self.wrong & (self.detections.unit == unit)
        missed = self.missed if unit is None else self.missed & (self.objects.unit == unit)
        amounts = np.bincount(self.judged.kind[here], minlength=len(self.judged.kinds)).tolist()
        found = dict(zip(self.judged.kinds, amounts, strict=True))
        return found | {MISSED: int(missed.sum())}
