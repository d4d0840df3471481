"""A score: the twelve official numbers, the same for each category; as text for a person and as lines of a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from suite.datasets.categories import Categories
from suite.records.schema import Dataset, Interval, Measurement, Scalar, Series, Subject
from suite.text_table import TextColumn, text_table

MEANING = {
    "AP": "mean over IoU 0.50 to 0.95",
    "AP50": "at IoU 0.50",
    "AP75": "at IoU 0.75",
    "APs": "small",
    "APm": "medium",
    "APl": "large",
    "AR1": "recall with 1 result",
    "AR10": "recall with 10 results",
    "AR100": "recall with 100 results",
    "ARs": "recall, small",
    "ARm": "recall, medium",
    "ARl": "recall, large",
}
STATS = tuple(MEANING)
"""In the official order; fractions, -1 where undefined."""
PER_CATEGORY = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")
METRICS = {
    "coco": {
        "AP": "mask_ap",
        "AP50": "mask_ap50",
        "AP75": "mask_ap75",
        "APs": "mask_ap_small",
        "APm": "mask_ap_medium",
        "APl": "mask_ap_large",
    },
    "youtube-vis": {
        "AP": "video_ap",
        "AP50": "video_ap50",
        "AP75": "video_ap75",
        "AR1": "video_ar1",
        "AR10": "video_ar10",
    },
}
"""Official name -> metric of the catalogue, by task."""
DRAWS = "ap_draws"
"""Name of the series that holds the AP of every bootstrap draw, by which two records can be compared pairwise."""
DRAW_DECIMALS = 6

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
    ``tracking`` has HOTA and IDF1 by kind of mean, of results from ``hota_min_score``, where they were asked for.
    """

    stats: dict[str, float]
    per_category: dict[str, dict[str, float]]
    task: Task
    engine: str
    counts: dict[str, int]
    notes: tuple[str, ...] = ()
    intervals: dict[str, Interval] = field(default_factory=dict)
    differences: dict[str, Difference] = field(default_factory=dict)
    draws: tuple[float, ...] = ()
    tracking: dict[str, dict[str, float]] = field(default_factory=dict)
    hota_min_score: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if name != "draws"}


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
    """Return the twelve numbers of each category by its name; a name used twice gets its id appended."""
    return {
        name if categories.names.count(name) == 1 else f"{name} (id {number})": summarize(
            Curves(curves.precision[:, :, index : index + 1], curves.recall[:, index : index + 1])
        )
        for index, (number, name) in enumerate(zip(categories.ids, categories.names, strict=True))
    }


def percent(value: float) -> str:
    """Return a fraction in percent, ``-`` where it is undefined."""
    return "-" if value < 0 else f"{100 * value:.2f}"


def _span(interval: Interval) -> str:
    return f"{100 * interval.low:.2f} to {100 * interval.high:.2f}"


def score_table(score: Score) -> str:
    """Return the twelve numbers and a table of the categories that have objects; percent, ``-`` where undefined."""
    unit = "each image" if score.task == "coco" else "each video"
    lines = [f"{'mask AP' if score.task == 'coco' else 'video AP'} in percent (engine {score.engine})"]
    lines += [f"  {name:<6}{percent(score.stats[name]):>7}  {MEANING[name]}" for name in STATS]
    lines.append(f"  caps are per category in {unit}; " + ", ".join(f"{n} {what}" for what, n in score.counts.items()))
    listed = {name: stats for name, stats in score.per_category.items() if any(value >= 0 for value in stats.values())}
    lines += text_table(
        [TextColumn("category"), *(TextColumn(name, number=True) for name in PER_CATEGORY)],
        ([name, *(percent(stats[key]) for key in PER_CATEGORY)] for name, stats in listed.items()),
    )
    if without := len(score.per_category) - len(listed):
        lines.append(f"{without} categories without objects are not listed")
    if score.tracking:
        lines.append(f"HOTA and IDF1 by TrackEval, of results that score at least {score.hota_min_score:g}")
    for kind, numbers in score.tracking.items():
        values = ", ".join(f"{name} {percent(value)}" for name, value in numbers.items())
        lines.append(f"  {kind.replace('_', ' ')}: {values}")
    for name, interval in score.intervals.items():
        value = percent(score.stats[name])
        lines.append(f"{name} {value}: {interval.level:.0%} interval {_span(interval)} ({interval.resamples} draws)")
    for name, difference in score.differences.items():
        span = f", {_span(difference.interval)}" if difference.interval else ""
        lines.append(f"{name} minus the other file's: {100 * difference.value:+.2f}{span}")
    differences = (difference.interval for difference in score.differences.values())
    shown = (interval for interval in (*score.intervals.values(), *differences) if interval is not None)
    lines += [f"intervals cover {sentence}" for sentence in dict.fromkeys(interval.covers for interval in shown)]
    return "\n".join(lines + [f"note: {note}" for note in score.notes])


def stat_lines(
    stats: Mapping[str, float],
    metrics: Mapping[str, str],
    subject: Subject,
    dataset: Dataset,
    protocol: dict[str, Scalar],
    intervals: Mapping[str, Interval] | None = None,
) -> list[Measurement]:
    """Return one measurement per statistic; an undefined one (-1) is null with its reason.

    Args:
        stats: fractions by official name, e.g. ``{"AP": 0.31, ...}``.
        metrics: official name -> metric of the catalogue.
        subject: the scored model.
        dataset: the scored data.
        protocol: everything that defines the numbers.
        intervals: confidence intervals by official name, as far as they were computed.
    """
    lines = []
    for name, metric in metrics.items():
        line = Measurement(metric, stats[name], subject, protocol, dataset, (intervals or {}).get(name))
        if stats[name] < 0:
            reason = "no ground truth falls into this statistic"
            line = Measurement(metric, None, subject, protocol, dataset, reason=reason)
        lines.append(line)
    return lines


def score_lines(
    score: Score, subject: Subject, dataset: Dataset, protocol: dict[str, Scalar]
) -> list[Measurement | Series]:
    """Return the metrics of a score, and the AP of every bootstrap draw as one series where there are draws.

    Draw number k takes the same images (or videos) for every model of the same dataset and seed, so that the
    difference of two records has an interval of its own, narrower than two intervals side by side. The arguments are
    those of `stat_lines`.
    """
    metrics, interval = METRICS[score.task], score.intervals.get("AP")
    lines: list[Measurement | Series] = [*stat_lines(score.stats, metrics, subject, dataset, protocol, score.intervals)]
    if score.draws and interval is not None:
        fields = protocol | {"draw_seed": interval.seed, "metric": metrics["AP"]}
        rows: list[list[Scalar]] = [[round(value, DRAW_DECIMALS)] for value in score.draws]
        lines.append(Series(DRAWS, subject, [metrics["AP"]], rows, fields, dataset))
    return lines
