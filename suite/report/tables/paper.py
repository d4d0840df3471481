"""The paper's Tables 1 and 2 as printed, with what was measured here beside them."""

from __future__ import annotations

from collections.abc import Mapping

from suite.claims.claim import METRIC_LABELS, RECORD_METRICS, SNAPDRAGON, Claim, slug
from suite.report.evidence import Evidence
from suite.report.models import MAIN_ENGINE, is_primary, masks_span
from suite.report.table import ORIGIN_MARKS, Row, Table, TableCell, make_table, number_cell, ratio_cell, record_cell
from suite.report.tables import table

NOT_TIMED = "not timed here yet"
YEARS = ("2019", "2021")


def _method(claim: Claim) -> TableCell:
    """Return the method of a published row, with a footnote where the paper's authors re-implemented it."""
    return TableCell(claim.method, note="re-implemented by the paper's authors" if claim.reimplemented else "")


def _published(evidence: Evidence, columns: Mapping[str, str]) -> dict[str, TableCell]:
    """Return printed digits with their footnotes by column; ``columns`` says which claim each holds.

    A disputed number has no value and so is never set in bold as the best of its column.
    """
    cells = {}
    for title, claim_id in columns.items():
        claim = evidence.claims.get(claim_id)
        cells[title] = TableCell(note="not printed in the paper")
        if claim is not None:
            value = None if claim.disputed else claim.value
            cells[title] = TableCell(claim.text, value, note="; ".join(claim.footnotes))
    return cells


def _our_accuracy(evidence: Evidence, row_id: str) -> TableCell:
    """Return our, or somebody else's, AP for a published row, else why there is none."""
    verdict = evidence.verdicts.get(f"{row_id}/ap")
    if verdict is None:
        return TableCell(note="no AP is printed")
    if verdict.ours is None:
        return TableCell(note=verdict.reason)
    note = verdict.rule or "third party, on val2017; ours " + verdict.reason
    mark = ORIGIN_MARKS.get(verdict.origin or "", "")
    return TableCell(f"{verdict.ours:.1f}", verdict.ours, mark=mark, note=note, runs=verdict.run_ids)


def _latencies(evidence: Evidence, row_id: str, anchor_row: str) -> dict[str, TableCell]:
    """Return a row's published phone latency over the anchor row's, the same here, and CPU ms here up to the masks."""
    own, anchor = (evidence.claims.get(f"{row}/{SNAPDRAGON}") for row in (row_id, anchor_row))
    share = number_cell(own.value / anchor.value, ".2f") if own and anchor else TableCell(note="no latency is printed")
    models, anchors = (evidence.counterparts.get(row, ()) for row in (row_id, anchor_row))
    here = relative = TableCell(note="this method is not runnable here yet")
    if models:
        cells = [cell for cell in evidence.host_times(models[0], {"span": masks_span(models[0])}) if is_primary(cell)]
        preferred = [cell for cell in cells if cell.get("runtime") == MAIN_ENGINE] or cells
        here = record_cell(next(reversed(preferred), None), NOT_TIMED)
    if models and anchors:
        relative = number_cell(1) if models[0] == anchors[0] else TableCell(note=NOT_TIMED)
        found = None if models[0] == anchors[0] else evidence.timings.ratio(models[0], anchors[0])
        if found:
            relative = ratio_cell(found.interval.value, found.interval, (found.run.run_id,))
    return {
        "published: latency / MobileInst": share,
        "ours: latency / MobileInst": relative,
        "ours: host CPU ms": here,
    }


def _doubts(evidence: Evidence, prefix: str) -> list[str]:
    """Return what a reader must know of a table's published phone latencies as a whole, and which version they are of.

    ``prefix`` is the first part of the claims' row ids, e.g. ``"table1"``.
    """
    claims = [claim for claim in evidence.claims.values() if claim.row_id.startswith(f"{prefix}/")]
    timed = [claim for claim in claims if claim.metric == SNAPDRAGON]
    shared = [doubt for doubt in timed[0].doubts if all(doubt in claim.doubts for claim in timed)]
    ap, latency = (evidence.claims[f"arxiv-v1-abstract/mobileinst/{name}"].text for name in ("ap", SNAPDRAGON))
    return [
        *([f"Published latencies: {'; '.join(shared)}."] if shared else []),
        f"Version: {timed[0].source}; the abstract of arXiv v1 prints other numbers ({ap} AP, {latency} ms).",
    ]


@table(6, in_paper=True)
def table1(evidence: Evidence) -> Table:
    """Return Table 1: published columns as printed, our columns with the reason for every missing cell."""
    columns = {"published: 778G ms": SNAPDRAGON}
    columns |= {f"published: {METRIC_LABELS[name]}": name for name in RECORD_METRICS["coco"]}
    printed = [claim for claim in evidence.claims.values() if claim.row_id.startswith("table1/")]
    rows: list[Row] = [
        {
            "method": _method(claim),
            "backbone": claim.backbone,
            "size": TableCell(str(claim.short_side_px or ""), claim.short_side_px),
            **_published(evidence, {title: f"{row_id}/{name}" for title, name in columns.items()}),
            **_latencies(evidence, row_id, "table1/mobileinst-topformer-base-640"),
            "ours: AP": _our_accuracy(evidence, row_id),
        }
        for row_id, claim in {claim.row_id: claim for claim in printed}.items()
    ]
    notes = (
        "Published numbers as printed, best in bold. Latency / MobileInst divides by MobileInst TopFormer-Base 640.",
        "Host milliseconds are CPU time of one core here with random weights; they are not "
        "comparable with the phone's, ratios are to a degree.",
        *_doubts(evidence, "table1"),
    )
    title = "Table 1 of the paper (COCO test-dev, one core of a Snapdragon 778G), and what was measured here"
    best = {column: name != SNAPDRAGON for column, name in columns.items()}
    return make_table(title, rows, notes, best)


@table(7, in_paper=True)
def table2(evidence: Evidence) -> Table:
    """Return Table 2, one row per method and backbone, both years side by side."""
    columns = {"published: 2080 Ti ms": ("2019", "latency_rtx_2080_ti_ms"), "published: 778G ms": ("2019", SNAPDRAGON)}
    for year in YEARS:
        for name in RECORD_METRICS["youtube-vis"]:
            columns[f"YouTube-VIS {year}, published: {METRIC_LABELS[name]}"] = (year, name)
    printed = [claim for claim in evidence.claims.values() if claim.row_id.startswith("table2/")]
    rows: list[Row] = []
    for claim in {(claim.method, claim.backbone, claim.reimplemented): claim for claim in printed}.values():
        ids = {year: f"table2/{year}/{slug(claim.method, claim.backbone)}" for year in YEARS}
        rows.append(
            {
                "method": _method(claim),
                "backbone": claim.backbone,
                **_published(evidence, {title: f"{ids[year]}/{name}" for title, (year, name) in columns.items()}),
                **_latencies(evidence, ids["2019"], "table2/2019/mobileinst-topformer-base"),
                **{f"ours: AP {year}": _our_accuracy(evidence, ids[year]) for year in YEARS},
            }
        )
    notes = (
        "Published numbers as printed, best in bold. Latency / MobileInst divides by MobileInst TopFormer-Base here.",
        "Host milliseconds are CPU time per image of one core here with random weights.",
        *_doubts(evidence, "table2"),
    )
    title = "Table 2 of the paper (YouTube-VIS 2019 and 2021), and what was measured here"
    best = {column: not name.startswith("latency") for column, (_, name) in columns.items()}
    return make_table(title, rows, notes, best)
