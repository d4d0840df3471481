"""A score as text for a person, and as lines of a record."""

from __future__ import annotations

from collections.abc import Mapping

from suite.accuracy.score import STATS, Score
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
PER_CATEGORY = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR100")


def _percent(value: float) -> str:
    return "-" if value < 0 else f"{100 * value:.2f}"


def _span(interval: Interval) -> str:
    return f"{100 * interval.low:.2f} to {100 * interval.high:.2f}"


def score_table(score: Score) -> str:
    """Return the twelve numbers and a table of the categories that have objects; percent, ``-`` where undefined."""
    unit = "each image" if score.task == "coco" else "each video"
    lines = [f"{'mask AP' if score.task == 'coco' else 'video AP'} in percent (engine {score.engine})"]
    lines += [f"  {name:<6}{_percent(score.stats[name]):>7}  {MEANING[name]}" for name in STATS]
    lines.append(f"  caps are per category in {unit}; " + ", ".join(f"{n} {what}" for what, n in score.counts.items()))
    listed = {name: stats for name, stats in score.per_category.items() if any(value >= 0 for value in stats.values())}
    lines += text_table(
        [TextColumn("category"), *(TextColumn(name, number=True) for name in PER_CATEGORY)],
        ([name, *(_percent(stats[key]) for key in PER_CATEGORY)] for name, stats in listed.items()),
    )
    if without := len(score.per_category) - len(listed):
        lines.append(f"{without} categories without objects are not listed")
    for name, interval in score.intervals.items():
        value = _percent(score.stats[name])
        lines.append(f"{name} {value}: {interval.level:.0%} interval {_span(interval)} ({interval.resamples} draws)")
    for name, difference in score.differences.items():
        span = f", {_span(difference.interval)}" if difference.interval else ""
        lines.append(f"{name} minus the other file's: {100 * difference.value:+.2f}{span}")
    differences = (difference.interval for difference in score.differences.values())
    shown = (interval for interval in (*score.intervals.values(), *differences) if interval is not None)
    lines += [f"intervals cover {sentence}" for sentence in dict.fromkeys(interval.covers for interval in shown)]
    return "\n".join(lines + [f"note: {note}" for note in score.notes])


COCO_METRICS = {
    "AP": "mask_ap",
    "AP50": "mask_ap50",
    "AP75": "mask_ap75",
    "APs": "mask_ap_small",
    "APm": "mask_ap_medium",
    "APl": "mask_ap_large",
}
YOUTUBE_VIS_METRICS = {
    "AP": "video_ap",
    "AP50": "video_ap50",
    "AP75": "video_ap75",
    "AR1": "video_ar1",
    "AR10": "video_ar10",
}

DRAWS = "ap_draws"
"""Name of the series that holds the AP of every bootstrap draw, by which two records can be compared pairwise."""
DRAW_DECIMALS = 6


def score_lines(
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
        metrics: official name -> metric of the catalogue, `COCO_METRICS` or `YOUTUBE_VIS_METRICS`.
        subject: the scored model.
        dataset: the scored data.
        protocol: everything that defines the numbers.
        intervals: confidence intervals by official name, as far as they were computed.
    """
    lines = []
    for name, metric in metrics.items():
        undefined = stats[name] < 0
        lines.append(
            Measurement(
                metric=metric,
                value=None if undefined else stats[name],
                subject=subject,
                protocol=protocol,
                dataset=dataset,
                interval=None if undefined or intervals is None else intervals.get(name),
                reason="no ground truth falls into this statistic" if undefined else None,
            )
        )
    return lines


def draw_series(
    score: Score, metrics: Mapping[str, str], subject: Subject, dataset: Dataset, protocol: dict[str, Scalar]
) -> list[Series]:
    """Return the AP of every bootstrap draw as one series, or none where nothing was drawn.

    Draw number k takes the same images (or videos) for every model of the same dataset and seed, so that the
    difference of two records has an interval of its own, narrower than two intervals side by side.

    Args:
        score: with draws.
        metrics: official name -> metric of the catalogue.
        subject: the scored model.
        dataset: the scored data.
        protocol: everything that defines the numbers, as given to `score_lines`.
    """
    interval = score.intervals.get("AP")
    if not score.draws or interval is None:
        return []
    fields = protocol | {"draw_seed": interval.seed, "metric": metrics["AP"]}
    rows: list[list[Scalar]] = [[round(value, DRAW_DECIMALS)] for value in score.draws]
    return [Series(DRAWS, subject, [metrics["AP"]], rows, fields, dataset)]
