"""A score as lines of a record."""

from __future__ import annotations

from collections.abc import Mapping

from suite.accuracy.score import Score
from suite.records.schema import Dataset, Interval, Measurement, Scalar, Series, Subject

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
