"""The part of README.md that is generated: between two markers, so that no number in it is typed by hand."""

from __future__ import annotations

from suite.errors import InputError
from suite.report.evidence import Evidence
from suite.report.formats import escape_markdown, markdown_body, markdown_notes
from suite.report.highlights import Highlight, highlights
from suite.report.measured import cautions, provenance_line
from suite.report.numbers import claim_label, published_text, value_text
from suite.report.table import Row, Table, TableCell, make_table

BEGIN, END = "<!-- begin: results -->", "<!-- end: results -->"
PICTURES = ("shapes_masks", "shapes_tracks")


def missing_table(evidence: Evidence) -> Table:
    """Return what is missing, a row for each need of claims that were not run, the largest group first."""
    rows: list[Row] = [
        {
            "claims not run": TableCell(str(len(group)), len(group)),
            "what they need": reason,
            "then decided by": next((row.command for row in group if row.command), "no command of this suite"),
        }
        for reason, group in evidence.not_run.items()
    ]
    return make_table("readme-missing", "", rows)


def claims_table(evidence: Evidence) -> Table:
    """Return the claims that have a verdict other than "not run"."""
    rows: list[Row] = [
        {
            "the paper claims": claim_label(verdict.claim),
            "published": TableCell(published_text(verdict.claim), verdict.claim.value),
            "here": TableCell(value_text(verdict.ours, verdict.claim.unit), verdict.ours),
            "verdict": TableCell(verdict.word, bold=True, note=verdict.rule),
        }
        for verdict in evidence.verdicts
        if verdict.word != "not run" and verdict.ours is not None
    ]
    return make_table("readme-claims", "", rows)


def _highlight(item: Highlight) -> str:
    figure = f"[figure](reports/figures/{item.figure}.png), " if item.figure else ""
    return f"- {escape_markdown(item.sentence)} ({figure}`{item.command}`)"


def results_block(evidence: Evidence) -> str:
    """Return the generated part: findings, verdicts, what is missing, pictures."""
    parts = ["\n".join(map(_highlight, highlights(evidence)))]
    parts.append(f"**{evidence.coverage}.** Each one, with the reason and the command: [ledger](reports/ledger.md).")
    for table in (claims_table(evidence), missing_table(evidence)):
        if table.rows:
            parts += [markdown_body(table).strip(), markdown_notes(table)]
    parts.append("\n".join(escape_markdown(line) for line in cautions(evidence)))
    artifacts = evidence.artifacts
    for name in PICTURES:
        if name in artifacts:
            caption = escape_markdown(artifacts[name].caption)
            parts.append(f"![{caption}]({artifacts[name].path})\n\n*{caption}*")
    parts += ["![AP against latency](reports/figures/ap_latency.png)", escape_markdown(provenance_line(evidence))]
    return "\n\n".join(part for part in parts if part) + "\n"


def with_block(readme: str, block: str, name: str = "README.md") -> str:
    """Return README's text with the generated part replaced.

    Raises:
        InputError: if the two markers are not there exactly once and in order.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise InputError(f"{name}: needs one line {BEGIN} and, after it, one line {END}; put them back")
    head, rest = readme.split(BEGIN)
    return f"{head}{BEGIN}\n{block}{END}{rest.split(END)[1]}"
