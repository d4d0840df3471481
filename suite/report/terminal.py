"""The ledger for a person at a terminal: the answer first, details grouped, never wider than the window."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from suite.report.cells import Cell
from suite.report.evidence import Evidence
from suite.report.measured import (
    cautions,
    companion,
    headline_cells,
    network_cells,
    provenance_line,
    setting,
    task_label,
)
from suite.report.numbers import cell_text, claim_label, mark_of, ours_text, published_text
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


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(text, style="bold")


NUMBER_COLUMNS = ("published", "ours", "AP", "AP50", "CPU ms", "wall ms", "claims")


def _print_table(console: Console, titles: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    columns = [TextColumn(title, title in NUMBER_COLUMNS) for title in titles]
    console.print(rich_table(columns, rows, console.width))


def _print_measured(console: Console, evidence: Evidence) -> None:
    accuracy, latencies = headline_cells(evidence), network_cells(evidence)
    _heading(console, "Measured here, on our own data or hardware (nothing published to compare with)")
    if not accuracy and not latencies:
        console.print("nothing yet; run: python -m suite reproduce")
        return
    groups: dict[str, list[tuple[Cell, Cell | None]]] = {}
    for cell, ap50 in accuracy:
        groups.setdefault(", ".join(filter(None, (cell.where, setting(cell)))), []).append((cell, ap50))
    for name, pairs in groups.items():
        rows = []
        for cell, ap50 in pairs:
            seeds = ", ".join(str(sample.seed) for sample in cell.samples if sample.seed is not None)
            rows.append((task_label(cell), _marked(cell), cell_text(ap50) if ap50 else "", seeds))
        _print_table(console, (name, "AP", "AP50", "seeds"), rows)
    for line in cautions(evidence):
        console.print(f"! {line}", style="yellow", highlight=False)
    if latencies:
        console.print()
        networks = []
        for cell in latencies:
            wall = companion(evidence, cell, "latency_wall_ms")
            engine = str(cell.get("runtime"))
            networks.append((cell.model, cell.size, engine, _marked(cell), cell_text(wall) if wall else ""))
        _print_table(console, ("network on one core", "input", "engine", "CPU ms", "wall ms"), networks)


def _marked(cell: Cell) -> str:
    """Print a cell with the marks of its origin and of uncommitted changes."""
    return cell_text(cell) + mark_of(cell)


def _print_compared(console: Console, evidence: Evidence) -> None:
    rows = [row for row in evidence.verdicts if row.word != "not run"]
    if not rows:
        return
    _heading(console, "Set beside the paper")
    lines = []
    for row in rows:
        verdict = Text(row.word, style=VERDICT_STYLES[row.word])
        lines.append((claim_label(row.claim), published_text(row.claim), ours_text(row), verdict, row.reason))
    _print_table(console, ("claim", "published", "ours", "verdict", ""), lines)
    for rule in dict.fromkeys(row.rule for row in rows):
        console.print(f"  {escape(rule)}", style="dim", highlight=False)


def _print_not_run(console: Console, evidence: Evidence) -> None:
    groups = evidence.not_run
    if not groups:
        return
    _heading(console, "Not run, by what it needs (--all lists every claim, --json also the command that decides it)")
    _print_table(console, ("claims", "needs"), [(str(len(rows)), reason) for reason, rows in groups.items()])


def _print_findings(console: Console, evidence: Evidence) -> None:
    _heading(console, "The published numbers checked against each other (! inconsistent, i note, = holds)")
    table = Table.grid(padding=(0, 1))
    for finding in evidence.findings:
        table.add_row(FINDING_MARKS[finding.severity], escape(finding.sentence))
    console.print(table)


def _print_all(console: Console, evidence: Evidence) -> None:
    """Print every claim under its table row's id, which is never broken into pieces."""
    _heading(console, "Every published claim")
    shown = ""
    for row in evidence.verdicts:
        claim, style = row.claim, VERDICT_STYLES[row.word]
        if claim.row_id != shown:
            shown = claim.row_id
            console.print(escape(shown), style="bold", highlight=False)
        name = claim.metric if claim.kind == "absolute" else claim.statement
        ours = f", ours {escape(ours_text(row))}" if row.ours is not None else ""
        text = f"{name}: {published_text(claim)}{ours}: [{style}]{row.word}[/{style}], {escape(row.reason)}"
        console.print(Padding(text, (0, 0, 0, 2)), highlight=False)


def print_ledger(evidence: Evidence, everything: bool, console: Console) -> None:
    """Print the ledger.

    Args:
        evidence: the judged claims and the records behind them.
        everything: list every claim instead of counting those not run by reason.
        console: where to.
    """
    claims, _, verdicts = evidence.coverage.partition(": ")
    console.print(f"{claims}:", style="bold", highlight=False)
    console.print(f"  {verdicts}", style="bold", highlight=False)
    console.print(escape(provenance_line(evidence)), highlight=False)
    _print_measured(console, evidence)
    if everything:
        _print_all(console, evidence)
    else:
        _print_compared(console, evidence)
        _print_not_run(console, evidence)
    _print_findings(console, evidence)
    if evidence.left_out:
        _heading(console, "Records not used")
        for line in evidence.left_out:
            console.print(f"- {escape(line)}", highlight=False)


def plain_ledger(evidence: Evidence, everything: bool = False) -> str:
    """Return the ledger as plain text of at most `WIDTH` columns, for pipes and files."""
    stream = io.StringIO()
    print_ledger(evidence, everything, Console(file=stream, width=WIDTH, color_system=None))
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())
