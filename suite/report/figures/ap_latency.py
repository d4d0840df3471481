"""AP against latency: the paper's own points with their Pareto frontier, and in a panel of its own what we measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from suite.report.cells import Cell
from suite.report.evidence import Evidence
from suite.report.figures._style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    VERMILION,
    PointLabel,
    freeze_layout,
    new_figure,
    place_labels,
)
from suite.report.measured import accuracy_cells, setting
from suite.report.timings import short_cpu

SNAPDRAGON = "latency_snapdragon_778g_ms"
SHORT_BACKBONES = {
    "ResNet-50": "R50",
    "ResNet-18": "R18",
    "MobileNetV2": "MNv2",
    "TopFormer-Base": "TopFormer",
    "SeaFormer": "SeaFormer",
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


def steps(frontier: Sequence[tuple[float, float]], right: float) -> tuple[list[float], list[float]]:
    """Return the frontier as a staircase that ends at ``right``: costs and gains to be joined by lines."""
    costs, gains = [], []
    for place, (cost, gain) in enumerate(frontier):
        following = frontier[place + 1][0] if place + 1 < len(frontier) else right
        costs += [cost, following]
        gains += [gain, gain]
    return costs, gains


@dataclass(frozen=True)
class Published:
    """One row of a published table as a point."""

    row_id: str
    label: str
    latency_ms: float
    ap: float
    own: bool


def published_points(evidence: Evidence, prefix: str) -> list[Published]:
    """Return the rows of a table that have both a phone latency and an AP."""
    points = []
    for claim in evidence.claims:
        if claim.metric == SNAPDRAGON and claim.kind == "absolute" and claim.row_id.startswith(prefix):
            ap = evidence.claim(f"{claim.row_id}/ap")
            if ap is not None:
                # The legend names our own method: its labels need the backbone and the size only.
                method = "" if claim.own else claim.method
                words = (method, SHORT_BACKBONES.get(claim.backbone, claim.backbone), claim.short_side_px)
                label = " ".join(str(word) for word in words if word)
                points.append(Published(claim.row_id, label, claim.value, ap.value, claim.own))
    return points


def _log_axis(axes: Axes, ticks: list[float]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _published_panel(axes: Axes, points: list[Published], extra: list[Published], ticks: list[float]) -> None:
    prior = [point for point in points if not point.own]
    own = [point for point in points if point.own]
    _log_axis(axes, ticks)
    axes.set_xlim(ticks[0] * 0.92, ticks[-1] * 1.25)
    heights = [point.ap for point in points + extra]
    axes.set_ylim(min(heights) - 1.0, max(heights) + 1.0)
    right = axes.get_xlim()[1]
    for group, colour, dashes, name in (
        (prior, GREY, (0, (4, 2)), "Pareto frontier of prior work"),
        (points, VERMILION, "solid", "Pareto frontier with MobileInst"),
    ):
        frontier = pareto([(point.latency_ms, point.ap) for point in group])
        axes.plot(*steps(frontier, right), color=colour, linestyle=dashes, linewidth=1.2, label=name, zorder=2)
    for group, marker, colour, name in ((prior, "o", BLUE, "prior work"), (own, "D", VERMILION, "MobileInst")):
        latencies, values = [point.latency_ms for point in group], [point.ap for point in group]
        axes.plot(latencies, values, marker, color=colour, markersize=5, label=name)
    for point in extra:
        name = "MobileInst, abstract of arXiv v1"
        axes.plot(point.latency_ms, point.ap, "D", mfc="white", mec=VERMILION, markersize=5.5, label=name)
    axes.set_ylabel("AP")
    axes.set_xlabel("ms on one core of a Snapdragon 778G, as published")


def _labels(points: list[Published]) -> list[PointLabel]:
    return [
        PointLabel(point.latency_ms, point.ap, point.label, *((VERMILION, "bold") if point.own else (INK, "normal")))
        for point in points
    ]


def _measured_points(evidence: Evidence) -> list[tuple[Cell, Cell]]:
    """Return (video AP, CPU ms per frame) of each reuse length that was both scored on shapes and timed here."""
    pairs = []
    for accuracy in accuracy_cells(evidence, "video_ap"):
        interval = accuracy.get("key_frame_interval")
        if accuracy.dataset is None or accuracy.dataset.name != "shapes" or accuracy.get("association") is False:
            continue
        wanted = {"device": "host", "span": "end_to_end", "key_frame_interval": interval}
        timed = evidence.find("latency_cpu_ms", accuracy.model, wanted)
        if timed:
            pairs.append((accuracy, timed[-1]))
    newest = {
        setting(accuracy): (accuracy.get("query_passing") is not False, accuracy.latest.started_utc)
        for accuracy, _ in pairs
    }
    chosen = max(newest, key=lambda name: newest[name], default="")
    return [(accuracy, timed) for accuracy, timed in pairs if setting(accuracy) == chosen]


def _measured_panel(axes: Axes, pairs: list[tuple[Cell, Cell]]) -> None:
    latencies = [timed.value for _, timed in pairs]
    values = [100 * accuracy.value for accuracy, _ in pairs]
    spreads = [100 * (accuracy.deviation or 0) for accuracy, _ in pairs]
    axes.errorbar(latencies, values, yerr=spreads, fmt="s", color=ORANGE, ecolor=ORANGE, capsize=2, markersize=6)
    span = max(latencies) - min(latencies) or max(latencies) * 0.2
    axes.set_xlim(min(latencies) - 0.6 * span, max(latencies) + 0.6 * span)
    low = min(value - spread for value, spread in zip(values, spreads, strict=True))
    high = max(value + spread for value, spread in zip(values, spreads, strict=True))
    axes.set_ylim(low - 2, high + 2)
    accuracy, timed = pairs[0]
    seeds = len(accuracy.samples)
    axes.set_title("Measured here: shapes")
    axes.set_xlabel(f"CPU ms per frame, end to end\none core, {short_cpu(timed.machine.cpu)}")
    axes.set_ylabel(f"video AP, {f'mean and deviation of {seeds} seeds' if seeds > 1 else 'one seed'}")


def draw(evidence: Evidence) -> Figure | None:
    """Draw the published panels, and our own panel where something was measured; axes are never shared."""
    coco = published_points(evidence, "table1/")
    video = published_points(evidence, "table2/2019/")
    if not coco or not video:
        return None
    measured = _measured_points(evidence)
    abstract = [replace(point, label="arXiv v1") for point in published_points(evidence, "arxiv-v1-abstract")]
    figure = new_figure(12 if measured else 10, 4.8)
    ratios = [5, 3.4, 2.6] if measured else [5, 3.4]
    panels = figure.subplots(1, len(ratios), width_ratios=ratios)
    _published_panel(panels[0], coco, abstract, [150, 250, 500, 1000, 2000, 4000])
    panels[0].set_title("Published: COCO test-dev")
    _published_panel(panels[1], video, [], [150, 250, 500, 1000])
    panels[1].set_title("Published: YouTube-VIS 2019")
    if measured:
        _measured_panel(panels[2], measured)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower left", ncols=len(names))
    freeze_layout(figure)
    place_labels(panels[0], _labels([*coco, *abstract]))
    place_labels(panels[1], _labels(video))
    if measured:
        texts = [
            PointLabel(timed.value, 100 * accuracy.value, f"T = {accuracy.get('key_frame_interval')}")
            for accuracy, timed in measured
        ]
        place_labels(panels[2], texts, size=8)
    return figure
