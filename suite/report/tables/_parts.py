"""What several tables share: cells from claims and records, and the lines below every table."""

from __future__ import annotations

from suite.claims.claim import Claim
from suite.report.counterparts import is_primary, masks_span
from suite.report.evidence import Evidence
from suite.report.host_ratio import MAIN_ENGINE, host_ratio
from suite.report.labels import ORIGIN_LEGEND, ORIGIN_MARKS
from suite.report.ledger import build_ledger
from suite.report.measured import provenance_line
from suite.report.numbers import cell_text, milliseconds, ratio
from suite.report.select import Cell
from suite.report.table import Column, Table, TableCell, missing

NOT_PRINTED = "not printed in the paper"
NO_COUNTERPART = "this method is not runnable here yet"
NOT_TIMED = "not timed here yet"
DIRTY_LEGEND = "† = measured with uncommitted changes"


def published_cell(claim: Claim | None) -> TableCell:
    """Return the printed digits of a claim with its footnotes, or the reason why there are none.

    A disputed number has no value to compete with for the best of its column.
    """
    if claim is None:
        return missing(NOT_PRINTED)
    return TableCell(claim.text, None if claim.disputed else claim.value, note="; ".join(claim.footnotes))


def record_cell(cell: Cell) -> TableCell:
    """Return a measured value with its marks."""
    mark = ORIGIN_MARKS[cell.origin] + ("†" if cell.dirty else "")
    return TableCell(cell_text(cell), cell.value, mark=mark, runs=cell.run_ids)


def host_latency(evidence: Evidence, row_id: str) -> TableCell:
    """Return the CPU milliseconds of a published row's model on the host, up to its masks, at its primary shape."""
    models = evidence.counterparts.get(row_id, ())
    if not models:
        return missing(NO_COUNTERPART)
    wanted = {"span": masks_span(models[0]), "key_frame_interval": None, "device": "host"}
    cells = [
        cell
        for cell in evidence.find("latency_cpu_ms", models[0], wanted)
        if is_primary(cell.model, cell.get("height_px"), cell.get("width_px"))
    ]
    if not cells:
        return missing(NOT_TIMED)
    main = [cell for cell in cells if cell.get("runtime") == MAIN_ENGINE] or cells
    newest = main[-1]
    return TableCell(milliseconds(newest.value), newest.value, mark="†" if newest.dirty else "", runs=newest.run_ids)


def host_relative(evidence: Evidence, row_id: str, anchor_row: str) -> TableCell:
    """Return the CPU-time ratio of a published row's model to the anchor row's on the host, with its interval."""
    models, anchors = (evidence.counterparts.get(row, ()) for row in (row_id, anchor_row))
    if not models or not anchors:
        return missing(NO_COUNTERPART)
    if models[0] == anchors[0]:
        return TableCell("1", 1.0)
    found = host_ratio(evidence, models[0], anchors[0])
    if found is None:
        return missing(NOT_TIMED)
    runs = tuple(run for cell in found.cells for run in cell.run_ids)
    text = f"{ratio(found.value)} [{ratio(found.low)}, {ratio(found.high)}]"
    return TableCell(text, found.value, runs=tuple(dict.fromkeys(runs)))


def number_column(title: str, group: str = "", higher_is_better: bool | None = None) -> Column:
    """Return a right-aligned column."""
    return Column(title, group, "right", higher_is_better)


def closing_notes(evidence: Evidence, *own: str) -> tuple[str, ...]:
    """Return a table's own notes, the coverage line and where and when the records were made."""
    return (*own, build_ledger(evidence).coverage() + ".", provenance_line(evidence))


def published_doubts(evidence: Evidence, table: str) -> tuple[str, ...]:
    """Return what a reader must know of a table's published phone latencies as a whole, and which version they are of.

    Args:
        evidence: claims and records.
        table: first part of the claims' row ids, e.g. ``"table1"``.
    """
    concerned = [
        claim
        for claim in evidence.claims
        if claim.row_id.startswith(f"{table}/") and claim.device == "snapdragon-778g" and claim.kind == "absolute"
    ]
    if not concerned:
        return ()
    shared = [doubt for doubt in concerned[0].doubts if all(doubt in claim.doubts for claim in concerned)]
    lines = [f"Published latencies: {'; '.join(shared)}."] if shared else []
    numbers = [evidence.claim(f"arxiv-v1-abstract/mobileinst/{name}") for name in ("ap", concerned[0].metric)]
    if all(numbers):
        ap, latency = (claim.text for claim in numbers if claim)
        lines.append(
            f"Version: {concerned[0].source}; the abstract of arXiv v1 prints other numbers ({ap} AP, {latency} ms)."
        )
    return tuple(lines)


def legend(table: Table) -> tuple[str, ...]:
    """Return the explanation of the marks that a table uses."""
    used = {mark for row in table.rows for cell in row for mark in cell.mark}
    lines = [text for origin, text in ORIGIN_LEGEND.items() if ORIGIN_MARKS[origin] in used]
    return (*lines, *([DIRTY_LEGEND] if "†" in used else []))
