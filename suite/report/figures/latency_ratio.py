"""Published latency ratios beside the same ratios on this host: what another core can test of the latency claims."""

from __future__ import annotations

from matplotlib.figure import Figure

from suite.report.evidence import Evidence
from suite.report.figures._style import BLUE, GREY, PAGE_IN, VERMILION, new_figure


def draw(evidence: Evidence) -> Figure | None:
    """Draw one line per ratio claim that was measured: published value, ours with its interval."""
    rows = [row for row in evidence.verdicts.values() if row.claim.kind == "ratio" and row.ours is not None]
    if not rows:
        return None
    figure = new_figure(PAGE_IN, 1.2 + 0.27 * len(rows))
    axes = figure.subplots()
    for place, row in enumerate(rows):
        assert row.ours is not None
        low, high = row.interval or (row.ours, row.ours)
        axes.plot([row.claim.value, row.ours], [place, place], color=GREY, linewidth=0.8, zorder=1)
        axes.plot(row.claim.value, place, "D", color=VERMILION, markersize=5, label="published, Snapdragon 778G")
        errors = [[row.ours - low], [high - row.ours]]
        axes.errorbar(row.ours, place, xerr=errors, fmt="o", color=BLUE, capsize=3, label="measured, one core here")
    axes.set_yticks(range(len(rows)), [row.claim.statement for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.axvline(1.0, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xlabel("latency ratio; bars: 95 % interval of timing noise")
    axes.set_title("Latency ratios, published and on this host")
    handles, names = axes.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    figure.legend(list(unique.values()), list(unique), loc="outside lower center", ncols=2)
    return figure
