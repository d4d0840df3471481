"""The latency rows of Tables 1 and 2 re-measured: published and measured ratios side by side, in every reading."""

from __future__ import annotations

from typing import Any

import pandas as pd

from suite.report.evidence import Evidence
from suite.report.models import display_name
from suite.report.numbers import interval_text
from suite.report.prior_art import orderings, prior_art_rows, records
from suite.report.table import Row, Table, TableCell, make_table, missing, record_cell
from suite.report.tables._parts import origin
from suite.report.timings import MAIN_ENGINE

ENGINES = (MAIN_ENGINE, "ncnn")
"""ncnn is the closest well-kept relative of the paper's engine."""
NOTES = (
    "Ratios divide by MobileInst TopFormer-Base of the same table, timed in interleaved "
    "rounds of the same run; intervals cover timing noise of that run.",
    "With masks = image to the masks of 100 instances; network = up to the heads, where a method stops there. "
    "Selection = thresholds, top-k, suppression and mask scores on synthetic scores, in NumPy; upsampling to the "
    "picture is outside for all.",
    "A row has its default reading first; lines beginning with or: read the same published number differently.",
    "Published latencies are those of the AAAI version on one core of a Snapdragon 778G. arXiv v1 prints others. TNN's "
    "precision is not stated (its default on ARM prefers fp16) and no input shape is: shapes here are inferred.",
    "Mask2Former's row is lightened: no graph with its six deformable encoder layers fits the published time, so the "
    "default reading has none, which is also the reading most favourable to the rival.",
    "Graphs are rebuilt from public facts with random weights: times and counts are theirs, accuracy is not.",
)


def _row(row: Any, engine: str) -> Row:
    """Return one row of `prior_art_rows` as cells."""
    alone = row.published_ratio == 1
    unknown = "" if row.ratio is None or alone else "within noise"
    words = {True: "yes", False: "no", None: unknown}
    ratio = missing("" if row.masks is None else "not timed in one run with MobileInst")
    if row.ratio is not None:
        text = interval_text(row.ratio.value, row.ratio.low, row.ratio.high)
        ratio = TableCell("1", 1.0) if alone and row.default else TableCell(text, row.ratio.value)
    return {
        "method": row.entry.method,
        "backbone": row.entry.backbone,
        "reading": ("" if row.default else "or: ") + row.reading,
        "input": f"{row.clock.height_px}x{row.clock.width_px}",
        "engine": engine,
        "published: 778G ms": TableCell(f"{row.published_ms:.0f}", row.published_ms),
        "published: / MobileInst": TableCell(f"{row.published_ratio:.2f}", row.published_ratio),
        "published: MobileInst at half": "yes" if row.half_published else "no",
        "measured here: CPU ms with masks": record_cell(row.masks, row.reason),
        "measured here: / MobileInst [95 %]": ratio,
        "measured here: MobileInst at half": words[row.half_measured],
        "measured here: order holds": words[row.order_holds],
        "measured here: network ms": record_cell(row.network),
        "measured here: selection ms": record_cell(row.selection),
    }


def _half_notes(rows: pd.DataFrame) -> list[str]:
    """Say against which rivals "half the latency" is claimed, and whether it holds here, reading by reading."""
    lines = []
    for table, title in (("table1", "COCO"), ("table2", "video")):
        words = []
        for row in records(rows):
            if row.table == table and row.half_published:
                outcome = {True: "holds", False: "does not hold", None: "not decided"}[row.half_measured]
                value = f" ({row.ratio.value:.2f} times)" if row.ratio else ""
                size = f"{row.clock.height_px}x{row.clock.width_px}"
                words.append(f"{display_name(row.entry.name)} at {size}: {outcome}{value}")
        if words:
            lines.append(
                f"Half of the rival's latency, {title}, where the printed numbers give it: {'; '.join(words)}."
            )
    return lines


def build(evidence: Evidence) -> Table:
    """Return one row per published latency, reading and engine that timed any of them; the main engine's always."""
    rows: list[Row] = []
    notes: list[str] = []
    for engine in ENGINES:
        if engine == MAIN_ENGINE or evidence.timings.clocked(engine):
            found = prior_art_rows(evidence, engine)
            rows += [_row(row, engine) for row in records(found)]
            counts = orderings(evidence, found, engine)
            held = ", ".join(f"{row.held} of {row.pairs} in {row.title}" for row in records(counts) if row.pairs)
            notes += [f"Pairwise orderings of the default readings that hold here on {engine}: {held}."] * bool(held)
            notes += _half_notes(found)
    title = "Every latency row of Tables 1 and 2 re-measured on one core (fp32), in every reading"
    return make_table("prior_art", title, rows, (*notes, *NOTES), origin=origin(evidence))
