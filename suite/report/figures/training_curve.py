"""Loss and held-out mask AP over the training iterations, every seed."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from suite.records.schema import Series
from suite.report.evidence import Evidence
from suite.report.figures._style import PAGE_IN, SEED_COLOURS, new_figure
from suite.report.models import display_name


def latest_curves(evidence: Evidence) -> list[Series]:
    """Return the newest setting with mask AP, the latest curve of each seed, by seed; the ablation's are left out."""
    curves = [one for _, one in evidence.series("training_curve") if "mask_ap" in one.columns]
    curves = [one for one in curves if one.protocol.get("experiment") is None]
    if not curves:
        return []

    def identity(series: Series) -> tuple[object, ...]:
        fields = sorted((key, value) for key, value in series.protocol.items() if key != "seed")
        return series.subject.model, series.dataset and series.dataset.digest, *fields

    newest = identity(curves[-1])
    by_seed = {series.protocol.get("seed"): series for series in curves if identity(series) == newest}
    return [by_seed[seed] for seed in sorted(by_seed, key=str)]


def column(series: Series, name: str) -> tuple[list[float], list[float]]:
    """Return (iterations, values) of a column, rows without a value left out."""
    frame = pd.DataFrame(series.rows, columns=series.columns)[["iteration", name]].dropna().astype(float)
    return frame["iteration"].tolist(), frame[name].tolist()


def draw(evidence: Evidence) -> Figure | None:
    """Draw the total loss and the AP of the newest setting, one line per seed."""
    curves = latest_curves(evidence)
    if not curves:
        return None
    figure = new_figure(PAGE_IN, 2.8)
    loss_axes, ap_axes = figure.subplots(1, 2)
    for place, series in enumerate(curves):
        colour, seed = SEED_COLOURS[place % len(SEED_COLOURS)], series.protocol.get("seed")
        loss_axes.plot(*column(series, "loss"), color=colour, linewidth=1.2, label=f"seed {seed}")
        steps, values = column(series, "mask_ap")
        percent = [100 * value for value in values]
        ap_axes.plot(steps, percent, "o-", color=colour, linewidth=1.2, markersize=4, label=f"seed {seed}")
    loss_axes.set_title("Training loss")
    loss_axes.set_ylabel("weighted losses of a single frame, summed")
    loss_axes.set_ylim(bottom=0)
    ap_axes.set_title("Held-out mask AP during training")
    ap_axes.set_ylabel("mask AP on a fixed part of shapes val")
    ap_axes.set_ylim(bottom=0)
    for axes in (loss_axes, ap_axes):
        axes.set_xlabel("iteration")
        axes.set_xlim(left=0)
    if len(curves) > 1:
        ap_axes.legend(loc="lower right")
    figure.suptitle(display_name(curves[0].subject.model), fontsize=8, x=0.01, ha="left")
    return figure
