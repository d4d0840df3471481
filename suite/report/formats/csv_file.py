"""A table as CSV: one header line, plain values, and a last column with the notes of each row's cells."""

from __future__ import annotations

import csv
import io

from suite.report.table import Table


def _title(group: str, title: str) -> str:
    return f"{group}: {title}" if group else title


def render(table: Table) -> str:
    """Return CSV with Unix line ends; marks and footnotes are written out in the column ``notes``."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    titles = [_title(column.group, column.title) for column in table.columns]
    writer.writerow([*titles, "notes"])
    for row in table.rows:
        notes = [
            f"{title or 'value'}: {', '.join(part for part in (cell.mark, cell.note) if part)}"
            for title, cell in zip(titles, row, strict=True)
            if cell.mark or cell.note
        ]
        writer.writerow([*(cell.text for cell in row), "; ".join(notes)])
    return stream.getvalue()
