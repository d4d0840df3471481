"""AP against latency, as published and as measured here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from suite.claims.claim import SNAPDRAGON
from suite.records.cells import Cell, short_cpu
from suite.report.evidence import Evidence
from suite.report.figures import BLUE, GREY, INK, ORANGE, PAGE_IN, VERMILION, PointLabel, new_figure, place_labels

SHORT_BACKBONES = {
    "ResNet-50": "R50",
    "ResNet-18": "R18",
    "MobileNetV2": "MNv2",
    "TopFormer-Base": "TopFormer",
    "unstated": "",
}


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other point beats in both cost (lower) and gain (higher), by rising cost.

    Args:
        points: (cost, gain) pairs.
    """
    frontier: list[tuple[float, float]] = []
    for cost, gain in sorted(points, key=lambda point: (point[0], -point[1])):
        if not frontier or gain > frontier[-1][1]:
            frontier.append((cost, gain))
    return frontier


def published_points(evidence: Evidence, prefix: str) -> list[PointLabel]:
    """Return the rows of a table that have both a phone latency and an AP; our own are bold.

    The legend names our own method: its labels need the backbone and the size only.
    """
    points = []
    for claim in evidence.claims.values():
        ap = evidence.claims.get(f"{claim.row_id}/ap")
        if claim.metric == SNAPDRAGON and claim.kind == "absolute" and claim.row_id.startswith(prefix) and ap:
            method = "" if claim.own else claim.method
            words = (method, SHORT_BACKBONES.get(claim.backbone, claim.backbone), claim.short_side_px)
            look = (VERMILION, "bold") if claim.own else (INK, "normal")
            points.append(PointLabel(claim.value, ap.value, " ".join(str(word) for word in words if word), *look))
    return points


def _published_panel(axes: Axes, points: list[PointLabel], extra: list[PointLabel], ticks: list[float]) -> None:
    prior, own = ([point for point in points if (point.weight == "bold") == bold] for bold in (False, True))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(ticks[0] * 0.92, ticks[-1] * 1.25)
    heights = [point.y for point in points + extra]
    axes.set_ylim(min(heights) - 1.0, max(heights) + 1.0)
    right = axes.get_xlim()[1]
    for group, colour, dashes, name in (
        (prior, GREY, (0, (4, 2)), "Pareto frontier of prior work"),
        (points, VERMILION, "solid", "Pareto frontier with MobileInst"),
    ):
        frontier = pareto([(point.x, point.y) for point in group])
        costs, gains = np.array(frontier).T
        corners = np.repeat([*costs, right], 2)[1:-1], np.repeat(gains, 2)
        axes.plot(*corners, color=colour, linestyle=dashes, linewidth=1.2, label=name, zorder=2)
    for group, marker, colour, name in ((prior, "o", BLUE, "prior work"), (own, "D", VERMILION, "MobileInst")):
        latencies, values = [point.x for point in group], [point.y for point in group]
        axes.plot(latencies, values, marker, color=colour, markersize=5, label=name)
    for point in extra:
        name = "MobileInst, abstract of arXiv v1"
        axes.plot(point.x, point.y, "D", mfc="white", mec=VERMILION, markersize=5.5, label=name)
    axes.set(xlabel="ms on one core of a Snapdragon 778G, as published", ylabel="AP")


def _measured_points(evidence: Evidence) -> list[tuple[Cell, Cell]]:
    """Return (video AP, CPU ms per frame) of each reuse length that was both scored on shapes and timed here."""
    scored = [cell for cells in evidence.reuse().values() for cell in cells]
    pairs = [(cell, timed) for cell in scored if (timed := evidence.frame_time(cell)) is not None]
    newest = {cell.setting: (cell.get("query_passing") is not False, cell.latest.started_utc) for cell, _ in pairs}
    chosen = max(newest, key=lambda name: newest[name], default="")
    return [(accuracy, timed) for accuracy, timed in pairs if accuracy.setting == chosen]


def _measured_panel(axes: Axes, pairs: list[tuple[Cell, Cell]]) -> None:
    numbers = [(timed.value, 100 * cell.value, 100 * (cell.deviation or 0)) for cell, timed in pairs]
    latencies, values, spreads = np.array(numbers).T
    axes.errorbar(latencies, values, yerr=spreads, fmt="s", color=ORANGE, ecolor=ORANGE, capsize=2, markersize=6)
    span = np.ptp(latencies) or max(latencies) * 0.2
    axes.set_xlim(min(latencies) - 0.6 * span, max(latencies) + 0.6 * span)
    axes.set_ylim(min(values - spreads) - 2, max(values + spreads) + 2)
    accuracy, timed = pairs[0]
    seeds = len(accuracy.samples)
    axes.set(title="Measured here: shapes", xlabel=f"CPU ms per frame, end to end\none core, {short_cpu(timed.cpu)}")
    axes.set_ylabel(f"video AP, {f'mean and deviation of {seeds} seeds' if seeds > 1 else 'one seed'}")


def ap_latency(evidence: Evidence) -> Figure:
    """AP against latency: the paper's own points with their Pareto frontier, and in its own panel what we measured.

    Axes are never shared; without measurements only the published panels are drawn.
    """
    coco = published_points(evidence, "table1/")
    video = published_points(evidence, "table2/2019/")
    measured = _measured_points(evidence)
    abstract = [point._replace(text="arXiv v1") for point in published_points(evidence, "arxiv-v1-abstract")]
    figure = new_figure(PAGE_IN, 6.2)
    mosaic = figure.subplot_mosaic("CCCCC;VVVHH" if measured else "C;V")
    _published_panel(mosaic["C"], coco, abstract, [150, 250, 500, 1000, 2000, 4000])
    mosaic["C"].set_title("Published: COCO test-dev")
    _published_panel(mosaic["V"], video, [], [150, 250, 500, 1000])
    mosaic["V"].set_title("Published: YouTube-VIS 2019")
    if measured:
        _measured_panel(mosaic["H"], measured)
    figure.legend(*mosaic["C"].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    place_labels(mosaic["C"], [*coco, *abstract])
    place_labels(mosaic["V"], video)
    if measured:
        texts = [PointLabel(timed.value, 100 * cell.value, f"T = {cell.frames}") for cell, timed in measured]
        place_labels(mosaic["H"], texts)
    return figure
