"""A score: the twelve official numbers, the same for each category, and what they were computed from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from suite.datasets.categories import Categories
from suite.records.schema import Interval

STATS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""The official order; fractions, -1 where undefined."""

Task = Literal["coco", "youtube-vis"]


@dataclass(frozen=True)
class Curves:
    """What accumulation leaves, as in COCOeval: -1 where a category has no ground truth in an area range.

    ``precision`` has the shape (10 IoU thresholds, 101 recalls, categories, 4 area ranges, 3 detection caps) and
    ``recall`` the same without the recalls. Area ranges: all, small, medium, large; caps: 1, 10, 100.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """This score's statistic minus another results file's, with the interval of paired draws if there were any."""

    value: float
    interval: Interval | None


@dataclass(frozen=True)
class Score:
    """The outcome of one evaluation; every fraction in full precision, -1 where undefined.

    ``intervals`` are of AP, AP50 and AP75, where draws were asked for; ``differences`` where another file was given.
    ``draws`` are the AP of every draw, in order: two scores of one dataset and seed can be paired by them later.
    """

    task: Task
    engine: str
    stats: dict[str, float]
    per_category: dict[str, dict[str, float]]
    counts: dict[str, int]
    notes: tuple[str, ...] = ()
    intervals: dict[str, Interval] = field(default_factory=dict)
    differences: dict[str, Difference] = field(default_factory=dict)
    draws: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return {
            "stats": self.stats,
            "per_category": self.per_category,
            "task": self.task,
            "engine": self.engine,
            "counts": self.counts,
            "notes": list(self.notes),
            "intervals": msgspec.to_builtins(self.intervals),
            "differences": msgspec.to_builtins(self.differences),
        }


def _mean_defined(values: NDArray[np.float64]) -> float:
    defined = values[values > -1]
    return float(np.mean(defined)) if len(defined) else -1.0


def summarize(curves: Curves) -> dict[str, float]:
    """Return the twelve numbers of `STATS`: means over every defined entry, -1 where there is none."""
    precision, recall = curves.precision, curves.recall
    average_precision = [_mean_defined(precision[:, :, :, area, 2]) for area in range(4)]
    at_iou = [_mean_defined(precision[threshold : threshold + 1, :, :, 0, 2]) for threshold in (0, 5)]
    average_recall = [_mean_defined(recall[:, :, 0, cap]) for cap in range(3)]
    recall_by_area = [_mean_defined(recall[:, :, area, 2]) for area in range(1, 4)]
    values = [average_precision[0], *at_iou, *average_precision[1:], *average_recall, *recall_by_area]
    return dict(zip(STATS, values, strict=True))


def per_category(curves: Curves, categories: Categories) -> dict[str, dict[str, float]]:
    """Return the twelve numbers of each category by its name; a name used twice gets its id appended.

    Args:
        curves: the accumulated curves, categories in ascending order of id.
        categories: the table of the annotations file.
    """
    return {
        name if categories.names.count(name) == 1 else f"{name} (id {number})": summarize(
            Curves(curves.precision[:, :, index : index + 1], curves.recall[:, index : index + 1])
        )
        for index, (number, name) in enumerate(zip(categories.ids, categories.names, strict=True))
    }
