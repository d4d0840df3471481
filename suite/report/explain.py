"""From a number of the report back to the run behind it."""

from __future__ import annotations

from typing import Any

import msgspec

from suite.errors import InputError
from suite.records.cells import cell_ids
from suite.report.evidence import Evidence
from suite.report.table import cell_text

SHOWN_MATCHES = 12


def ledger_to_json(evidence: Evidence) -> dict[str, Any]:
    """Return coverage, every claim, every measured cell, the checks of the paper's numbers and what was left out."""
    return {
        "coverage": evidence.coverage,
        "counts": evidence.counts,
        "provenance": evidence.provenance,
        "claims": [verdict.to_json() for verdict in evidence.verdicts.values()],
        "measured": [cell.to_json() for cell in evidence.cells],
        "cautions": evidence.cautions,
        "findings": [finding._asdict() for finding in evidence.findings],
        "left_out": list(evidence.left_out),
    }


def names(evidence: Evidence) -> list[str]:
    """Return everything that can be explained: ids of claims and of measured cells."""
    return [*evidence.claims, *cell_ids(evidence.cells)]


def find(evidence: Evidence, wanted: str) -> str:
    """Return the one id that is, or contains, ``wanted``, else that of the one cell that is printed so: ``"0.875"``.

    Raises:
        InputError: if none or several do; the message lists the first ones.
    """
    matches = [name for name in names(evidence) if wanted in name]
    if not matches:
        matches = [name for name, cell in cell_ids(evidence.cells).items() if wanted in cell_text(cell).split()]
    if wanted in matches or len(matches) == 1:
        return wanted if wanted in matches else matches[0]
    if not matches:
        raise InputError(f"no claim or measured cell is called {wanted!r}; 'python -m suite explain' lists them")
    listed = ", ".join(matches[:SHOWN_MATCHES]) + (", ..." if len(matches) > SHOWN_MATCHES else "")
    raise InputError(f"{wanted!r} fits {len(matches)} cells: {listed}; write one in full")


def explain(evidence: Evidence, cell_id: str) -> dict[str, Any]:
    """Return all that is known of one of `names`, a claim or a measured cell, as plain values."""
    known: dict[str, Any] = {"id": cell_id}
    if (verdict := evidence.verdicts.get(cell_id)) is not None:
        known["ledger"], run_ids = verdict.to_json(), verdict.run_ids
    elif (claim := evidence.claims.get(cell_id)) is not None:
        known["claim"], run_ids = msgspec.to_builtins(claim), ()
    else:
        cell = cell_ids(evidence.cells)[cell_id]
        known["cell"], run_ids = cell.to_json(), cell.run_ids
    runs = [file for file in evidence.runs if file.run.run_id in run_ids]
    return {**known, "runs": [{"file": file.path.name, **msgspec.to_builtins(file.run)} for file in runs]}
