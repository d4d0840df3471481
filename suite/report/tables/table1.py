"""The paper's Table 1: COCO accuracy and phone latency, with what was measured here beside it."""

from __future__ import annotations

from suite.claims.claim import SNAPDRAGON
from suite.report.evidence import Evidence
from suite.report.numbers import CLAIM_METRICS
from suite.report.table import Row, Table, TableCell, make_table
from suite.report.tables._parts import (
    latency_cells,
    method_cell,
    origin,
    our_accuracy,
    published_cells,
    published_doubts,
)

IN_PAPER = True
ACCURACY = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
ANCHOR_ROW = "table1/mobileinst-topformer-base-640"


def build(evidence: Evidence) -> Table:
    """Return Table 1: published columns as printed, our columns with the reason for every missing cell."""
    rows: list[Row] = []
    first = {claim.row_id: claim for claim in reversed(evidence.claims) if claim.row_id.startswith("table1/")}
    for row_id, claim in reversed(first.items()):
        rows.append(
            {
                "method": method_cell(claim),
                "backbone": claim.backbone,
                "size": TableCell(str(claim.short_side_px or ""), claim.short_side_px),
                **published_cells(
                    evidence,
                    {
                        "778G ms": f"{row_id}/{SNAPDRAGON}",
                        **{CLAIM_METRICS[name]: f"{row_id}/{name}" for name in ACCURACY},
                    },
                ),
                **latency_cells(evidence, row_id, ANCHOR_ROW),
                "ours: AP": our_accuracy(evidence, row_id),
            }
        )
    notes = (
        "Published numbers as printed, best in bold. Latency / MobileInst divides by MobileInst TopFormer-Base 640.",
        "Host milliseconds are CPU time of one core here with random weights; they are not "
        "comparable with the phone's, ratios are to a degree.",
        *published_doubts(evidence, "table1"),
    )
    return make_table(
        "table1",
        "Table 1 of the paper (COCO test-dev, one core of a Snapdragon 778G), and what was measured here",
        rows,
        notes,
        {"published: 778G ms": False} | {f"published: {CLAIM_METRICS[name]}": True for name in ACCURACY},
        origin(evidence),
    )
