"""The published claims as tables: every claim with its verdict, those that have one, and what the others would cost."""

from __future__ import annotations

from suite.datasets.pins import load_pins
from suite.records.cells import grouped
from suite.report.evidence import Evidence, Verdict
from suite.report.rules import RULES
from suite.report.table import Row, Table, TableCell, make_table, number_cell
from suite.report.tables import table
from suite.report.verdicts import recipe, recipes_for

FORWARD_AND_BACKWARD = 3
"""Multiply-accumulates of a training step over those of the forward pass."""
ASSUMED_FLOP_PER_S = 1e13
"""What a training is assumed to sustain on one GPU."""


@table(1)
def ledger(evidence: Evidence) -> Table:
    """Return one row per claim: those with a verdict first, MobileInst's own first, each group in the paper's order."""
    rows: list[Row] = [
        {
            "claim": verdict.claim.claim_id,
            "what": verdict.claim.label,
            "published": TableCell(verdict.claim.printed, verdict.claim.value),
            "source": verdict.claim.source,
            "ours": TableCell(verdict.text(with_origin=False), verdict.ours, runs=verdict.run_ids),
            "origin": verdict.origin or "",
            "ours scored on": TableCell(verdict.scored_on, note=verdict.split_note),
            "verdict": TableCell(verdict.word, bold=verdict.word != "not run"),
            "found, or missing": verdict.reason,
            "rule": verdict.rule,
            "command that would decide it": verdict.command,
            "what makes its inputs": verdict.inputs,
            "as printed by its authors": verdict.claim.upstream,
        }
        for verdict in sorted(evidence.verdicts.values(), key=lambda item: (item.word == "not run", not item.claim.own))
    ]
    findings = [f"{finding.severity}: {finding.sentence}." for finding in evidence.findings]
    notes = ("The published numbers against each other:", *findings)
    return make_table("Ledger: every published number and its verdict", rows, notes)


def judged_table(evidence: Evidence) -> Table:
    """Return the claims that have a verdict other than "not run"; claims that repeat each other share a row."""
    judged = (verdict for verdict in evidence.verdicts.values() if verdict.word != "not run")
    groups = grouped(judged, lambda item: (item.claim.label, item.claim.printed, item.text(), item.word, item.reason))
    rows: list[Row] = [
        {
            "the paper claims": label + (f" (printed {len(same)} times)" if len(same) > 1 else ""),
            "published": TableCell(printed, same[0].claim.value),
            "here": TableCell(ours, same[0].ours, runs=same[0].run_ids),
            "verdict": TableCell(word, bold=True, note=same[0].rule),
            "found": reason,
        }
        for (label, printed, ours, word, reason), same in groups.items()
    ]
    changes = [f"Rule {change.rule}, changed {change.date}: {change.what}." for change in RULES.change]
    return make_table("Claims that have a verdict", rows, changes if rows else (), name="judged")


def _training(evidence: Evidence, group: list[Verdict]) -> tuple[str, float | None]:
    """Return which trainings a group of own claims needs, and their GPU hours at `ASSUMED_FLOP_PER_S`.

    The hours follow from the recipes' images and the recorded multiply-accumulates; None where those are missing.
    """
    hours, names = 0.0, []
    for row_id, dataset in {verdict.claim.row_id: verdict.claim.dataset.split()[0] for verdict in group}.items():
        for name in recipes_for(evidence.counterparts.get(row_id, ()), dataset)[:1]:
            trained = recipe(name)
            counted = [cell.value for cell in evidence.find("macs", trained["model"])]
            images = trained["iterations"] * trained["batch_size"]
            names.append(f"{name} ({images / 1e6:.1f} M images)")
            hours += images * FORWARD_AND_BACKWARD * 2 * max(counted, default=0.0) / ASSUMED_FLOP_PER_S / 3600
    return ", ".join(names), hours or None


def missing_table(evidence: Evidence) -> Table:
    """Return what is missing and what it would cost: a row for each need of claims not run, the largest group first."""
    rows: list[Row] = []
    for reason, group in evidence.not_run.items():
        claim, command = group[0].claim, next((verdict.command for verdict in group if verdict.command), "")
        data, training, hours, device = "", "", None, "any"
        if claim.device:
            device = reason.removeprefix("needs ")
        elif claim.family and claim.kind != "trend":  # a trend is decided on shapes, which is generated
            data = "size not published; login"
            if claim.family == "coco":
                groups = ("coco-val", "coco-train") if claim.own else ("coco-val",)
                size = sum(pin.size or 0 for pin in load_pins().values() if pin.meta.group in groups)
                data = f"{size / 1e9:.0f} GB"
            training = "that method's own"
            if claim.own:
                (training, hours), device = _training(evidence, group), "a GPU"
        rows.append(
            {
                "claims": number_cell(len(group)),
                "what is missing": reason,
                "archives": data,
                "device": device,
                "trainings": training,
                "GPU hours": TableCell("" if hours is None else f"{hours:.{0 if hours >= 10 else 1}f}", hours),
                "decided by": command or "no command of this suite",
                "its inputs": next((verdict.inputs for verdict in group if verdict.inputs), ""),
            }
        )
    notes = (
        f"GPU hours: images of the recipes x {FORWARD_AND_BACKWARD} x 2 x recorded multiply-accumulates, at "
        f"{ASSUMED_FLOP_PER_S / 1e12:.0f} TFLOP/s sustained on one GPU, which is an assumption; train RECIPE --plan "
        "measures them on yours. Unpacked data take as much again as the archives.",
    )
    return make_table("What is missing, and what it would cost", rows, notes, name="missing")
