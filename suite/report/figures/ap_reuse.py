"""Video AP against the kernel-reuse length T: mean over seeds and every seed's own points."""

from __future__ import annotations

from matplotlib.figure import Figure

from suite.report.evidence import Evidence
from suite.report.figures._style import BLUE, COLUMN_IN, GREY, VERMILION, new_figure

LINES = ((BLUE, "o", "-"), (VERMILION, "s", "--"), (GREY, "^", ":"))


def draw(evidence: Evidence) -> Figure | None:
    """Draw one line per training setting; small points are single seeds."""
    groups = {name: cells for name, cells in evidence.reuse().items() if len({cell.frames for cell in cells}) > 1}
    if not groups:
        return None
    shown = [cell for cells in groups.values() for cell in cells]
    figure = new_figure(COLUMN_IN, 3.0)
    axes = figure.subplots()
    for place, (name, cells) in enumerate(groups.items()):
        colour, marker, dashes = LINES[place % len(LINES)]
        lengths = [cell.frames for cell in cells]
        means = [100 * cell.value for cell in cells]
        seeds = max(len(cell.samples) for cell in cells)
        label = f"{name}, {f'mean of {seeds} seeds' if seeds > 1 else 'one seed'}"
        axes.plot(lengths, means, marker=marker, linestyle=dashes, color=colour, linewidth=1.5, label=label, zorder=3)
        for cell, length, mean in zip(cells, lengths, means, strict=True):
            if len(cell.samples) > 1:
                values = [100 * sample.value for sample in cell.samples]
                places = [length] * len(values)
                axes.plot(places, values, marker, color=colour, markersize=4, alpha=0.45, linestyle="none")
            highest = mean >= max(100 * other.value for other in shown if other.frames == length)
            offset, side = ((7, 5), "bottom") if highest else ((7, -5), "top")
            axes.annotate(
                f"{mean:.1f}", (length, mean), xytext=offset, textcoords="offset points", color=colour, va=side
            )
    ticks = sorted({cell.frames for cell in shown})
    axes.set_xticks(ticks)
    axes.set_xlim(ticks[0] - 0.5, ticks[-1] + 0.9)
    values = [100 * sample.value for cell in shown for sample in cell.samples]
    margin = max(3.0, 0.15 * (max(values) - min(values)))
    axes.set_ylim(min(values) - margin, max(values) + 2 * margin)
    axes.set_xlabel("T: kernels are computed on every T-th frame\nand reused between")
    axes.set_ylabel("video AP on shapes val (not YouTube-VIS)")
    axes.set_title("Kernel reuse")
    axes.legend(loc="upper right")
    return figure
