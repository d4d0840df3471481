"""What several tables share: cells from claims and timings, and the lines below every table."""

from __future__ import annotations

from suite.claims.claim import Claim
from suite.report.evidence import Evidence
from suite.report.measured import provenance_line
from suite.report.models import is_primary, masks_span
from suite.report.numbers import ORIGIN_MARKS, interval_text
from suite.report.table import TableCell, missing, record_cell
from suite.report.timings import MAIN_ENGINE

SNAPDRAGON = "latency_snapdragon_778g_ms"
NOT_PRINTED = "not printed in the paper"
NO_COUNTERPART = "this method is not runnable here yet"
NOT_TIMED = "not timed here yet"


def method_name(claim: Claim) -> str:
    """Return the method of a published row, with a remark where the paper's authors re-implemented it."""
    return claim.method + (" (re-implemented by the authors)" if claim.reimplemented else "")


def published_cell(claim: Claim | None) -> TableCell:
    """Return the printed digits of a claim with its footnotes, or the reason why there are none.

    A disputed number has no value and so is never set in bold as the best of its column.
    """
    if claim is None:
        return missing(NOT_PRINTED)
    return TableCell(claim.text, None if claim.disputed else claim.value, note="; ".join(claim.footnotes))


def relative_latency(evidence: Evidence, row_id: str, anchor_row: str) -> TableCell:
    """Return the published phone latency of a row over that of the anchor's row."""
    own, anchor = (evidence.claim(f"{row}/{SNAPDRAGON}") for row in (row_id, anchor_row))
    if own is None or anchor is None:
        return missing("no latency is printed")
    return TableCell(f"{own.value / anchor.value:.2f}", own.value / anchor.value)


def our_accuracy(evidence: Evidence, row_id: str) -> TableCell:
    """Return our, or somebody else's, AP for a published row, else why there is none."""
    verdict = evidence.verdict(f"{row_id}/ap")
    if verdict is None:
        return missing("no AP is printed")
    if verdict.ours is None:
        return missing(verdict.reason)
    note = verdict.rule or "third party, on val2017; ours " + verdict.reason
    mark = ORIGIN_MARKS.get(verdict.origin or "", "")
    return TableCell(f"{verdict.ours:.1f}", verdict.ours, mark=mark, note=note, runs=verdict.run_ids)


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
    return record_cell(([cell for cell in cells if cell.get("runtime") == MAIN_ENGINE] or cells)[-1])


def host_relative(evidence: Evidence, row_id: str, anchor_row: str) -> TableCell:
    """Return the CPU-time ratio of a published row's model to the anchor row's on the host, with its interval."""
    models, anchors = (evidence.counterparts.get(row, ()) for row in (row_id, anchor_row))
    if not models or not anchors:
        return missing(NO_COUNTERPART)
    if models[0] == anchors[0]:
        return TableCell("1", 1.0)
    found = evidence.timings.ratio(models[0], anchors[0])
    if found is None:
        return missing(NOT_TIMED)
    runs = tuple(dict.fromkeys(run for cell in found.cells for run in cell.run_ids))
    text = interval_text(found.interval.value, found.interval.low, found.interval.high)
    return TableCell(text, found.interval.value, runs=runs)


def closing_notes(evidence: Evidence, *own: str) -> tuple[str, ...]:
    """Return a table's own notes, the coverage line and where and when the records were made."""
    return (*own, f"{evidence.coverage}.", provenance_line(evidence))


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
