"""AP and CPU time over the commits that measured them, each number beside its own earlier values."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from suite.report.drawing import GREY, SEED_COLOURS, PointLabel, freeze_layout, new_figure, place_labels
from suite.report.evidence import Evidence
from suite.report.history import Trend, trends
from suite.report.measured import task_label
from suite.report.select import Cell

MARKERS = ("o", "s", "^", "D", "v", "P")
MAX_LINES = len(MARKERS)
"""No more lines in a panel than a reader can tell apart by colour and marker; the table has them all."""


def _name(cell: Cell) -> str:
    """Name a line shortly: the score, or the model with its input size."""
    if cell.metric.startswith("latency_"):
        interval = cell.get("key_frame_interval")
        words = [cell.model.removeprefix("mobileinst_"), str(cell.get("span")).replace("_", " ")]
        return " ".join(words) + ("" if interval is None else f" T = {interval}")
    return task_label(cell)


def _panel(axes: Axes, found: Sequence[Trend], commits: list[str], relative: bool) -> list[PointLabel]:
    labels = []
    for place, trend in enumerate(found):
        colour, marker = SEED_COLOURS[place % len(SEED_COLOURS)], MARKERS[place % len(MARKERS)]
        cells = [point.cell for point in trend.points]
        scale = 1 / cells[0].value if relative else 100
        columns = [commits.index(point.sha) for point in trend.points]
        values = [cell.value * scale for cell in cells]
        spreads = [(cell.deviation or 0) * scale for cell in cells]
        axes.errorbar(
            columns, values, yerr=spreads, color=colour, marker=marker, markersize=4, linewidth=1.2, capsize=2
        )
        labels.append(PointLabel(columns[-1], values[-1], _name(cells[-1]), colour))
    span = len(commits) - 1
    axes.set_xlim(-0.1 * span, 1.5 * span)  # room on the right for the names
    return labels


def draw(evidence: Evidence) -> Figure | None:
    """Draw AP in points and CPU time relative to its first value; None until two commits measured the same number."""
    found = [trend for trend in trends(evidence.runs) if len(trend.points) > 1]
    if not found:
        return None
    dates = {point.sha: point.date for trend in found for point in trend.points}
    commits = [sha for sha in dict.fromkeys(file.run.git_sha or "" for file in evidence.runs) if sha in dates]
    scores = [trend for trend in found if not trend.metric.startswith("latency_")][:MAX_LINES]
    times = [trend for trend in found if trend.metric.startswith("latency_")][:MAX_LINES]
    groups = [(group, relative) for group, relative in ((scores, False), (times, True)) if group]
    figure = new_figure(5.2 * len(groups), 4.0)
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    labels = []
    for axes, (group, relative) in zip(panels, groups, strict=True):
        labels.append(_panel(axes, group, commits, relative))
        names = [f"{sha[:7] or 'no commit'}\n{dates[sha][5:]}" for sha in commits]
        axes.set_xticks(range(len(commits)), names, fontsize=7)
        axes.set_ylabel("CPU time, first commit = 1" if relative else "AP points, shared seeds; bars: deviation")
        axes.set_title("CPU time by commit" if relative else "AP by commit")
        if relative:
            axes.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
    freeze_layout(figure)
    for axes, wanted in zip(panels, labels, strict=True):
        place_labels(axes, wanted, size=7)
    return figure
