"""Latency on one core of the named host: every span, with the ratio to the anchor."""

from __future__ import annotations

from dataclasses import replace

from suite.report.cells import Cell
from suite.report.evidence import Evidence
from suite.report.measured import companion
from suite.report.models import ANCHOR, display_name, is_prior_art
from suite.report.numbers import interval_text, ratio
from suite.report.table import Row, Table, TableCell, make_table, record_cell
from suite.report.tables._parts import origin
from suite.report.timings import short_cpu

IN_PAPER = True
SPAN_LABELS = {
    "network": "network",
    "with_masks": "network with masks",
    "preprocess": "preprocess",
    "postprocess": "postprocess",
    "selection": "selection of detections",
    "end_to_end": "end to end",
}


def host_cells(evidence: Evidence) -> list[Cell]:
    """Return the CPU latencies of all spans on the host, the anchor's first, then by model, size, span and T.

    Prior art has a table of its own.
    """
    spans = list(SPAN_LABELS)

    def order(cell: Cell) -> tuple[object, ...]:
        span, interval = str(cell.get("span")), cell.get("key_frame_interval")
        place = spans.index(span) if span in spans else len(spans)
        size = tuple(-side for side in (cell.get("height_px"), cell.get("width_px")) if isinstance(side, int))
        return (cell.model != ANCHOR, cell.model, size, place, span, interval if isinstance(interval, int) else 0)

    cells = evidence.find("latency_cpu_ms", protocol={"device": "host"})
    return sorted((cell for cell in cells if not is_prior_art(cell.model)), key=order)


def span_label(cell: Cell) -> str:
    """Return what the clock covered, with T where frames of a video were timed."""
    span, interval = str(cell.get("span")), cell.get("key_frame_interval")
    return SPAN_LABELS.get(span, span) + (f", T = {interval}" if interval is not None else "")


def _ratio(cell: Cell | None) -> TableCell:
    if cell is None:
        return TableCell()
    interval = cell.interval
    text = interval_text(cell.value, interval.low, interval.high) if interval else ratio(cell.value)
    return TableCell(text, cell.value, runs=cell.run_ids)


def _row(evidence: Evidence, cell: Cell) -> Row:
    weights = cell.samples[0].measurement.subject.weights_sha256
    return {
        "model": display_name(cell.model),
        "input": cell.size,
        "clock covers": span_label(cell),
        "CPU median ms": record_cell(cell),
        # The row's first number carries the marks for all.
        "wall median ms": replace(record_cell(companion(evidence, cell, "latency_wall_ms")), mark=""),
        "wall p90 ms": replace(record_cell(companion(evidence, cell, "latency_p90_wall_ms")), mark=""),
        "CPU ratio to anchor [95 %]": _ratio(companion(evidence, cell, "latency_ratio_cpu")),
        "weights": "trained" if weights else "random",
        "engine": f"{cell.get('runtime')} {cell.get('precision')}",
        "core": short_cpu(cell.machine.cpu),
    }


def build(evidence: Evidence) -> Table:
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
    rows = [_row(evidence, cell) for cell in host_cells(evidence)]
    title = "Latency measured here: one pinned core, one thread, batch 1"
    return make_table("latency", title, rows, notes, origin=origin(evidence))
