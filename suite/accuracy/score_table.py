"""A score as text for a person."""

from __future__ import annotations

from suite.accuracy.score import STATS, Score
from suite.records.schema import Interval
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
