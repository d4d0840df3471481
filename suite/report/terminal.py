"""The ledger for a person at a terminal: what was found first, never wider than the window."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from suite.report.evidence import Evidence
from suite.report.highlights import highlights
from suite.report.measured import cautions, provenance_line
from suite.report.numbers import ours_text, published_text
from suite.text_table import WIDTH, TextColumn, rich_table

VERDICT_STYLES = {
    "reproduced": "bold green",
    "not reproduced": "bold red",
    "partly": "bold yellow",
    "undecided": "yellow",
    "estimated": "cyan",
    "not run": "dim",
}
FINDING_MARKS = {"inconsistent": "!", "note": "i", "holds": "="}
SHOWN_NEEDS = 5
NEXT = {
    "every claim, and the records not used": "python -m suite ledger --all",
    "every number measured here": "python -m suite records",
    "the run behind a number": "python -m suite explain ratio/coco-latency-512-vs-640",
    "tables, figures and the page": "python -m suite report",
}
"""What to try after the ledger -> its command."""


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(text, style="bold")


def _print_sentences(console: Console, marked: Sequence[tuple[str, str]]) -> None:
    table = Table.grid(padding=(0, 1))
    for mark, sentence in marked:
        table.add_row(mark, escape(sentence))
    console.print(table)


def _print_not_run(console: Console, evidence: Evidence) -> None:
    groups = [(str(len(found)), reason) for reason, found in evidence.not_run.items()]
    if groups:
        _heading(console, "Not run, by what it needs (--json has the command that decides each claim)")
        rest = sum(int(count) for count, _ in groups[SHOWN_NEEDS:])
        rows = groups[:SHOWN_NEEDS] + ([(str(rest), "of other needs")] if rest else [])
        columns = [TextColumn("claims", number=True), TextColumn("needs")]
        console.print(rich_table(columns, rows, console.width))


def _print_all(console: Console, evidence: Evidence) -> None:
    """Print every claim with its rule under its table row's id, which is never broken into pieces."""
    _heading(console, "Every published claim")
    shown = ""
    for row in evidence.verdicts:
        claim, style = row.claim, VERDICT_STYLES[row.word]
        if claim.row_id != shown:
            shown = claim.row_id
            console.print(escape(shown), style="bold", highlight=False)
        name = claim.metric if claim.kind == "absolute" else claim.statement
        ours = f", ours {escape(ours_text(row))}" if row.ours is not None else ""
        rule = f" ({escape(row.rule)})" if row.rule else ""
        text = f"{name}: {published_text(claim)}{ours}: [{style}]{row.word}[/{style}], {escape(row.reason)}{rule}"
        console.print(Padding(text, (0, 0, 0, 2)), highlight=False)


def print_ledger(evidence: Evidence, everything: bool, console: Console) -> None:
    """Print the ledger.

    Args:
        evidence: the judged claims and the records behind them.
        everything: also every claim with its rule, the checks of the paper's numbers, and the records not used.
        console: where to.
    """
    claims, _, verdicts = evidence.coverage.partition(": ")
    console.print(f"{claims}:", style="bold", highlight=False)
    console.print(f"  {verdicts}", style="bold", highlight=False)
    found = highlights(evidence)
    if found:
        _heading(console, "What was found")
        _print_sentences(console, [("-", item.sentence) for item in found])
    for line in cautions(evidence):
        console.print(f"! {escape(line)}", style="yellow", highlight=False)
    if not everything:
        _print_not_run(console, evidence)
        console.print()
        for words, command in NEXT.items():
            console.print(f"{words:<39} {command}", highlight=False)
        return
    console.print(escape(provenance_line(evidence)), highlight=False)
    _print_all(console, evidence)
    _heading(console, "The published numbers checked against each other (! inconsistent, i note, = holds)")
    _print_sentences(console, [(FINDING_MARKS[item.severity], item.sentence) for item in evidence.findings])
    _heading(console, "Records not used")
    for line in evidence.left_out or ("none",):
        console.print(f"- {escape(line)}", highlight=False)


def plain_ledger(evidence: Evidence, everything: bool = False) -> str:
    """Return the ledger as plain text of at most `WIDTH` columns, for pipes and files."""
    stream = io.StringIO()
    print_ledger(evidence, everything, Console(file=stream, width=WIDTH, color_system=None))
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())
