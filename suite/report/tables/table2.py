"""The paper's Table 2: YouTube-VIS 2019 and 2021, with what was measured here beside it."""

from __future__ import annotations

from dataclasses import replace

from suite.claims.claim import slug
from suite.report.evidence import Evidence
from suite.report.table import Column, Table, TableCell, text_cell, with_best_in_bold
from suite.report.tables._parts import (
    closing_notes,
    host_latency,
    host_relative,
    legend,
    number_column,
    published_cell,
    published_doubts,
)
from suite.report.tables.table1 import SNAPDRAGON, our_accuracy, relative_latency

YEARS = ("2019", "2021")
ACCURACY = {"ap": "AP", "ap50": "AP50", "ap75": "AP75", "ar1": "AR1"}
ANCHOR_ROW = "table2/2019/mobileinst-topformer-base"


def build(evidence: Evidence) -> Table:
    """Return Table 2, one row per method and backbone, both years side by side."""
    columns = (
        Column("method"),
        Column("backbone"),
        number_column("2080 Ti ms", "published", higher_is_better=False),
        number_column("778G ms", "published", higher_is_better=False),
        *(
            number_column(label, f"YouTube-VIS {year}, published", higher_is_better=True)
            for year in YEARS
            for label in ACCURACY.values()
        ),
        number_column("latency / MobileInst", "published"),
        number_column("latency / MobileInst", "ours"),
        number_column("host CPU ms", "ours"),
        number_column("AP 2019", "ours"),
        number_column("AP 2021", "ours"),
    )
    rows: list[tuple[TableCell, ...]] = []
    names = dict.fromkeys(
        (claim.method, claim.backbone, claim.reimplemented)
        for claim in evidence.claims
        if claim.row_id.startswith("table2/")
    )
    for method, backbone, reimplemented in names:
        ids = {year: f"table2/{year}/{slug(method, backbone)}" for year in YEARS}
        rows.append(
            (
                text_cell(method + (" (re-implemented by the authors)" if reimplemented else "")),
                text_cell(backbone),
                published_cell(evidence.claim(f"{ids['2019']}/latency_rtx_2080_ti_ms")),
                published_cell(evidence.claim(f"{ids['2019']}/{SNAPDRAGON}")),
                *(published_cell(evidence.claim(f"{ids[year]}/{metric}")) for year in YEARS for metric in ACCURACY),
                relative_latency(evidence, ids["2019"], ANCHOR_ROW),
                host_relative(evidence, ids["2019"], ANCHOR_ROW),
                host_latency(evidence, ids["2019"]),
                *(our_accuracy(evidence, ids[year]) for year in YEARS),
            )
        )
    title = "Table 2 of the paper (YouTube-VIS 2019 and 2021), and what was measured here"
    table = with_best_in_bold(Table("table2", title, columns, tuple(rows)))
    notes = (
        "Published numbers as printed, best in bold. Latency / MobileInst divides by MobileInst TopFormer-Base here.",
        "Host milliseconds are CPU time per image of one core of the machine named below with random weights.",
        *published_doubts(evidence, "table2"),
        *legend(table),
    )
    return replace(table, notes=closing_notes(evidence, *notes))
