"""The ledger as one JSON object."""

from __future__ import annotations

from typing import Any

import msgspec

from suite.report.evidence import Evidence
from suite.report.ledger import Ledger
from suite.report.measured import cautions, provenance_line
from suite.report.select import Cell


def cell_to_json(cell: Cell) -> dict[str, Any]:
    """Return a measured cell as plain values: mean, deviation, every seed's value, protocol, runs."""
    return {
        "metric": cell.metric,
        "model": cell.model,
        "dataset": msgspec.to_builtins(cell.dataset) if cell.dataset else None,
        "protocol": dict(cell.protocol),
        "value": cell.value,
        "deviation": cell.deviation,
        "interval": msgspec.to_builtins(cell.interval) if cell.interval else None,
        "origin": cell.origin,
        "uncommitted_changes": cell.dirty,
        "samples": [
            {"seed": sample.seed, "value": sample.value, "run": sample.run.run_id, "git_sha": sample.run.git_sha}
            for sample in cell.samples
        ],
    }


def ledger_to_json(ledger: Ledger, evidence: Evidence) -> dict[str, Any]:
    """Return coverage, every claim, every measured cell, the findings and what was left out."""
    return {
        "coverage": ledger.coverage(),
        "counts": ledger.counts(),
        "provenance": provenance_line(evidence),
        "claims": [row.to_json() for row in ledger.rows],
        "measured": [cell_to_json(cell) for cell in evidence.cells],
        "cautions": cautions(evidence),
        "findings": [msgspec.to_builtins(finding) for finding in ledger.findings],
        "left_out": list(evidence.left_out),
    }
