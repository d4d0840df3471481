"""The ledger as text of at most 100 columns: what was found, where the pictures lie, what is missing, what to try."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from suite.paths import reports_dir, shown
from suite.report.evidence import Evidence
from suite.report.formats import visible
from suite.report.highlights import highlights
from suite.report.measured import cautions, provenance_line
from suite.report.numbers import ours_text, published_text
from suite.text_table import WIDTH, TextColumn, text_table

SEVERITY_MARKS = {"inconsistent": "!", "note": "i", "holds": "="}
SHOWN_NEEDS = 4
NEXT = {
    "every claim with its rule": "python -m suite ledger --all",
    "the run behind a number": "python -m suite explain ratio/coco-latency-512-vs-640",
    "your own picture": "python -m suite predict photo.jpg --save drawn",
}
"""What to try after the ledger -> its command."""


def _bullets(marked: Iterable[tuple[str, str]]) -> list[str]:
    return [
        textwrap.fill(visible(sentence), WIDTH, initial_indent=f"{mark} ", subsequent_indent="  ")
        for mark, sentence in marked
    ]


def _missing(evidence: Evidence) -> list[str]:
    groups = [(str(len(found)), visible(reason)) for reason, found in evidence.not_run.items()]
    rest = sum(int(count) for count, _ in groups[SHOWN_NEEDS:])
    rows = groups[:SHOWN_NEEDS] + ([(str(rest), "of other needs")] if rest else [])
    return text_table([TextColumn("claims", number=True), TextColumn("not run: needs")], rows) if rows else []


def _every_claim(evidence: Evidence) -> list[str]:
    """Return every claim with its verdict and rule, under its table row's id."""
    lines, row_id = [], ""
    for verdict in evidence.verdicts:
        claim = verdict.claim
        if claim.row_id != row_id:
            row_id = claim.row_id
            lines.append(row_id)
        name = claim.metric if claim.kind == "absolute" else claim.statement
        ours = f", ours {ours_text(verdict)}" if verdict.ours is not None else ""
        rule = f" ({verdict.rule})" if verdict.rule else ""
        printed = f"; its authors: {claim.upstream}" if claim.upstream else ""
        text = f"{name}: {published_text(claim)}{ours}: {verdict.word}, {verdict.reason}{rule}{printed}"
        lines += _bullets([(" ", text)])
    return lines


def plain_ledger(evidence: Evidence, everything: bool = False) -> str:
    """Return the ledger as text.

    Args:
        evidence: the judged claims and the records behind them.
        everything: every claim with its rule, the checks of the paper's numbers and the records not used, instead of
            what to try next.
    """
    claims, _, verdicts = evidence.coverage.partition(": ")
    found = _bullets(("-", item.sentence) for item in highlights(evidence))
    lines = [f"{claims}:", f"  {verdicts}", "", *found, *_bullets(("!", line) for line in cautions(evidence))]
    if everything:
        checks = ((SEVERITY_MARKS[item.severity], item.sentence) for item in evidence.findings)
        lines += [*_bullets([("-", provenance_line(evidence))]), "", *_every_claim(evidence), ""]
        lines += [
            "The published numbers checked against each other (! inconsistent, i note, = holds)",
            *_bullets(checks),
        ]
        lines += ["", "Records not used", *_bullets(("-", line) for line in evidence.left_out or ("none",))]
    else:
        page = reports_dir() / "index.html"
        places = {"pictures": shown(reports_dir() / "pictures"), "page, for a browser": shown(page)}
        lines += ["", *_missing(evidence), ""]
        lines += [f"{words:<28} {what}" for words, what in {**places, **NEXT}.items()]
    return "".join(f"{line}\n" for line in lines)
