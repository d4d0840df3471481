"""Time of a network by module, each bar with its speed as a share of a large matrix product's."""

from __future__ import annotations

from matplotlib.figure import Figure

from suite.report.evidence import Evidence
from suite.report.figures._style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, new_figure
from suite.report.measured import Layers, recorded_layers
from suite.report.models import display_name
from suite.report.numbers import milliseconds
from suite.report.timings import short_cpu

COLOURS = {"backbone": GREEN, "mask_decoder": BLUE, "instance_decoder": ORANGE, "mask_product": PURPLE}
SMALLEST_SHARE = 0.004
"""Modules below this share of the time are drawn as one."""


def _bars(found: Layers) -> list[tuple[str, float, str, str]]:
    """Return (module, ms, remark, colour) in order of execution, the small ones together at the end."""
    peak = found.number("product_gmacs_per_s")
    bars, small = [], 0.0
    for item in found.modules:
        if item.time_ms < SMALLEST_SHARE * found.total_ms:
            small += item.time_ms
            continue
        speed = f", {100 * item.gmacs_per_s / peak:.0f} %" if item.macs and peak else ""
        colour = COLOURS.get(item.module.split(".")[0], SKY)
        bars.append((item.module, item.time_ms, f"{milliseconds(item.time_ms)} ms{speed}", colour))
    if small:
        bars.append(("all smaller ones", small, f"{milliseconds(small)} ms", GREY))
    return bars


def draw(evidence: Evidence) -> Figure | None:
    """Draw the breakdown recorded last; None where there is none."""
    all_found = recorded_layers(evidence)
    if not all_found:
        return None
    found = max(all_found, key=lambda item: (item.run.started_utc, item.run.run_id))
    bars = _bars(found)
    figure = new_figure(7.6, 1.4 + 0.24 * len(bars))
    axes = figure.subplots()
    longest = max(time_ms for _, time_ms, _, _ in bars)
    for place, (_, time_ms, remark, colour) in enumerate(bars):
        axes.barh(place, time_ms, color=colour, height=0.7)
        axes.text(time_ms + longest * 0.01, place, remark, va="center", fontsize=7.5)
    axes.set_yticks(range(len(bars)), [name for name, *_ in bars], fontsize=7.5)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, longest * 1.25)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(
        "ms; %: direct MACs a second over those of a large matrix product (Winograd: above 100)"
        f"\n{display_name(found.model)}, {found.size}, {short_cpu(found.run.machine.cpu)}, one core"
    )
    axes.set_title("Where every millisecond goes, in order of execution")
    return figure
