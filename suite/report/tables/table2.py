"""The paper's Table 2: YouTube-VIS 2019 and 2021, with what was measured here beside it."""

from __future__ import annotations

from suite.claims.claim import SNAPDRAGON, slug
from suite.report.evidence import Evidence
from suite.report.numbers import CLAIM_METRICS
from suite.report.table import Row, Table, make_table
from suite.report.tables._parts import (
    latency_cells,
    method_cell,
    origin,
    our_accuracy,
    published_cell,
    published_cells,
    published_doubts,
)

IN_PAPER = True
YEARS = ("2019", "2021")
ACCURACY = ("ap", "ap50", "ap75", "ar1")
ANCHOR_ROW = "table2/2019/mobileinst-topformer-base"


def build(evidence: Evidence) -> Table:
    """Return Table 2, one row per method and backbone, both years side by side."""
    claims = [claim for claim in evidence.claims if claim.row_id.startswith("table2/")]
    methods = {(claim.method, claim.backbone, claim.reimplemented): claim for claim in claims}
    titles = {
        (year, name): f"YouTube-VIS {year}, published: {CLAIM_METRICS[name]}" for year in YEARS for name in ACCURACY
    }
    rows: list[Row] = []
    for (method, backbone, _), claim in methods.items():
        ids = {year: f"table2/{year}/{slug(method, backbone)}" for year in YEARS}
        rows.append(
            {
                "method": method_cell(claim),
                "backbone": backbone,
                **published_cells(
                    evidence,
                    {
                        "2080 Ti ms": f"{ids['2019']}/latency_rtx_2080_ti_ms",
                        "778G ms": f"{ids['2019']}/{SNAPDRAGON}",
                    },
                ),
                **{
                    title: published_cell(evidence.claim(f"{ids[year]}/{name}"))
                    for (year, name), title in titles.items()
                },
                **latency_cells(evidence, ids["2019"], ANCHOR_ROW),
                **{f"ours: AP {year}": our_accuracy(evidence, ids[year]) for year in YEARS},
            }
        )
    notes = (
        "Published numbers as printed, best in bold. Latency / MobileInst divides by MobileInst TopFormer-Base here.",
        "Host milliseconds are CPU time per image of one core here with random weights.",
        *published_doubts(evidence, "table2"),
    )
    return make_table(
        "table2",
        "Table 2 of the paper (YouTube-VIS 2019 and 2021), and what was measured here",
        rows,
        notes,
        {"published: 2080 Ti ms": False, "published: 778G ms": False} | dict.fromkeys(titles.values(), True),
        origin(evidence),
    )
