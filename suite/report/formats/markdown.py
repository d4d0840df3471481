"""A table as GitHub Markdown."""

from __future__ import annotations

from suite.report.table import Table, TableCell, footnote_number


def escaped(text: str) -> str:
    """Return text that Markdown prints as it is inside a table cell."""
    for character in "\\|*_<>[]`":
        text = text.replace(character, "\\" + character)
    return text.replace("\n", " ")


def _cell(cell: TableCell, footnotes: list[str]) -> str:
    text = escaped(cell.text)
    if cell.bold:
        text = f"**{text}**"
    number = footnote_number(cell, footnotes)
    raised = ",".join(part for part in (cell.mark, str(number) if number else "") if part)
    if not text and raised:
        text = "\u2013"
    return text + (f"<sup>{raised}</sup>" if raised else "")


def render_body(table: Table) -> str:
    """Return the table alone, without title, footnotes and notes."""
    footnotes = table.footnotes()
    titles = [f"{column.group}: {column.title}" if column.group else column.title for column in table.columns]
    lines = [
        "| " + " | ".join(escaped(title) for title in titles) + " |",
        "|" + "|".join("---:" if column.align == "right" else "---" for column in table.columns) + "|",
    ]
    lines += ["| " + " | ".join(_cell(cell, footnotes) for cell in row) + " |" for row in table.rows]
    return "\n".join(lines) + "\n"


def render_notes(table: Table) -> str:
    """Return footnotes and notes as one paragraph each."""
    footnotes = [f"<sup>{number}</sup> {escaped(note)}" for number, note in enumerate(table.footnotes(), start=1)]
    return "".join(f"{line}\n\n" for line in [*footnotes, *map(escaped, table.notes)]).rstrip("\n") + "\n"


def render(table: Table) -> str:
    """Return title, table, footnotes and notes."""
    body = f"# {escaped(table.title)}\n\n{render_body(table)}"
    return f"{body}\n{render_notes(table)}" if table.footnotes() or table.notes else body
