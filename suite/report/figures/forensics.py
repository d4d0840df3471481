"""Published latencies over those predicted from two constants, for each way to read each row; inference."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from suite.claims.latency_fit import Fit, fit_constants, load_readings, load_reconstructions
from suite.report.evidence import Evidence
from suite.report.figures._style import BLUE, GREEN, GREY, PALE, VERMILION, new_figure

TICKS = (0.5, 0.7, 1.0, 1.4, 2.0, 3.0, 4.0)


@dataclass(frozen=True)
class Dot:
    """One reading: published over predicted, and what it is (``fitted``, ``ours``, ``default`` or ``other``)."""

    value: float
    kind: str


STYLES = {
    "fitted": (GREEN, "D", 6, "fitted: input shape certain"),
    "default": (BLUE, "o", 6, "reading that the suite times"),
    "other": (GREY, "o", 3.5, "other readings and reconstructions"),
    "ours": (VERMILION, "*", 10, "MobileInst as reconstructed here"),
}


def rows_of_dots(evidence: Evidence) -> tuple[Fit, dict[str, list[Dot]]] | None:
    """Return the fit and every published row's readings, prior art first; None where nothing can be fitted."""
    readings = load_readings(evidence.claims)
    if len([reading for reading in readings if reading.certain]) < 3:
        return None
    fit = fit_constants(readings)
    rows: dict[str, list[Dot]] = {}
    for reading in readings:
        kind = "fitted" if reading.certain else "default" if reading.default else "other"
        rows.setdefault(reading.row_id, []).append(Dot(reading.published_ms / fit.predict(reading), kind))
    for one in load_reconstructions(evidence.claims):
        kind = "ours" if one.ours else "other"
        dots = rows.setdefault(one.reading.row_id, [])
        dots.append(Dot(one.reading.published_ms / fit.predict(one.reading), kind))
    return fit, rows


def _label(evidence: Evidence, row_id: str) -> str:
    claim = next(claim for claim in evidence.claims if claim.row_id == row_id and claim.metric.startswith("latency_sn"))
    size = f" {claim.short_side_px}" if claim.short_side_px else " video" if row_id.startswith("table2/") else ""
    return f"{claim.method} {claim.backbone}{size}: {claim.text} ms"


def draw(evidence: Evidence) -> Figure | None:
    """Draw one line per published latency; None where the claims hold too few of certain shape."""
    found = rows_of_dots(evidence)
    if found is None:
        return None
    fit, rows = found
    figure = new_figure(7.6, 1.6 + 0.25 * len(rows))
    axes = figure.subplots()
    axes.axvspan(1 / (1 + fit.tolerance), 1 / (1 - fit.tolerance), color=PALE, zorder=0)
    axes.axvline(1.0, color=GREY, linewidth=0.8)
    for place, dots in enumerate(rows.values()):
        for kind in ("other", "default", "fitted", "ours"):
            colour, marker, size, label = STYLES[kind]
            values = [dot.value for dot in dots if dot.kind == kind]
            if values:
                axes.plot(values, [place] * len(values), marker, color=colour, markersize=size, label=label, alpha=0.9)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.set_yticks(range(len(rows)), [_label(evidence, row_id) for row_id in rows], fontsize=7.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(
        f"published / predicted latency; {fit.dense:.1f} ms per dense 3x3 GMAC, {fit.other:.1f} ms per other\n"
        f"grey band: trusted to {100 * fit.tolerance:.0f} %; inference, not measurement"
    )
    axes.set_title("Which reading fits the published latency")
    handles, names = axes.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    figure.legend(list(unique.values()), list(unique), loc="outside lower center", ncols=2)
    return figure
