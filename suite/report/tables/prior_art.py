"""The latency rows of Tables 1 and 2 re-measured: published and measured ratios side by side, in every reading."""

from __future__ import annotations

from dataclasses import replace

from suite.report.evidence import Evidence
from suite.report.host_ratio import MAIN_ENGINE
from suite.report.numbers import milliseconds, ratio, scaled
from suite.report.prior_art import PriorArtRow, orderings, prior_art_rows
from suite.report.select import Cell
from suite.report.table import Column, Table, TableCell, missing, text_cell, without_empty_columns
from suite.report.tables._parts import closing_notes, legend, number_column

DOUBTS = (
    "Published latencies are those of the AAAI version on one core of a Snapdragon 778G. arXiv v1 prints others. TNN's "
    "precision is not stated (its default on ARM prefers fp16) and no input shape is: shapes here are inferred.",
    "Mask2Former's row is lightened: no graph with its six deformable encoder layers fits the published time, so the "
    "default reading has none, which is also the reading most favourable to the rival.",
    "Graphs are rebuilt from public facts with random weights: times and counts are theirs, accuracy is not.",
)


def _ms(cell: Cell | None, note: str = "") -> TableCell:
    if cell is None:
        return missing(note)
    return TableCell(milliseconds(cell.value), cell.value, mark="†" if cell.dirty else "", runs=cell.run_ids)


def _word(holds: bool | None, unknown: str) -> TableCell:
    return text_cell(unknown if holds is None else "yes" if holds else "no")


def _cells(row: PriorArtRow) -> tuple[TableCell, ...]:
    found = row.ratio
    own = found is not None and row.published_ratio == 1 and row.default
    if own:
        measured = TableCell("1", 1.0)
    elif found is not None:
        measured = TableCell(f"{ratio(found.value)} [{ratio(found.low)}, {ratio(found.high)}]", found.value)
    else:
        measured = missing("" if row.masks is None else "not timed in one run with MobileInst")
    unknown = "" if found is None or row.published_ratio == 1 else "within noise"
    return (
        text_cell(row.entry.method),
        text_cell(row.entry.backbone),
        text_cell(("" if row.default else "or: ") + row.reading),
        text_cell(f"{row.size[0]}x{row.size[1]}"),
        TableCell(f"{row.published_ms:.0f}", row.published_ms),
        TableCell(f"{row.published_ratio:.2f}", row.published_ratio),
        text_cell("yes" if row.half_published else "no"),
        _ms(row.masks, row.reason),
        measured,
        _word(row.half_measured, unknown),
        _word(row.order_holds, unknown),
        _ms(row.network),
        _ms(row.selection),
        text_cell("" if row.parameters is None else scaled(row.parameters, 1e6)),
        text_cell("" if row.macs is None else scaled(row.macs, 1e9)),
    )


def _half_notes(rows: list[PriorArtRow]) -> list[str]:
    """Say against which rivals "half the latency" is claimed, and whether it holds here, reading by reading."""
    lines = []
    for table, title in (("table1/", "COCO"), ("table2/", "video")):
        claimed = [row for row in rows if row.row_id.startswith(table) and row.half_published]
        words = []
        for row in claimed:
            outcome = {True: "holds", False: "does not hold", None: "not decided"}[row.half_measured]
            value = f" ({row.ratio.value:.2f} times)" if row.ratio else ""
            words.append(f"{row.entry.name} at {row.size[0]}x{row.size[1]}: {outcome}{value}")
        if words:
            lines.append(
                f"Half of the rival's latency, {title}, where the printed numbers give it: {'; '.join(words)}."
            )
    return lines


def build_for(evidence: Evidence, engine: str, name: str) -> Table:
    """Return the table for one engine.

    Args:
        evidence: claims and records.
        engine: runtime of the networks, as records name it.
        name: the table's file name.
    """
    rows = prior_art_rows(evidence, engine)
    columns = (
        Column("method"),
        Column("backbone"),
        Column("reading"),
        number_column("input"),
        number_column("778G ms", "published"),
        number_column("/ MobileInst", "published"),
        Column("MobileInst at half", "published"),
        number_column("CPU ms with masks", "measured here"),
        number_column("/ MobileInst [95 %]", "measured here"),
        Column("MobileInst at half", "measured here"),
        Column("order holds", "measured here"),
        number_column("network ms", "measured here"),
        number_column("selection ms", "measured here"),
        number_column("params M"),
        number_column("MACs G"),
    )
    title = f"Every latency row of Tables 1 and 2 re-measured on one core ({engine}, fp32), in every reading"
    table = without_empty_columns(Table(name, title, columns, tuple(_cells(row) for row in rows)))
    held = [
        f"{count.held} of {count.pairs} in {count.title}" for count in orderings(evidence, rows, engine) if count.pairs
    ]
    notes = (
        *([f"Pairwise orderings of the default readings that hold here: {', '.join(held)}."] if held else []),
        *_half_notes(rows),
        "Ratios divide by MobileInst TopFormer-Base of the same table, timed in interleaved "
        "rounds of the same run; intervals cover timing noise of that run.",
        "With masks = image to the masks of 100 instances; network = up to the heads, where a method stops there. "
        "Selection = thresholds, top-k, suppression and mask scores on synthetic scores, in NumPy; upsampling to the "
        "picture is outside for all.",
        "A row has its default reading first; lines beginning with or: read the same published number differently.",
        *DOUBTS,
        *legend(table),
    )
    return replace(table, notes=closing_notes(evidence, *notes))


def build(evidence: Evidence) -> Table:
    """Return the table of the suite's main engine."""
    return build_for(evidence, MAIN_ENGINE, "prior_art")
