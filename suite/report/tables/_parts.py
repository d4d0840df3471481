"""What several tables share: cells from claims and timings, and the lines below every table."""

from __future__ import annotations

from collections.abc import Mapping

from suite.claims.claim import SNAPDRAGON, Claim
from suite.report.evidence import Evidence
from suite.report.measured import provenance_line
from suite.report.models import is_primary, masks_span
from suite.report.numbers import ORIGIN_MARKS, interval_text
from suite.report.table import TableCell, missing, record_cell
from suite.report.timings import MAIN_ENGINE

NOT_PRINTED = "not printed in the paper"
NO_COUNTERPART = "this method is not runnable here yet"
NOT_TIMED = "not timed here yet"


def method_cell(claim: Claim) -> TableCell:
    """Return the method of a published row, with a footnote where the paper's authors re-implemented it."""
    return TableCell(claim.method, note="re-implemented by the paper's authors" if claim.reimplemented else "")


def published_cell(claim: Claim | None) -> TableCell:
    """Return the printed digits of a claim with its footnotes, or the reason why there are none.

    A disputed number has no value and so is never set in bold as the best of its column.
    """
    if claim is None:
        return missing(NOT_PRINTED)
    return TableCell(claim.text, None if claim.disputed else claim.value, note="; ".join(claim.footnotes))


def published_cells(evidence: Evidence, columns: Mapping[str, str]) -> dict[str, TableCell]:
    """Return printed numbers by column; ``columns`` says which claim each holds."""
    return {f"published: {title}": published_cell(evidence.claim(claim_id)) for title, claim_id in columns.items()}


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


def latency_cells(evidence: Evidence, row_id: str, anchor_row: str) -> dict[str, TableCell]:
    """Return a row's published phone latency over the anchor row's, the same here, and CPU ms here up to the masks."""
    own, anchor = (evidence.claim(f"{row}/{SNAPDRAGON}") for row in (row_id, anchor_row))
    share = own.value / anchor.value if own and anchor else None
    models, anchors = (evidence.counterparts.get(row, ()) for row in (row_id, anchor_row))
    here, relative = missing(NO_COUNTERPART), missing(NO_COUNTERPART)
    if models:
        wanted = {"span": masks_span(models[0]), "key_frame_interval": None, "device": "host"}
        found = evidence.find("latency_cpu_ms", models[0], wanted)
        cells = [cell for cell in found if is_primary(cell.model, cell.get("height_px"), cell.get("width_px"))]
        preferred = [cell for cell in cells if cell.get("runtime") == MAIN_ENGINE] or cells
        here = record_cell(preferred[-1] if preferred else None, NOT_TIMED)
    if models and anchors:
        ratio = evidence.timings.ratio(models[0], anchors[0]) if models[0] != anchors[0] else None
        relative = TableCell("1", 1.0) if models[0] == anchors[0] else missing(NOT_TIMED)
        if ratio is not None:
            runs = tuple(dict.fromkeys(run for cell in ratio.cells for run in cell.run_ids))
            text = interval_text(ratio.interval.value, ratio.interval.low, ratio.interval.high)
            relative = TableCell(text, ratio.interval.value, runs=runs)
    return {
        "published: latency / MobileInst": (
            missing("no latency is printed") if share is None else TableCell(f"{share:.2f}", share)
        ),
        "ours: latency / MobileInst": relative,
        "ours: host CPU ms": here,
    }


def origin(evidence: Evidence) -> tuple[str, str]:
    """Return the lines below every table: the counts of verdicts, and where and when the records were made."""
    return f"{evidence.coverage}.", provenance_line(evidence)


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
