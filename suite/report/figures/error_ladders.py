"""Error-type ladders: AP50 of masks and of tracks, and what it would be with one error after the other undone."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from suite.accuracy.error_analysis.kinds import AS_SCORED, IMAGE_KINDS, VIDEO_KINDS
from suite.report.evidence import Evidence
from suite.report.figures._style import BLUE, GREEN, INK, ORANGE, PALE, PURPLE, SKY, VERMILION, new_figure
from suite.report.measured import ErrorGroup, Scored, error_groups

COLOURS = {
    "classification": BLUE,
    "localisation": ORANGE,
    "identity_switch": VERMILION,
    "temporal_miss": SKY,
    "spatial": ORANGE,
    "both": PURPLE,
    "duplicate": "#f0e442",
    "background": "#767676",
    "missed": GREEN,
}


def ladder_of(group: ErrorGroup, way: Scored) -> list[tuple[str, str, float, float]]:
    """Return (kind, label, what undoing it alone brings, AP50 reached), AP50 in points; empty where any is missing."""
    steps: list[tuple[str, str, float, float]] = []
    if group.get(way, "ladder_ap50", "error", AS_SCORED) is None:
        return steps
    for kind in IMAGE_KINDS if way.key_frame_interval is None else VIDEO_KINDS:
        alone, reached = (group.get(way, metric, "error", kind.name) for metric in ("error_ap50", "ladder_ap50"))
        if alone is None or reached is None:
            return []
        steps.append((kind.name, kind.label, 100 * alone.value, 100 * reached.value))
    return steps


def _draw(axes: Axes, group: ErrorGroup, way: Scored) -> None:
    steps, foot = ladder_of(group, way), group.get(way, "ladder_ap50", "error", AS_SCORED)
    start = 100 * foot.value if foot is not None else 0.0
    axes.barh(0, start, color=PALE, edgecolor=INK, linewidth=0.6)
    axes.text(start + 1, 0, f"{start:.1f}", va="center", fontsize=8)
    below = start
    for place, (name, _, alone, reached) in enumerate(steps, start=1):
        axes.barh(place, reached - below, left=below, color=COLOURS[name], edgecolor=INK, linewidth=0.6)
        words = f"+{reached - below:.1f} (alone +{alone:.1f})"
        if below > 55:
            axes.text(below - 1, place, words, va="center", ha="right", fontsize=8)
        else:
            axes.text(reached + 1, place, words, va="center", fontsize=8)
        axes.plot([below, below], [place - 1, place], color=INK, linewidth=0.6)
        below = reached
    axes.set_yticks(range(len(steps) + 1), ["AP50 as scored", *(label for _, label, _, _ in steps)])
    axes.set_ylim(len(steps) + 0.6, -0.6)
    axes.set_xlim(0, 104)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("AP50 after undoing this kind of error and all above, points")
    seeds = len(next(iter(group.cells.values())).samples)
    many = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    what = "Masks" if way.key_frame_interval is None else f"Tracks, T = {way.key_frame_interval}"
    axes.set_title(f"{what}: {group.where}, {many}")


def draw(evidence: Evidence) -> Figure | None:
    """Draw a ladder for masks and one for tracks (T = 1), of the embedded set where it is recorded, else other data."""
    for group in error_groups(evidence, ("error_ap50", "ladder_ap50")):
        found = [way for way in (Scored(None), Scored(1)) if ladder_of(group, way)]
        if found:
            figure = new_figure(5.4 * len(found), 3.4)
            for axes, way in zip(figure.subplots(1, len(found), squeeze=False)[0], found, strict=True):
                _draw(axes, group, way)
            return figure
    return None
