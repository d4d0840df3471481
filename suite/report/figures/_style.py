"""How figures look and become files: ready for print, for colour-blind readers, and the same bytes every time."""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from suite.report.evidence import Evidence

INK, GREY, PALE = "#1a1a1a", "#767676", "#d9d9d9"
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
"""Okabe and Ito's palette."""
SEED_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY)
PNG_DPI = 160
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "mobileinst-suite",
    "path.simplify": False,
}

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
    """Draw one figure and return its PNG and SVG, without dates; nothing where there is no data for it."""
    with style():
        figure = draw(evidence)
        if figure is None:
            return {}
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return {"png": png.getvalue(), "svg": svg.getvalue()}


@dataclass(frozen=True)
class PointLabel:
    """A label and the data coordinates of its point."""

    x: float
    y: float
    text: str
    colour: str = INK
    weight: str = "normal"


@functools.cache
def _candidates() -> list[tuple[float, float, str, str]]:
    """Return offsets in points with the alignment that turns the label away from its point, nearest first."""
    sides = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)]
    found = []
    for distance in (5, 9, 14, 20, 28, 38, 50, 64):
        for right, up in sides:
            horizontal = {1: "left", 0: "center", -1: "right"}[right]
            vertical = {1: "bottom", 0: "center", -1: "top"}[up]
            scale = distance if 0 in (right, up) else distance * 0.75
            found.append((right * scale, up * scale, horizontal, vertical))
    return found


def freeze_layout(figure: Figure) -> None:
    """Settle the positions of all axes, so that labels placed afterwards cannot move them."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def _along(lines: Sequence[NDArray[np.float64]], step_px: float = 4) -> list[Bbox]:
    """Return small boxes along polylines given in pixels."""
    boxes = []
    for line in lines:
        for start, stop in itertools.pairwise(line):
            count = max(1, int(np.hypot(*(stop - start)) // step_px))
            for share in np.linspace(0, 1, count + 1):
                x, y = start + (stop - start) * share
                boxes.append(Bbox.from_bounds(x - 1, y - 1, 2, 2))
    return boxes


def place_labels(axes: Axes, labels: Sequence[PointLabel], size: float = 7.5, marker_px: float = 9) -> None:
    """Write labels beside their points so that none covers another label, a point or a line; far ones get a thin line.

    Call `freeze_layout` first.

    Labels are placed one after the other, the ones with the most neighbours first, each at the nearest free place;
    where none is free, at the nearest one inside the axes, since a point without its name cannot be told from others.

    Args:
        axes: axes whose limits and scales are final.
        labels: what to write where.
        size: font size in points.
        marker_px: half the side of the square around each point that stays free, in pixels at the figure's dpi.
    """
    figure = axes.figure
    assert isinstance(figure, Figure)
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer: RendererAgg = canvas.get_renderer()  # type: ignore[no-untyped-call]
    spots = axes.transData.transform([(label.x, label.y) for label in labels])
    taken = [Bbox.from_bounds(x - marker_px / 2, y - marker_px / 2, marker_px, marker_px) for x, y in spots]
    frame = axes.get_window_extent(renderer)
    drawn = [np.asarray(line.get_xydata()) for line in axes.lines if line.get_linestyle() not in ("None", "none")]
    walls = _along([axes.transData.transform(line) for line in drawn])
    crowd = [float(np.sum(np.hypot(*(spots - spot).T) < 80)) for spot in spots]
    for place in sorted(range(len(labels)), key=lambda place: (-crowd[place], place)):
        label, inner = labels[place], []
        for number in range(len(_candidates())):
            text = _annotated(axes, label, number, size)
            words = _words_box(text, renderer)
            inside = frame.x0 <= words.x0 and words.x1 <= frame.x1 and frame.y0 <= words.y0 and words.y1 <= frame.y1
            others = (*taken[:place], *taken[place + 1 :], *walls)
            if inside and not any(words.overlaps(other) for other in others):
                break
            inner += [number] if inside else []
            text.remove()
        else:
            text = _annotated(axes, label, inner[0] if inner else 0, size)
        taken.append(_words_box(text, renderer).padded(1))


def _annotated(axes: Axes, label: PointLabel, number: int, size: float) -> Annotation:
    """Write a label at one of the `_candidates`."""
    right, up, horizontal, vertical = _candidates()[number]
    return axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=(right, up),
        textcoords="offset points",
        ha=horizontal,
        va=vertical,
        fontsize=size,
        color=label.colour,
        fontweight=label.weight,
        arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkB": 3} if number >= 16 else None,
    )


def _words_box(text: Annotation, renderer: RendererAgg) -> Bbox:
    """Return the box of an annotation's words without its line."""
    text.update_positions(renderer)
    return Text.get_window_extent(text, renderer)
