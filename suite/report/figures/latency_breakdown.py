"""Where the time of one image goes on this host: preprocess, network, postprocess."""

from __future__ import annotations

from matplotlib.figure import Figure

from suite.report.cells import Cell
from suite.report.evidence import Evidence
from suite.report.figures._style import BLUE, ORANGE, SKY, new_figure
from suite.report.measured import companion, network_cells
from suite.report.models import display_name
from suite.report.numbers import milliseconds
from suite.report.timings import MAIN_ENGINE, short_cpu

SPANS = (("preprocess", SKY, "//"), ("network", BLUE, ""), ("postprocess", ORANGE, ".."))


def _weights(cell: Cell) -> str:
    """Say so where weights are random: postprocess then has to treat almost every query."""
    return ", random weights" if cell.samples[0].measurement.subject.weights_sha256 is None else ", trained"


def draw(evidence: Evidence) -> Figure | None:
    """Draw one bar per model whose three spans were all timed, each span as its share, with milliseconds written in."""
    rows = []
    for cell in (cell for cell in network_cells(evidence) if cell.get("runtime") == MAIN_ENGINE):
        spans = [
            cell if name == "network" else companion(evidence, cell, "latency_cpu_ms", any_engine=True, span=name)
            for name, _, _ in SPANS
        ]
        found = [span for span in spans if span is not None]
        if len(found) == len(SPANS):
            rows.append((cell, [span.value for span in found]))
    if not rows:
        return None
    figure = new_figure(7.6, 1.4 + 0.5 * len(rows))
    axes = figure.subplots()
    for place, (_, values) in enumerate(rows):
        total, left = sum(values), 0.0
        for (name, colour, hatch), value in zip(SPANS, values, strict=True):
            share = 100 * value / total
            axes.barh(place, share, left=left, color=colour, hatch=hatch, edgecolor="white", height=0.62, label=name)
            if share > 7:
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1}
                axes.text(left + share / 2, place, milliseconds(value), ha="center", va="center", fontsize=8, bbox=box)
            left += share
        axes.text(101, place, f"{milliseconds(total)} ms", va="center", fontsize=8)
    labels = [f"{display_name(cell.model)}\n{cell.size}{_weights(cell)}" for cell, _ in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 113)
    axes.set_xticks(range(0, 101, 20))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"% of CPU time per image; milliseconds in the bars\n{short_cpu(rows[0][0].machine.cpu)}, one core")
    axes.set_title("Where the time goes")
    handles, names = axes.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    figure.legend(list(unique.values()), list(unique), loc="outside lower center", ncols=3)
    return figure
