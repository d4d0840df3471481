"""The ledger as a table: every published claim with its verdict."""

from __future__ import annotations

from suite.report.evidence import Evidence
from suite.report.labels import claim_label, published_text
from suite.report.ledger import LedgerRow, build_ledger, reading_order
from suite.report.measured import provenance_line
from suite.report.numbers import value_text
from suite.report.table import Column, Table, TableCell, text_cell
from suite.report.tables._parts import number_column

FOLDER = "."
"""The ledger is the front door: its files lie in ``reports/`` itself, not with the other tables."""


def _ours(row: LedgerRow) -> TableCell:
    if row.ours is None:
        return TableCell()
    unit = row.claim.unit
    text = value_text(row.ours, unit)
    if row.interval:
        text += f" [{value_text(row.interval[0], unit)}, {value_text(row.interval[1], unit)}]"
    return TableCell(text, row.ours, runs=row.run_ids)


def build(evidence: Evidence) -> Table:
    """Return one row per claim, in `reading_order`, each group in the paper's order."""
    ledger = build_ledger(evidence)
    columns = (
        Column("claim"),
        Column("what"),
        number_column("published"),
        Column("source"),
        number_column("ours"),
        Column("origin"),
        Column("ours scored on"),
        Column("verdict"),
        Column("found, or missing"),
        Column("rule"),
        Column("command that would settle it"),
    )
    rows = [
        (
            text_cell(row.claim.claim_id),
            text_cell(claim_label(row.claim)),
            TableCell(published_text(row.claim), row.claim.value),
            text_cell(row.claim.source),
            _ours(row),
            text_cell(row.origin or ""),
            TableCell(row.splits.ours, note=row.splits.note),
            TableCell(row.verdict, bold=row.verdict != "not run"),
            text_cell(row.reason),
            text_cell(row.rule),
            text_cell(row.command),
        )
        for row in sorted(ledger.rows, key=reading_order)
    ]
    findings = [f"{finding.severity}: {finding.sentence}." for finding in ledger.findings]
    notes = (ledger.coverage() + ".", provenance_line(evidence), "The published numbers against each other:", *findings)
    return Table("ledger", "Ledger: every published number and its verdict", columns, tuple(rows), notes)
