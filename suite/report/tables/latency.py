"""Latency on one core of the named host: every span, with counts and the ratio to the anchor."""

from __future__ import annotations

from dataclasses import replace

from suite.report.counterparts import is_prior_art
from suite.report.evidence import Evidence
from suite.report.host_ratio import short_cpu
from suite.report.measured import companion, counted, size_text
from suite.report.numbers import ratio
from suite.report.select import Cell
from suite.report.settle import ANCHOR
from suite.report.table import Column, Table, TableCell, text_cell, without_empty_columns
from suite.report.tables._parts import closing_notes, legend, number_column, record_cell

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


def _optional(cell: Cell | None) -> TableCell:
    """Return a further number of a row; the row's first number carries the marks for all."""
    return TableCell() if cell is None else replace(record_cell(cell), mark="")


def _ratio(evidence: Evidence, cell: Cell) -> TableCell:
    found = companion(evidence, cell, "latency_ratio_cpu")
    if found is None:
        return TableCell()
    interval = found.interval
    text = ratio(found.value) + (f" [{ratio(interval.low)}, {ratio(interval.high)}]" if interval else "")
    return TableCell(text, found.value, runs=found.run_ids)


def build(evidence: Evidence) -> Table:
    """Return one row per model, input size and span; milliseconds are per image, or per frame of a video."""
    columns = (
        Column("model"),
        number_column("input"),
        Column("clock covers"),
        number_column("CPU median ms"),
        number_column("wall median ms"),
        number_column("wall p90 ms"),
        number_column("CPU ratio to anchor [95 %]"),
        number_column("params M"),
        number_column("MACs G"),
        Column("weights"),
        Column("engine"),
        Column("core"),
    )
    rows = []
    for cell in host_cells(evidence):
        network = cell.get("span") == "network" and cell.get("key_frame_interval") is None
        weights = cell.samples[0].measurement.subject.weights_sha256
        rows.append(
            (
                text_cell(cell.model),
                text_cell(size_text(cell)),
                text_cell(span_label(cell)),
                record_cell(cell),
                _optional(companion(evidence, cell, "latency_wall_ms")),
                _optional(companion(evidence, cell, "latency_p90_wall_ms")),
                _ratio(evidence, cell),
                text_cell(counted(evidence, cell, "parameters") if network else ""),
                text_cell(counted(evidence, cell, "macs") if network else ""),
                text_cell("trained" if weights else "random"),
                text_cell(f"{cell.get('runtime')} {cell.get('precision')}"),
                text_cell(short_cpu(cell.machine.cpu)),
            )
        )
    table = without_empty_columns(
        Table("latency", "Latency measured here: one pinned core, one thread, batch 1", columns, tuple(rows))
    )
    notes = (
        "Ratios are CPU time over that of the same span of the anchor, the first model, timed in interleaved rounds of "
        "the same run (with masks: over the anchor's network, which makes them in any case; with T: over T = 1); their "
        "intervals cover timing noise of that run only.",
        "T = key-frame interval: mean per frame of a video whose kernels are computed on every T-th frame.",
        "A network's time does not depend on the values of its weights; paper-size models are timed with random ones. "
        "Postprocess does: random weights let almost every query through, which makes it long.",
        "These are milliseconds of this host; they say nothing about milliseconds of a phone.",
        *legend(table),
    )
    return replace(table, notes=closing_notes(evidence, *notes))
