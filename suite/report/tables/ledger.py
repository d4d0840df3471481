"""The ledger as a table: every published claim with its verdict."""

from __future__ import annotations

from suite.report.evidence import Evidence
from suite.report.numbers import claim_label, ours_text, published_text
from suite.report.table import Row, Table, TableCell, make_table
from suite.report.tables._parts import origin

TITLE = "Ledger: every published number and its verdict"


def build(evidence: Evidence) -> Table:
    """Return one row per claim: those with a verdict first, MobileInst's own first, each group in the paper's order."""
    rows: list[Row] = [
        {
            "claim": verdict.claim.claim_id,
            "what": claim_label(verdict.claim),
            "published": TableCell(published_text(verdict.claim), verdict.claim.value),
            "source": verdict.claim.source,
            "ours": TableCell(ours_text(verdict, with_origin=False), verdict.ours, runs=verdict.run_ids),
            "origin": verdict.origin or "",
            "ours scored on": TableCell(verdict.scored_on, note=verdict.split_note),
            "verdict": TableCell(verdict.word, bold=verdict.word != "not run"),
            "found, or missing": verdict.reason,
            "rule": verdict.rule,
            "command that would decide it": verdict.command,
            "what makes its inputs": verdict.inputs,
            "as printed by its authors": verdict.claim.upstream,
        }
        for verdict in sorted(evidence.verdicts, key=lambda verdict: verdict.reading_order)
    ]
    findings = [f"{finding.severity}: {finding.sentence}." for finding in evidence.findings]
    notes = ("The published numbers against each other:", *findings)
    return make_table("ledger", TITLE, rows, notes, origin=origin(evidence))
