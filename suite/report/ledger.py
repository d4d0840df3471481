"""The ledger: every published number with its verdict, our value beside it, and what would settle it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from suite.claims.claim import Claim
from suite.claims.consistency import Finding, check_consistency
from suite.report.evidence import Evidence
from suite.report.settle import settling_command
from suite.report.splits import Splits, claim_splits
from suite.report.verdicts import VERDICTS, VerdictWord, judge


@dataclass(frozen=True)
class LedgerRow:
    """One published claim.

    Attributes:
        claim: the published number.
        verdict: one of `suite.report.verdicts.VERDICTS`.
        rule: how the verdict follows from the numbers; empty where nothing was run.
        reason: what was found, or what is missing.
        ours: our value in the claim's unit, None where there is none.
        interval: 95 % interval of ``ours`` in the claim's unit, or None.
        origin: measured, estimated, server or third-party; None where there is no value.
        command: the command that would settle the claim.
        run_ids: the runs behind ``ours``.
        splits: for an AP, where it and ours were scored.
    """

    claim: Claim
    verdict: VerdictWord
    rule: str
    reason: str
    ours: float | None
    interval: tuple[float, float] | None
    origin: str | None
    command: str
    run_ids: tuple[str, ...]
    splits: Splits

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain values."""
        claim = self.claim
        return {
            "claim": claim.claim_id,
            "kind": claim.kind,
            "statement": claim.statement,
            "published": claim.value,
            "published_high": claim.value_high,
            "unit": claim.unit,
            "dataset": claim.dataset,
            "source": claim.source,
            "protocol": claim.protocol,
            "doubts": list(claim.doubts),
            "verdict": self.verdict,
            "rule": self.rule,
            "reason": self.reason,
            "ours": self.ours,
            "interval": list(self.interval) if self.interval else None,
            "origin": self.origin,
            "published_on": self.splits.published,
            "ours_on": self.splits.ours,
            "splits_note": self.splits.note,
            "command": self.command,
            "runs": list(self.run_ids),
        }


def reading_order(row: LedgerRow) -> tuple[bool, bool]:
    """Order rows for a reader: with a verdict before not run, MobileInst's own numbers before prior art's."""
    return (row.verdict == "not run", not row.claim.own)


@dataclass(frozen=True)
class Ledger:
    """All rows in the order of the claims, and the checks of the published numbers themselves."""

    rows: tuple[LedgerRow, ...]
    findings: tuple[Finding, ...]

    def counts(self) -> dict[str, int]:
        """Return how many rows have each verdict."""
        found = Counter(row.verdict for row in self.rows)
        return {word: found[word] for word in VERDICTS}

    def coverage(self) -> str:
        """Return the one-line summary, e.g. ``"214 published claims (203 numbers, ...): 0 reproduced, ..."``."""
        kinds = Counter(row.claim.kind for row in self.rows)
        split = f"{kinds['absolute']} numbers, {kinds['ratio']} ratios, {kinds['trend']} trends"
        verdicts = ", ".join(f"{count} {word}" for word, count in self.counts().items())
        return f"{len(self.rows)} published claims ({split}): {verdicts}"

    def not_run(self) -> dict[str, list[LedgerRow]]:
        """Return the rows that were not run by what they need, the largest group first."""
        groups: dict[str, list[LedgerRow]] = {}
        for row in self.rows:
            if row.verdict == "not run":
                groups.setdefault(row.reason, []).append(row)
        return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def build_ledger(evidence: Evidence) -> Ledger:
    """Judge every published claim against the records.

    Third-party numbers are evidence beside the paper's claims, not claims of the paper: they get no row of their own.
    """
    rows = []
    for claim in evidence.claims:
        if claim.origin != "published":
            continue
        verdict = judge(claim, evidence)
        run_ids = tuple(dict.fromkeys(run for cell in verdict.cells for run in cell.run_ids))
        rows.append(
            LedgerRow(
                claim=claim,
                verdict=verdict.word,
                rule=verdict.rule,
                reason=verdict.reason,
                ours=verdict.ours,
                interval=verdict.interval,
                origin=verdict.origin,
                command=settling_command(claim, evidence.counterparts),
                run_ids=run_ids,
                splits=claim_splits(claim, verdict.cells, verdict.origin),
            )
        )
    return Ledger(tuple(rows), tuple(check_consistency(list(evidence.claims))))
