"""The ledger for a person at a terminal: what was found first, never wider than the window."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from suite.report.cells import Cell
from suite.report.evidence import Evidence
from suite.report.highlights import highlights
from suite.report.measured import cautions, companion, headline_cells, network_cells, provenance_line, setting
from suite.report.models import display_name
from suite.report.numbers import cell_text, mark_of, ours_text, published_text
from suite.text_table import WIDTH, TextColumn, rich_table

VERDICT_STYLES = {
    "reproduced": "bold green",
    "not reproduced": "bold red",
    "partly": "bold yellow",
    "undecided": "yellow",
    "estimated": "cyan",
    "not run": "dim",
}
NUMBER_COLUMNS = ("AP", "AP50", "CPU ms", "wall ms", "claims")
FINDING_MARKS = {"inconsistent": "!", "note": "i", "holds": "="}
SHOWN_NEEDS = 5
NEXT = {
    "every claim, and the records not used": "python -m suite ledger --all",
    "the run behind a number": "python -m suite explain ratio/coco-latency-512-vs-640",
    "tables, figures and the page": "python -m suite report",
}
"""What to try after the ledger -> its command."""


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(text, style="bold")


def _print_table(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    columns = [TextColumn(title, title in NUMBER_COLUMNS) for title in titles]
    console.print(rich_table(columns, rows, console.width))


def _print_sentences(console: Console, marked: Sequence[tuple[str, str]]) -> None:
    table = Table.grid(padding=(0, 1))
    for mark, sentence in marked:
        table.add_row(mark, escape(sentence))
    console.print(table)


def _marked(cell: Cell | None) -> str:
    """Print a cell with the marks of its origin and of uncommitted changes; empty where there is none."""
    return "" if cell is None else cell_text(cell) + mark_of(cell)


def _print_measured(console: Console, evidence: Evidence, everything: bool) -> None:
    accuracy, latencies = headline_cells(evidence), network_cells(evidence)
    _heading(console, "Measured here, on our own data or hardware (nothing published to compare with)")
    if not accuracy and not latencies:
        console.print("nothing yet; run: python -m suite reproduce")
        return
    groups: dict[str, list[tuple[str, ...]]] = {}
    for label, cell, ap50 in accuracy:
        seeds = ", ".join(str(sample.seed) for sample in cell.samples if sample.seed is not None)
        name = ", ".join(filter(None, (cell.where, setting(cell))))
        groups.setdefault(name, []).append((label, _marked(cell), _marked(ap50), seeds))
    for name, rows in groups.items():
        _print_table(console, (name, "AP", "AP50", "seeds"), rows)
    for line in cautions(evidence):
        console.print(f"! {escape(line)}", style="yellow", highlight=False)
    if latencies and everything:
        console.print()
        networks = []
        for cell in latencies:
            wall = companion(evidence, cell, "latency_wall_ms")
            engine = str(cell.get("runtime"))
            networks.append((display_name(cell.model), cell.size, engine, _marked(cell), _marked(wall)))
        _print_table(console, ("network on one core", "input", "engine", "CPU ms", "wall ms"), networks)


def _print_not_run(console: Console, evidence: Evidence) -> None:
    groups = [(str(len(found)), reason) for reason, found in evidence.not_run.items()]
    if groups:
        _heading(console, "Not run, by what it needs (--json has the command that decides each claim)")
        rest = sum(int(count) for count, _ in groups[SHOWN_NEEDS:])
        rows = groups[:SHOWN_NEEDS] + ([(str(rest), "of other needs")] if rest else [])
        _print_table(console, ("claims", "needs"), rows)


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
    _print_measured(console, evidence, everything)
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
