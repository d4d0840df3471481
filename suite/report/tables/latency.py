"""Latency on one core of the named host: every span, with the ratio to the anchor."""

from __future__ import annotations

from dataclasses import replace

from suite.report.cells import Cell, short_cpu
from suite.report.evidence import Evidence
from suite.report.models import display_name, entries
from suite.report.table import Row, Table, make_table, ratio_cell, record_cell
from suite.report.tables.later import load_later

ANCHOR = "mobileinst_topformer_base_640"
"""MobileInst's main row, which comes first."""
SPAN_LABELS = {
    "network": "network",
    "with_masks": "network with masks",
    "preprocess": "preprocess",
    "postprocess": "postprocess",
    "selection": "selection of detections",
    "end_to_end": "end to end",
}


def _host_cells(evidence: Evidence) -> list[Cell]:
    """Return the CPU latencies of all spans on the host, the anchor's first, then by model, size, span and T.

    Prior art and later segmenters have tables of their own.
    """
    spans = list(SPAN_LABELS)

    def order(cell: Cell) -> tuple[object, ...]:
        span = str(cell.get("span"))
        place = spans.index(span) if span in spans else len(spans)
        size = tuple(-side for side in (cell.get("height_px"), cell.get("width_px")) if isinstance(side, int))
        return cell.model != ANCHOR, cell.model, size, place, span, cell.frames

    elsewhere = {name for name, entry in entries().items() if entry.reading} | {row.model for row in load_later()}
    cells = evidence.find("latency_cpu_ms", protocol={"device": "host"})
    return sorted((cell for cell in cells if cell.model not in elsewhere), key=order)


def _row(evidence: Evidence, cell: Cell) -> Row:
    span, ratio = str(cell.get("span")), evidence.companion(cell, "latency_ratio_cpu")
    return {
        "model": display_name(cell.model),
        "input": cell.size,
        "clock covers": SPAN_LABELS.get(span, span) + (f", T = {cell.frames}" if cell.frames else ""),
        "CPU median ms": record_cell(cell),
        # The row's first number carries the marks for all.
        "wall median ms": replace(record_cell(evidence.companion(cell, "latency_wall_ms")), mark=""),
        "wall p90 ms": replace(record_cell(evidence.companion(cell, "latency_p90_wall_ms")), mark=""),
        "CPU ratio to anchor [95 %]": ratio_cell(ratio.value, ratio.interval, ratio.run_ids) if ratio else "",
        "weights": "trained" if cell.samples[0].measurement.subject.weights_sha256 else "random",
        "engine": f"{cell.get('runtime')} {cell.get('precision')}",
        "core": short_cpu(cell.cpu),
    }


def latency(evidence: Evidence) -> Table:
    """Return one row per model, input size and span; milliseconds are per image, or per frame of a video."""
    notes = (
        "Ratios are CPU time over that of the same span of the anchor, the first model, timed in interleaved rounds of "
        "the same run (with masks: over the anchor's network, which makes them in any case; with T: over T = 1); their "
        "intervals cover timing noise of that run only.",
        "T = key-frame interval: mean per frame of a video whose kernels are computed on every T-th frame.",
        "A network's time does not depend on the values of its weights; paper-size models are timed with random ones. "
        "Postprocess does: random weights let almost every query through, which makes it long.",
        "These are milliseconds of this host; they say nothing about milliseconds of a phone.",
    )
    rows = [_row(evidence, cell) for cell in _host_cells(evidence)]
    title = "Latency measured here: one pinned core, one thread, batch 1"
    return make_table("latency", title, rows, notes, origin=evidence.origin)
