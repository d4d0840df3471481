"""A table as Markdown, CSV, HTML or plain text; each format escapes what it would read as its own."""

from __future__ import annotations

import csv
import functools
import io
import re
import textwrap
from collections.abc import Sequence

import jinja2

from suite.report.table import Table, TableCell, split_column
from suite.text_table import WIDTH, TextColumn, text_table

GAP = "\u2013"
MARK_CLASSES = {"e": "estimated", "t": "third-party", "†": "uncommitted"}
FORMULA_STARTS = ("=", "+", "-", "@")
"""First characters by which a spreadsheet takes a cell of words for a formula."""
SIGNED_NUMBER = re.compile(r"[+-]\d+(\.\d+)?( ?(%|AP))?")


def visible(text: str) -> str:
    """Return text without control characters, so that none reaches a terminal; line ends become spaces."""
    return "".join(character if character.isprintable() else " " if character.isspace() else "" for character in text)


def raised(cell: TableCell, footnotes: Sequence[str]) -> list[str]:
    """Return what stands raised behind a cell: its mark and the number of its footnote."""
    number = str(footnotes.index(cell.note) + 1) if cell.note in footnotes else ""
    return [part for part in (cell.mark, number) if part]


def escape_markdown(text: str) -> str:
    """Return text that Markdown prints as it is, inside a table cell, too."""
    for character in "\\|*_<>[]`":
        text = text.replace(character, "\\" + character)
    return visible(text)


def _markdown_cell(cell: TableCell, footnotes: Sequence[str]) -> str:
    text = escape_markdown(cell.text)
    above = ",".join(raised(cell, footnotes))
    text = f"**{text}**" if cell.bold and text else text or (GAP if above else "")
    return text + (f"<sup>{above}</sup>" if above else "")


def markdown_body(table: Table) -> str:
    """Return the table alone as GitHub Markdown, without title, footnotes and notes."""
    footnotes = table.footnotes
    lines = [
        "| " + " | ".join(escape_markdown(name) for name in table.columns) + " |",
        "|" + "|".join("---:" if number else "---" for number in table.numbers) + "|",
    ]
    lines += ["| " + " | ".join(_markdown_cell(cell, footnotes) for cell in row) + " |" for row in table.rows]
    return "\n".join(lines) + "\n"


def markdown(table: Table, heading: str = "#") -> str:
    """Return title, table, footnotes and notes as GitHub Markdown; the title is a heading of this level."""
    parts = [f"{heading} {escape_markdown(table.title)}", markdown_body(table).strip() if table.rows else ""]
    parts += [f"<sup>{number}</sup> {escape_markdown(note)}" for number, note in enumerate(table.footnotes, start=1)]
    parts += map(escape_markdown, (*table.notes, *table.origin, *table.legend))
    return "\n\n".join(part for part in parts if part) + "\n"


def csv_words(text: str, is_number: bool = False) -> str:
    """Return text that no spreadsheet takes for a formula; a number with its sign stays as it is."""
    plain_text = visible(text)
    harmless = is_number or SIGNED_NUMBER.fullmatch(plain_text)
    return f"'{plain_text}" if not harmless and plain_text.startswith(FORMULA_STARTS) else plain_text


def csv_text(table: Table) -> str:
    """Return CSV with Unix line ends: one header line, plain values, and a last column with each row's notes."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*table.columns, "notes"])
    for row in table.rows:
        notes = [
            f"{name or 'value'}: {', '.join(part for part in (cell.mark, cell.note) if part)}"
            for name, cell in zip(table.columns, row, strict=True)
            if cell.mark or cell.note
        ]
        texts = [csv_words(cell.text, cell.value is not None) for cell in row]
        writer.writerow([*texts, csv_words("; ".join(notes))])
    return stream.getvalue()


@functools.cache
def templates() -> jinja2.Environment:
    """Return the templates of the page and of its tables."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("suite.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["visible"] = visible
    return environment


def run_anchor(run_id: str) -> str:
    """Return the id of a run's section on the page."""
    return f"run-{run_id}"


def html(table: Table) -> str:
    """Return a table for the page, whose values link to their runs, with its footnotes and notes."""
    footnotes = table.footnotes
    rows = [
        [
            {
                "text": cell.text,
                "bold": cell.bold,
                "mark": cell.mark,
                "number": footnotes.index(cell.note) + 1 if cell.note else 0,
                "run": run_anchor(cell.runs[-1]) if cell.runs else "",
                "classes": " ".join(
                    ["number"] * number + [MARK_CLASSES[letter] for letter in cell.mark if letter in MARK_CLASSES]
                ),
            }
            for cell, number in zip(row, table.numbers, strict=True)
        ]
        for row in table.rows
    ]
    return (
        templates()
        .get_template("table.html.j2")
        .render(
            table=table,
            footnotes=footnotes,
            grouped=any(group for group, _ in table.groups()),
            heads=[(split_column(name)[1], number) for name, number in zip(table.columns, table.numbers, strict=True)],
            rows=rows,
            notes=(*table.notes, *table.legend),
        )
    )


def plain(table: Table) -> str:
    """Return title, aligned columns and numbered footnotes for a terminal, in at most 100 columns."""
    footnotes = table.footnotes
    rows = []
    for row in table.rows:
        numbers = [f" ({footnotes.index(cell.note) + 1})" if cell.note else "" for cell in row]
        rows.append([visible(cell.text) + number for cell, number in zip(row, numbers, strict=True)])
    columns = [TextColumn(name, number) for name, number in zip(table.columns, table.numbers, strict=True)]
    text = [visible(table.title), "", *text_table(columns, rows)]
    notes = [f"({number}) {note}" for number, note in enumerate(footnotes, start=1)]
    notes += [*table.notes, *table.origin, *table.legend]
    text += [""] if notes else []
    text += [textwrap.fill(visible(note), WIDTH, subsequent_indent="    ") for note in notes]
    return "\n".join(text) + "\n"
