"""How figures look and become files: at a paper's column widths, type of 7 pt or more, the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
import numpy as np
import textalloc
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from suite.report.evidence import Evidence

COLUMN_IN, PAGE_IN = 3.3, 7.0
"""Widths of a column and of a page of the usual two-column formats."""
INK, GREY, PALE = "#1a1a1a", "#767676", "#d9d9d9"
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
"""Okabe and Ito's palette."""
SEED_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY)
PNG_DPI = 200
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "mobileinst-suite",
    "pdf.fonttype": 42,
    "path.simplify": False,
}
FORMATS: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""What every figure is written as -> the metadata that would differ from day to day."""

Draw = Callable[[Evidence], Figure | None]


@contextmanager
def style() -> Iterator[None]:
    """Draw inside with the report's style only, whatever the user's matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)  # type: ignore[arg-type]
        yield


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure with a layout that keeps labels inside."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def figure_bytes(draw: Draw, evidence: Evidence) -> dict[str, bytes]:
    """Draw one figure and return it in each of `FORMATS`; nothing where there is no data for it."""
    with style():
        figure = draw(evidence)
        files: dict[str, bytes] = {}
        if figure is None:
            return files
        for name, metadata in FORMATS.items():
            stream = io.BytesIO()
            figure.savefig(stream, format=name, dpi=PNG_DPI, metadata=metadata)
            files[name] = stream.getvalue()
    return files


@dataclass(frozen=True)
class PointLabel:
    """A label and the data coordinates of its point."""

    x: float
    y: float
    text: str
    colour: str = INK
    weight: str = "normal"


def place_labels(axes: Axes, labels: Sequence[PointLabel], size: float = 7) -> None:
    """Write labels beside their points so that none covers another label, a point or a line; far ones get a thin line.

    Args:
        axes: axes whose limits and scales are final; their places are fixed here.
        labels: what to write where.
        size: font size in points, at least 7.
    """
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    drawn = [np.asarray(line.get_xydata()) for line in axes.lines if line.get_linestyle() not in ("None", "none")]
    across, up = [label.x for label in labels], [label.y for label in labels]
    lines = [list(line.T) for line in drawn]
    textalloc.allocate(
        axes,
        across,
        up,
        [label.text for label in labels],
        x_scatter=across,
        y_scatter=up,
        x_lines=[line[0] for line in lines],
        y_lines=[line[1] for line in lines],
        textsize=size,
        textcolor=[label.colour for label in labels],
        fontweight=[label.weight for label in labels],
        linecolor=GREY,
        linewidth=0.5,
        margin=0.004,
        min_distance=0.018,
        avoid_label_lines_overlap=True,
        avoid_crossing_label_lines=True,
        max_distance=0.3,
        nbr_candidates=400,
    )
