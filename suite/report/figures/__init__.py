"""The figures of the report, and how they look and become files.

A figure is a function of the evidence that returns a figure, or None where there is no data for it. All are drawn at a
paper's column widths, with type of 7 pt or more, and give the same bytes each time.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import textalloc
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from suite.report.evidence import Evidence

FIGURES = {
    "ap_latency": "ap_latency",
    "ap_reuse": "measured",
    "training_curve": "measured",
    "latency_ratio": "measured",
    "latency_estimate": "measured",
}
"""Figure, in the page's order -> the module here whose function of this name draws it."""
COLUMN_IN, PAGE_IN = 3.3, 7.0
"""Widths of a column and of a page of the usual two-column formats."""
INK, GREY = "#1a1a1a", "#767676"
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
"""Okabe and Ito's palette."""
SEED_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY)
PNG_DPI = 200
FORMATS: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""What every figure is written as -> the metadata that would differ from day to day."""

Draw = Callable[[Evidence], Figure | None]


def drawing(name: str) -> Draw:
    """Return the function that draws one of `FIGURES`; the first line of its docstring is the figure's caption."""
    draw: Draw = getattr(importlib.import_module(f"{__name__}.{FIGURES[name]}"), name)
    return draw


def style() -> AbstractContextManager[None]:
    """Draw inside with the report's style only, whatever the user's matplotlibrc says."""
    return matplotlib.rc_context(fname=Path(__file__).with_name("report.mplstyle"))


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure with a layout that keeps labels inside."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def figure_bytes(draw: Draw, evidence: Evidence) -> dict[str, bytes]:
    """Draw one figure and return it in each of `FORMATS`; nothing where there is no data for it."""
    files: dict[str, bytes] = {}
    with style():
        figure = draw(evidence)
        if figure is None:
            return files
        for name, metadata in FORMATS.items():
            stream = io.BytesIO()
            figure.savefig(stream, format=name, dpi=PNG_DPI, metadata=metadata)
            files[name] = stream.getvalue()
    return files


class PointLabel(NamedTuple):
    """A label and the data coordinates of its point."""

    x: float
    y: float
    text: str
    colour: str = INK
    weight: str = "normal"


def place_labels(axes: Axes, labels: Sequence[PointLabel]) -> None:
    """Write labels beside their points so that none covers another label, a point or a line; far ones get a thin line.

    Args:
        axes: axes whose limits and scales are final; their places are fixed here.
        labels: what to write where.
    """
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    drawn = [line.get_xydata() for line in axes.lines if line.get_linestyle() not in ("None", "none")]
    across, up, texts, colours, weights = map(list, zip(*labels, strict=True))
    textalloc.allocate(
        axes,
        across,
        up,
        texts,
        x_scatter=across,
        y_scatter=up,
        x_lines=[list(np.asarray(line)[:, 0]) for line in drawn],
        y_lines=[list(np.asarray(line)[:, 1]) for line in drawn],
        textsize=7,
        textcolor=colours,
        fontweight=weights,
        linecolor=GREY,
        linewidth=0.5,
        margin=0.004,
        min_distance=0.018,
        avoid_label_lines_overlap=True,
        avoid_crossing_label_lines=True,
        max_distance=0.3,
        nbr_candidates=400,
    )
