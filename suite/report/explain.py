"""From a number of the report back to the run behind it."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from suite.errors import InputError
from suite.records.schema import METRICS
from suite.report.cells import Cell, cell_ids
from suite.report.evidence import Evidence
from suite.text_table import WIDTH

SHOWN_MATCHES = 12


def cell_to_json(cell: Cell) -> dict[str, Any]:
    """Return a measured cell as plain values: mean, deviation, every seed's value, protocol, runs."""
    return {
        "metric": cell.metric,
        "unit": METRICS[cell.metric].unit,
        "model": cell.model,
        "dataset": msgspec.to_builtins(cell.dataset) if cell.dataset else None,
        "protocol": dict(sorted(cell.protocol.items())),
        "value": cell.value,
        "deviation": cell.deviation,
        "interval": msgspec.to_builtins(cell.interval) if cell.interval else None,
        "origin": cell.origin,
        "uncommitted_changes": cell.dirty,
        "samples": [
            {
                "seed": sample.seed,
                "value": sample.value,
                "weights_sha256": sample.measurement.subject.weights_sha256,
                "run": sample.run.run_id,
                "git_sha": sample.run.git_sha,
            }
            for sample in cell.samples
        ],
    }


def ledger_to_json(evidence: Evidence) -> dict[str, Any]:
    """Return coverage, every claim, every measured cell, the checks of the paper's numbers and what was left out."""
    return {
        "coverage": evidence.coverage,
        "counts": evidence.counts,
        "provenance": evidence.provenance,
        "claims": [verdict.to_json() for verdict in evidence.verdicts.values()],
        "measured": [cell_to_json(cell) for cell in evidence.cells],
        "cautions": evidence.cautions,
        "findings": [msgspec.to_builtins(finding) for finding in evidence.findings],
        "left_out": list(evidence.left_out),
    }


def names(evidence: Evidence) -> list[str]:
    """Return everything that can be explained: ids of claims and of measured cells."""
    return [*evidence.claims, *cell_ids(evidence.cells)]


def find(evidence: Evidence, wanted: str) -> str:
    """Return the one id that is, or contains, ``wanted``.

    Raises:
        InputError: if none or several do; the message lists the first ones.
    """
    known = names(evidence)
    if wanted in known:
        return wanted
    matches = [name for name in known if wanted in name]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise InputError(f"no claim or measured cell is called {wanted!r}; 'python -m suite explain' lists them")
    more = f" and {len(matches) - SHOWN_MATCHES} more" if len(matches) > SHOWN_MATCHES else ""
    raise InputError(
        f"{wanted!r} fits {len(matches)} cells: {', '.join(matches[:SHOWN_MATCHES])}{more}; write one in full"
    )


def explain(evidence: Evidence, cell_id: str) -> dict[str, Any]:
    """Return all that is known of one claim or measured cell as plain values.

    Args:
        evidence: claims and records.
        cell_id: an id of `names`.
    """
    known: dict[str, Any]
    verdict, cell = evidence.verdicts.get(cell_id), cell_ids(evidence.cells).get(cell_id)
    run_ids: tuple[str, ...] = ()
    if verdict is not None:
        known, run_ids = {"ledger": verdict.to_json()}, verdict.run_ids
    elif cell is not None:
        known, run_ids = {"cell": cell_to_json(cell)}, cell.run_ids
    else:
        known = {"claim": msgspec.to_builtins(evidence.claims[cell_id])}
    runs = [
        {"file": file.path.name, **msgspec.to_builtins(file.run)}
        for file in evidence.runs
        if file.run.run_id in run_ids
    ]
    return {"id": cell_id, **known, "runs": runs}


def explanation(evidence: Evidence, cell_id: str) -> str:
    """Return the same as `explain` for a person to read, as YAML."""
    document = explain(evidence, cell_id)
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=WIDTH)
    return text
