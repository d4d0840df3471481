"""Gap between the paper's numbers for MobileInst and ours, by cause; an empty rung is a number not measured yet."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from suite.report.drawing import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILION, new_figure
from suite.report.evidence import Evidence
from suite.report.gaps import (
    ESTIMATED,
    NO_PRETRAINING,
    NONE_KNOWN,
    NOT_MEASURED,
    OTHER_DATA,
    OTHER_HARDWARE,
    OTHER_SPLIT,
    THIRD_PARTY,
    Gap,
    own_gaps,
)

LOOKS = {
    NOT_MEASURED: ("white", "////"),
    THIRD_PARTY: (SKY, ".."),
    OTHER_DATA: (ORANGE, ""),
    OTHER_SPLIT: (PURPLE, "xx"),
    OTHER_HARDWARE: (BLUE, ""),
    NO_PRETRAINING: (GREEN, "--"),
    ESTIMATED: (GREY, "oo"),
    NONE_KNOWN: (VERMILION, ""),
}
"""Cause -> fill and hatch, so that print and colour-blind readers can tell them apart."""
LIMIT_PERCENT = 100.0


def _rung(axes: Axes, place: int, gap: Gap) -> None:
    """Draw one number: a bar from the published value to ours."""
    fill, hatch = LOOKS[gap.causes[0]]
    if gap.percent is None:
        (bar,) = axes.barh(place, -LIMIT_PERCENT, height=0.5, color="white", edgecolor=GREY, hatch=hatch, linewidth=0.5)
        bar.set_alpha(0.5)
        why = gap.detail.partition(" (")[0]
        axes.text(4, place, f"{NOT_MEASURED}: {why}", va="center", fontsize=7, color=GREY)
        return
    shown = max(-LIMIT_PERCENT, min(LIMIT_PERCENT, gap.percent))
    axes.barh(place, shown, color=fill, edgecolor=INK, hatch=hatch, height=0.5, linewidth=0.5)
    axes.plot(shown, place, "o", color=INK, markersize=4)
    causes = ", ".join(gap.causes)
    # Words stand on the free side of a long bar.
    spot, side = (max(shown, 0) + 4, "left") if shown < 40 else (-4, "right")
    axes.text(spot, place, f"{gap.detail}: {causes}", va="center", ha=side, fontsize=7.5, color=INK)


def draw(evidence: Evidence) -> Figure | None:
    """Draw one rung per headline number of MobileInst itself."""
    gaps = own_gaps(evidence)
    if not gaps:
        return None
    figure = new_figure(10.5, 1.5 + 0.27 * len(gaps))
    axes = figure.subplots()
    for place, gap in enumerate(gaps):
        _rung(axes, place, gap)
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(range(len(gaps)), [gap.label for gap in gaps], fontsize=7.5)
    axes.set_ylim(len(gaps) - 0.4, -0.6)
    axes.set_xlim(-LIMIT_PERCENT, 1.3 * LIMIT_PERCENT)
    axes.set_xticks(range(-100, 101, 25))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("ours minus published, % of the published number (0 = as published; bars end at \u00b1 100 %)")
    axes.set_title("what is missing to the published numbers, and why")
    used = [cause for cause in LOOKS if any(gap.causes[0] == cause for gap in gaps)]
    handles = [Patch(facecolor=LOOKS[cause][0], edgecolor=INK, hatch=LOOKS[cause][1], label=cause) for cause in used]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure
