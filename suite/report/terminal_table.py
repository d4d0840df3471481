"""A table of the report as plain text for a terminal: columns aligned, footnotes below."""

from __future__ import annotations

import textwrap

from suite.report.table import Table, footnote_number

NOTE_WIDTH = 100


def plain_table(table: Table) -> str:
    """Return title, aligned columns and numbered footnotes; rows are never broken, so pipes can read them."""
    footnotes = table.footnotes()
    titles = [column.title for column in table.columns]
    lines = [titles]
    for row in table.rows:
        numbers = [footnote_number(cell, footnotes) for cell in row]
        lines.append(
            [cell.text + (f" ({number})" if number else "") for cell, number in zip(row, numbers, strict=True)]
        )
    widths = [max(len(line[place]) for line in lines) for place in range(len(titles))]
    text = [table.title, ""]
    for line in lines:
        cells = [
            cell.rjust(width) if column.align == "right" else cell.ljust(width)
            for cell, width, column in zip(line, widths, table.columns, strict=True)
        ]
        text.append("  ".join(cells).rstrip())
    notes = [f"({number}) {note}" for number, note in enumerate(footnotes, start=1)] + list(table.notes)
    if notes:
        text.append("")
        text += [textwrap.fill(note, NOTE_WIDTH, subsequent_indent="    ") for note in notes]
    return "\n".join(text) + "\n"
