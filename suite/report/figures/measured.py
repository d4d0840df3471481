"""What was measured or estimated here: kernel reuse, training curves, latencies beside the published ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from suite.records.schema import Series
from suite.report.evidence import Evidence
from suite.report.figures import BLUE, COLUMN_IN, GREEN, GREY, PAGE_IN, SEED_COLOURS, VERMILION, new_figure
from suite.report.models import display_name
from suite.report.verdicts import device_times

Lines = dict[int, tuple[float, float, float]]
"""Line of a figure -> a number of ours and the ends of its interval."""
LINES = ((BLUE, "o", "-"), (VERMILION, "s", "--"), (GREY, "^", ":"))


def ap_reuse(evidence: Evidence) -> Figure | None:
    """Video AP against the kernel-reuse length T: mean over seeds and every seed's own points.

    One line is drawn per training setting; small points are single seeds.
    """
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
    axes.set(xticks=ticks, xlim=(ticks[0] - 0.5, ticks[-1] + 0.9))
    values = [100 * sample.value for cell in shown for sample in cell.samples]
    margin = max(3.0, 0.15 * (max(values) - min(values)))
    axes.set_ylim(min(values) - margin, max(values) + 2 * margin)
    axes.set(title="Kernel reuse", ylabel="video AP on shapes val (not YouTube-VIS)")
    axes.set_xlabel("T: kernels are computed on every T-th frame\nand reused between")
    axes.legend(loc="upper right")
    return figure


def latest_curves(evidence: Evidence) -> list[Series]:
    """Return the newest setting with mask AP, the latest curve of each seed, by seed; the ablation's are left out."""
    curves = [one for _, one in evidence.series("training_curve") if "mask_ap" in one.columns]
    curves = [one for one in curves if one.protocol.get("experiment") is None]

    def identity(series: Series) -> tuple[object, ...]:
        fields = sorted((key, value) for key, value in series.protocol.items() if key != "seed")
        return series.subject.model, series.dataset and series.dataset.digest, *fields

    newest = identity(curves[-1]) if curves else ()
    by_seed = {series.protocol.get("seed"): series for series in curves if identity(series) == newest}
    return [by_seed[seed] for seed in sorted(by_seed, key=str)]


def values_of(series: Series, name: str) -> tuple[list[float], list[float]]:
    """Return (iterations, values) of a column, rows without a value left out."""
    frame = pd.DataFrame(series.rows, columns=series.columns)[["iteration", name]].dropna().astype(float)
    return frame["iteration"].tolist(), frame[name].tolist()


def training_curve(evidence: Evidence) -> Figure | None:
    """Loss and held-out mask AP over the training iterations, every seed.

    Of several settings the newest is drawn, one line per seed; the loss is the total.
    """
    curves = latest_curves(evidence)
    if not curves:
        return None
    figure = new_figure(PAGE_IN, 2.8)
    loss_axes, ap_axes = figure.subplots(1, 2)
    for place, series in enumerate(curves):
        colour, seed = SEED_COLOURS[place % len(SEED_COLOURS)], series.protocol.get("seed")
        loss_axes.plot(*values_of(series, "loss"), color=colour, linewidth=1.2, label=f"seed {seed}")
        steps, values = values_of(series, "mask_ap")
        percent = [100 * value for value in values]
        ap_axes.plot(steps, percent, "o-", color=colour, linewidth=1.2, markersize=4, label=f"seed {seed}")
    loss_axes.set(title="Training loss", ylabel="weighted losses of a single frame, summed")
    ap_axes.set(title="Held-out mask AP during training", ylabel="mask AP on a fixed part of shapes val")
    for axes in (loss_axes, ap_axes):
        axes.set(xlabel="iteration", xlim=(0, None), ylim=(0, None))
    if len(curves) > 1:
        ap_axes.legend(loc="lower right")
    figure.suptitle(display_name(curves[0].subject.model), fontsize=8, x=0.01, ha="left")
    return figure


def _beside(published: Mapping[str, float], ours: Mapping[str, Lines], title: str, unit: str) -> tuple[Figure, Axes]:
    """Return a figure with one line a published number, the first at the top; ours: series -> its lines."""
    figure = new_figure(PAGE_IN, 1.2 + 0.27 * len(published))
    axes = figure.subplots()
    for row, (name, numbers) in enumerate(ours.items()):
        values, lows, highs = np.array(list(numbers.values())).T
        places, errors = np.array(list(numbers)) + 0.3 * (row - (len(ours) - 1) / 2), [values - lows, highs - values]
        axes.errorbar(values, places, xerr=errors, fmt="o", markersize=4, color=(BLUE, GREEN)[row], label=name)
    axes.plot(list(published.values()), range(len(published)), "D", color=VERMILION, label="published, Snapdragon 778G")
    axes.set_yticks(range(len(published)), list(published))
    axes.set(ylim=(len(published) - 0.5, -0.5), xlabel=unit, title=title)
    figure.legend(loc="outside lower center", ncols=3)
    return figure, axes


def latency_ratio(evidence: Evidence) -> Figure | None:
    """Published latency ratios beside the same ratios on this host: what another core can test of the latency claims.

    One line is drawn per ratio claim that was measured: the published value, and ours with its interval.
    """
    rows = [row for row in evidence.verdicts.values() if row.claim.kind == "ratio" and row.ours is not None]
    if not rows:
        return None
    found = [(row.ours or 0.0, row.interval) for row in rows]
    ours = {place: (value, *(interval or (value, value))) for place, (value, interval) in enumerate(found)}
    published = {row.claim.statement: row.claim.value for row in rows}
    title, unit = "Latency ratios, published and on this host", "latency ratio; bars: 95 % interval of timing noise"
    figure, axes = _beside(published, {"measured, one core here": ours}, title, unit)
    axes.axvline(1.0, color=GREY, linewidth=0.8, linestyle=":")
    return figure


def latency_estimate(evidence: Evidence) -> Figure | None:
    """Published milliseconds of the phone beside estimates of its core in both precisions; no device ran them.

    One line is drawn per network with an estimate; the paper does not say which precision its times are of.
    """
    rows = [row.claim for row in evidence.verdicts.values() if row.word == "estimated"]
    claims = {display_name(evidence.counterparts[claim.row_id][0]): claim for claim in rows}
    ours: dict[str, Lines] = {}
    for place, claim in enumerate(claims.values()):
        for cell in device_times(claim, evidence):
            if (ends := cell.interval) is not None:
                ours.setdefault(f"estimated, {cell.get('precision')}", {})[place] = (cell.value, ends.low, ends.high)
    if not ours:
        return None
    published = {name: claim.value for name, claim in claims.items()}
    unit = "ms on one core; bars: interval of the estimate, which no device ran"
    figure, axes = _beside(published, ours, "One core of a Snapdragon 778G, published and estimated", unit)
    axes.set(xscale="log", xticks=(ticks := [100, 200, 500, 1000, 2000, 5000]), xticklabels=ticks)
    axes.xaxis.set_minor_locator(NullLocator())
    return figure
