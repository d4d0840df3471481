"""What a reader sees first: the findings, the claims that have a verdict, and what the others would cost.

README.md holds the first findings between two markers, so that no number in it is typed by hand; ``reports/ledger.md``
opens with all of them.
"""

from __future__ import annotations

from suite.errors import InputError
from suite.report.commands import cost_table
from suite.report.evidence import Evidence
from suite.report.formats import escape_markdown, markdown
from suite.report.highlights import Highlight, highlights
from suite.report.measured import cautions, provenance_line
from suite.report.numbers import claim_label, ours_text, published_text
from suite.report.rules import rules
from suite.report.table import Row, Table, TableCell, make_table

BEGIN, END = "<!-- begin: results -->", "<!-- end: results -->"
IN_README = 5
"""Findings that README shows."""


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
        for verdict in evidence.verdicts
        if verdict.word != "not run" and verdict.ours is not None
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
        " ".join(map(escape_markdown, cautions(evidence))),
        "![AP against latency](reports/figures/ap_latency.png)",
        escape_markdown(provenance_line(evidence)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def ledger_page(evidence: Evidence, ledger: Table) -> str:
    """Return ``reports/ledger.md``: findings, judged claims, what is missing with its cost, then every claim."""
    parts = [f"# {escape_markdown(ledger.title)}"]
    parts.append("\n".join(_bullet(item, "") for item in highlights(evidence)))
    parts += [markdown(table, "##").strip() for table in (judged_table(evidence), cost_table(evidence)) if table.rows]
    parts.append(markdown(ledger, "##"))
    return "\n\n".join(part for part in parts if part)


def with_block(readme: str, block: str, name: str = "README.md") -> str:
    """Return README's text with the generated part replaced.

    Raises:
        InputError: if the two markers are not there exactly once and in order.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise InputError(f"{name}: needs one line {BEGIN} and, after it, one line {END}; put them back")
    head, rest = readme.split(BEGIN)
    return f"{head}{BEGIN}\n{block}{END}{rest.split(END)[1]}"
