"""The paper's Table 1: COCO accuracy and phone latency, with what was measured here beside it."""

from __future__ import annotations

from dataclasses import replace

from suite.report.evidence import Evidence
from suite.report.table import Column, Table, TableCell, missing, text_cell, with_best_in_bold
from suite.report.tables._parts import (
    closing_notes,
    host_latency,
    host_relative,
    legend,
    number_column,
    published_cell,
    published_doubts,
)
from suite.report.verdicts import judge

SNAPDRAGON = "latency_snapdragon_778g_ms"
ACCURACY = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "ap_small": "AP_S", "ap_medium": "AP_M", "ap_large": "AP_L"}
ANCHOR_ROW = "table1/mobileinst-topformer-base-640"


def relative_latency(evidence: Evidence, row_id: str, anchor_row: str) -> TableCell:
    """Return the published latency of a row over that of the anchor's row."""
    own, anchor = (evidence.claim(f"{row}/{SNAPDRAGON}") for row in (row_id, anchor_row))
    if own is None or anchor is None:
        return missing("no latency is printed")
    return TableCell(f"{own.value / anchor.value:.2f}", own.value / anchor.value)


def our_accuracy(evidence: Evidence, row_id: str) -> TableCell:
    """Return our, or somebody else's, AP for a published row, else why there is none."""
    claim = evidence.claim(f"{row_id}/ap")
    if claim is None:
        return missing("no AP is printed")
    verdict = judge(claim, evidence)
    if verdict.ours is None:
        return missing(verdict.reason)
    note = verdict.rule or "third party, on val2017; ours " + verdict.reason
    mark = {"third-party": "t", "server": "s", "estimated": "e"}.get(verdict.origin or "", "")
    runs = tuple(run for cell in verdict.cells for run in cell.run_ids)
    return TableCell(f"{verdict.ours:.1f}", verdict.ours, mark=mark, note=note, runs=runs)


def build(evidence: Evidence) -> Table:
    """Return Table 1: published columns as printed, our columns with the reason for every missing cell."""
    columns = (
        Column("method"),
        Column("backbone"),
        number_column("size"),
        number_column("778G ms", "published", higher_is_better=False),
        *(number_column(label, "published", higher_is_better=True) for label in ACCURACY.values()),
        number_column("latency / MobileInst", "published"),
        number_column("latency / MobileInst", "ours"),
        number_column("host CPU ms", "ours"),
        number_column("AP", "ours"),
    )
    rows = []
    row_ids = dict.fromkeys(claim.row_id for claim in evidence.claims if claim.row_id.startswith("table1/"))
    for row_id in row_ids:
        first = next(claim for claim in evidence.claims if claim.row_id == row_id)
        method = first.method + (" (re-implemented by the authors)" if first.reimplemented else "")
        rows.append(
            (
                text_cell(method),
                text_cell(first.backbone),
                TableCell(str(first.short_side_px or ""), first.short_side_px),
                published_cell(evidence.claim(f"{row_id}/{SNAPDRAGON}")),
                *(published_cell(evidence.claim(f"{row_id}/{metric}")) for metric in ACCURACY),
                relative_latency(evidence, row_id, ANCHOR_ROW),
                host_relative(evidence, row_id, ANCHOR_ROW),
                host_latency(evidence, row_id),
                our_accuracy(evidence, row_id),
            )
        )
    title = "Table 1 of the paper (COCO test-dev, one core of a Snapdragon 778G), and what was measured here"
    table = with_best_in_bold(Table("table1", title, columns, tuple(rows)))
    notes = (
        "Published numbers as printed, best in bold. Latency / MobileInst divides by MobileInst TopFormer-Base 640.",
        "Host milliseconds are CPU time of one core of the machine named below with random weights; they are not "
        "comparable with the phone's, ratios are to a degree.",
        *published_doubts(evidence, "table1"),
        *legend(table),
    )
    return replace(table, notes=closing_notes(evidence, *notes))
