"""The latency rows of Tables 1 and 2 re-measured: published and measured ratios side by side, in every reading."""

from __future__ import annotations

from suite.report.evidence import Evidence
from suite.report.models import display_name
from suite.report.numbers import interval_text
from suite.report.prior_art import PriorArtRow, orderings, prior_art_rows
from suite.report.table import Row, Table, TableCell, make_table, missing, record_cell
from suite.report.tables._parts import closing_notes
from suite.report.timings import MAIN_ENGINE

ENGINES = (MAIN_ENGINE, "ncnn")
"""ncnn is the closest well-kept relative of the paper's engine."""
DOUBTS = (
    "Published latencies are those of the AAAI version on one core of a Snapdragon 778G. arXiv v1 prints others. TNN's "
    "precision is not stated (its default on ARM prefers fp16) and no input shape is: shapes here are inferred.",
    "Mask2Former's row is lightened: no graph with its six deformable encoder layers fits the published time, so the "
    "default reading has none, which is also the reading most favourable to the rival.",
    "Graphs are rebuilt from public facts with random weights: times and counts are theirs, accuracy is not.",
)


def _yes_or_no(holds: bool | None, unknown: str) -> str:
    return unknown if holds is None else "yes" if holds else "no"


def _ratio(row: PriorArtRow) -> TableCell:
    found = row.ratio
    if found is None:
        return missing("" if row.masks is None else "not timed in one run with MobileInst")
    if row.published_ratio == 1 and row.default:
        return TableCell("1", 1.0)
    return TableCell(interval_text(found.value, found.low, found.high), found.value)


def _row(row: PriorArtRow, engine: str) -> Row:
    unknown = "" if row.ratio is None or row.published_ratio == 1 else "within noise"
    return {
        "method": row.entry.method,
        "backbone": row.entry.backbone,
        "reading": ("" if row.default else "or: ") + row.reading,
        "input": f"{row.size[0]}x{row.size[1]}",
        "engine": engine,
        "published: 778G ms": TableCell(f"{row.published_ms:.0f}", row.published_ms),
        "published: / MobileInst": TableCell(f"{row.published_ratio:.2f}", row.published_ratio),
        "published: MobileInst at half": "yes" if row.half_published else "no",
        "measured here: CPU ms with masks": record_cell(row.masks, row.reason),
        "measured here: / MobileInst [95 %]": _ratio(row),
        "measured here: MobileInst at half": _yes_or_no(row.half_measured, unknown),
        "measured here: order holds": _yes_or_no(row.order_holds, unknown),
        "measured here: network ms": record_cell(row.network),
        "measured here: selection ms": record_cell(row.selection),
    }


def _half_notes(rows: list[PriorArtRow]) -> list[str]:
    """Say against which rivals "half the latency" is claimed, and whether it holds here, reading by reading."""
    lines = []
    for table, title in (("table1/", "COCO"), ("table2/", "video")):
        words = []
        for row in (row for row in rows if row.row_id.startswith(table) and row.half_published):
            outcome = {True: "holds", False: "does not hold", None: "not decided"}[row.half_measured]
            value = f" ({row.ratio.value:.2f} times)" if row.ratio else ""
            words.append(f"{display_name(row.entry.name)} at {row.size[0]}x{row.size[1]}: {outcome}{value}")
        if words:
            lines.append(
                f"Half of the rival's latency, {title}, where the printed numbers give it: {'; '.join(words)}."
            )
    return lines


def build(evidence: Evidence) -> Table:
    """Return one row per published latency, reading and engine that timed any of them; the main engine's always."""
    rows: list[Row] = []
    notes = []
    for engine in ENGINES:
        if engine != MAIN_ENGINE and not evidence.timings.clocked(engine):
            continue
        found = prior_art_rows(evidence, engine)
        rows += [_row(row, engine) for row in found]
        counts = [count for count in orderings(evidence, found, engine) if count.pairs]
        held = ", ".join(f"{count.held} of {count.pairs} in {count.title}" for count in counts)
        notes += [f"Pairwise orderings of the default readings that hold here on {engine}: {held}."] if held else []
        notes += _half_notes(found)
    notes += [
        "Ratios divide by MobileInst TopFormer-Base of the same table, timed in interleaved "
        "rounds of the same run; intervals cover timing noise of that run.",
        "With masks = image to the masks of 100 instances; network = up to the heads, where a method stops there. "
        "Selection = thresholds, top-k, suppression and mask scores on synthetic scores, in NumPy; upsampling to the "
        "picture is outside for all.",
        "A row has its default reading first; lines beginning with or: read the same published number differently.",
        *DOUBTS,
    ]
    title = "Every latency row of Tables 1 and 2 re-measured on one core (fp32), in every reading"
    return make_table("prior_art", title, rows, closing_notes(evidence, *notes))
