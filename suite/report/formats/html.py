"""A table as HTML for the page: sortable columns, origins as classes, values linked to their runs."""

from __future__ import annotations

from html import escape

from suite.report.table import Column, Table, TableCell, footnote_number

MARK_CLASSES = {"e": "estimated", "s": "server", "t": "third-party", "†": "uncommitted"}


def run_anchor(run_id: str) -> str:
    """Return the id of a run's section on the page."""
    return f"run-{run_id}"


def _cell(cell: TableCell, column: Column, footnotes: list[str], prefix: str) -> str:
    text = escape(cell.text)
    if cell.runs:
        text = f'<a href="#{escape(run_anchor(cell.runs[-1]))}">{text}</a>'
    if cell.bold:
        text = f"<strong>{text}</strong>"
    number = footnote_number(cell, footnotes)
    raised = [escape(cell.mark)] if cell.mark else []
    raised += [f'<a href="#{prefix}-note-{number}">{number}</a>'] if number else []
    if not text and raised:
        text = '<span class="gap">\u2013</span>'
    text += f"<sup>{','.join(raised)}</sup>" if raised else ""
    classes = ["number"] if column.align == "right" else []
    classes += [MARK_CLASSES[letter] for letter in cell.mark if letter in MARK_CLASSES]
    attributes = f' class="{" ".join(classes)}"' if classes else ""
    if cell.value is not None:
        attributes += f' data-value="{cell.value!r}"'
    return f"<td{attributes}>{text}</td>"


def render_rows(table: Table) -> str:
    """Return the table element alone."""
    footnotes = table.footnotes()
    lines = ["<thead>"]
    if any(column.group for column in table.columns):
        spans = "".join(
            f'<th colspan="{width}" scope="colgroup">{escape(group)}</th>' for group, width in table.groups()
        )
        lines.append(f'<tr class="groups">{spans}</tr>')
    heads = "".join(
        f'<th scope="col"{" class=number" if column.align == "right" else ""}>'
        f'<button type="button">{escape(column.title)}</button></th>'
        for column in table.columns
    )
    lines += [f"<tr>{heads}</tr>", "</thead>", "<tbody>"]
    for row in table.rows:
        cells = (_cell(cell, column, footnotes, table.name) for cell, column in zip(row, table.columns, strict=True))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    body = "\n".join([*lines, "</tbody>"])
    return f'<div class="scroll"><table id="table-{escape(table.name)}" class="sortable">\n{body}\n</table></div>\n'


def render_notes(table: Table) -> str:
    """Return footnotes and notes."""
    items = [
        f'<li id="{escape(table.name)}-note-{number}">{escape(note)}</li>'
        for number, note in enumerate(table.footnotes(), start=1)
    ]
    lists = f'<ol class="notes">{"".join(items)}</ol>\n' if items else ""
    return lists + "".join(f'<p class="notes">{escape(note)}</p>\n' for note in table.notes)


def render(table: Table) -> str:
    """Return a section with heading, table, footnotes and notes."""
    return (
        f'<section id="{escape(table.name)}">\n<h2>{escape(table.title)}</h2>\n'
        f"{render_rows(table)}{render_notes(table)}</section>\n"
    )
