"""The ledger and what a reader sees first: in README.md, in ``reports/ledger.md``, on the page and on a terminal.

README.md holds the first findings between two markers, so that no number in it is typed by hand.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from suite.errors import InputError
from suite.paths import reports_dir, shown
from suite.report.commands import cost_table
from suite.report.evidence import Evidence
from suite.report.findings import Highlight, highlights
from suite.report.formats import escape_markdown, markdown, visible
from suite.report.numbers import claim_label, ours_text, published_text
from suite.report.rules import rules
from suite.report.table import Row, Table, TableCell, make_table
from suite.text_table import WIDTH, TextColumn, text_table

BEGIN, END = "<!-- begin: results -->", "<!-- end: results -->"
IN_README = 5
"""Findings that README shows."""
SEVERITY_MARKS = {"inconsistent": "!", "note": "i", "holds": "="}
SHOWN_NEEDS = 4
NEXT = {
    "every claim with its rule": "python -m suite ledger --all",
    "the run behind a number": "python -m suite explain ratio/coco-latency-512-vs-640",
    "your own picture": "python -m suite predict photo.jpg --save drawn",
}
"""What to try after the ledger -> its command."""


def ledger(evidence: Evidence) -> Table:
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
        for verdict in sorted(evidence.verdicts.values(), key=lambda item: (item.word == "not run", not item.claim.own))
    ]
    findings = [f"{finding.severity}: {finding.sentence}." for finding in evidence.findings]
    notes = ("The published numbers against each other:", *findings)
    return make_table("ledger", "Ledger: every published number and its verdict", rows, notes, origin=evidence.origin)


def judged_table(evidence: Evidence) -> Table:
    """Return the claims that have a verdict other than "not run", with the factor of ratios."""
    rows: list[Row] = [
        {
            "the paper claims": claim_label(verdict.claim),
            "published": TableCell(published_text(verdict.claim), verdict.claim.value),
            "here": TableCell(ours_text(verdict), verdict.ours, runs=verdict.run_ids),
            "verdict": TableCell(verdict.word, bold=True, note=verdict.rule),
            "found": verdict.reason,
        }
        for verdict in evidence.verdicts.values()
        if verdict.word != "not run"
    ]
    changes = [f"Rule {change.rule}, changed {change.date}: {change.what}." for change in rules().change]
    return make_table("judged", "Claims that have a verdict", rows, changes if rows else ())


def _bullet(item: Highlight, reports: str) -> str:
    figure = f"[figure]({reports}figures/{item.figure}.png), " if item.figure else ""
    return f"- {escape_markdown(item.sentence)} ({figure}`{item.command}`)"


def results_block(evidence: Evidence) -> str:
    """Return README's generated part: the first findings, the counts of verdicts, the main figure."""
    parts = [
        "\n".join(_bullet(item, "reports/") for item in highlights(evidence)[:IN_README]),
        f"**{evidence.coverage}.** [The ledger](reports/ledger.md) has each of them with its reason, and what the "
        "missing ones would cost.",
        " ".join(map(escape_markdown, evidence.cautions)),
        "![AP against latency](reports/figures/ap_latency.png)",
        escape_markdown(evidence.provenance),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def ledger_page(evidence: Evidence, table: Table) -> str:
    """Return ``reports/ledger.md``: findings, judged claims, what is missing with its cost, then every claim."""
    parts = [f"# {escape_markdown(table.title)}", "\n".join(_bullet(item, "") for item in highlights(evidence))]
    parts += [markdown(part, "##").strip() for part in (judged_table(evidence), cost_table(evidence)) if part.rows]
    return "\n\n".join(part for part in (*parts, markdown(table, "##")) if part)


def with_block(readme: str, block: str) -> str:
    """Return README's text with the generated part replaced.

    Raises:
        InputError: if the two markers are not there exactly once and in order.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise InputError(f"README.md: needs one line {BEGIN} and, after it, one line {END}; put them back")
    head, rest = readme.split(BEGIN)
    return f"{head}{BEGIN}\n{block}{END}{rest.split(END)[1]}"


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
    for verdict in evidence.verdicts.values():
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
    """Return the ledger as text of at most 100 columns.

    Args:
        evidence: the judged claims and the records behind them.
        everything: every claim with its rule, the checks of the paper's numbers and the records not used, instead of
            where the pictures lie, what is missing and what to try next.
    """
    claims, _, verdicts = evidence.coverage.partition(": ")
    found = _bullets(("-", item.sentence) for item in highlights(evidence))
    lines = [f"{claims}:", f"  {verdicts}", "", *found, *_bullets(("!", line) for line in evidence.cautions)]
    if everything:
        lines += [*_bullets([("-", evidence.provenance)]), "", *_every_claim(evidence), ""]
        lines.append("The published numbers checked against each other (! inconsistent, i note, = holds)")
        lines += _bullets((SEVERITY_MARKS[item.severity], item.sentence) for item in evidence.findings)
        lines += ["", "Records not used", *_bullets(("-", line) for line in evidence.left_out or ("none",))]
    else:
        places = {"pictures": reports_dir() / "pictures", "page, for a browser": reports_dir() / "index.html"}
        tried = {**{words: shown(path) for words, path in places.items()}, **NEXT}
        lines += ["", *_missing(evidence), "", *(f"{words:<28} {what}" for words, what in tried.items())]
    return "".join(f"{line}\n" for line in lines)
