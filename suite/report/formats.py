"""A table as Markdown, CSV, LaTeX, HTML or plain text; each format escapes what it would read as its own."""

from __future__ import annotations

import csv
import io
import re
import textwrap
from html import escape

from suite.report.table import Table, TableCell, split_column
from suite.text_table import WIDTH, TextColumn, text_table

GAP = "\u2013"
MARK_CLASSES = {"e": "estimated", "t": "third-party", "†": "uncommitted"}
LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "\u2013": "--",
    "\u00d7": r"$\times$",
    "†": r"\textdagger{}",
    "Δ": r"$\Delta$",
    "\n": " ",
}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""First characters by which a spreadsheet takes a cell of words for a formula."""

SIGNED_NUMBER = re.compile(r"[+-]\d+(\.\d+)?( ?(%|AP))?")


def _visible(text: str) -> str:
    """Return text without control characters, so that none reaches a terminal; line ends become spaces."""
    return "".join(character if character.isprintable() else " " if character.isspace() else "" for character in text)


def _raised(cell: TableCell, footnotes: list[str]) -> list[str]:
    """Return what stands raised behind a cell: its mark and the number of its footnote."""
    number = str(footnotes.index(cell.note) + 1) if cell.note else ""
    return [part for part in (cell.mark, number) if part]


def escape_markdown(text: str) -> str:
    """Return text that Markdown prints as it is, inside a table cell, too."""
    for character in "\\|*_<>[]`":
        text = text.replace(character, "\\" + character)
    return _visible(text)


def _markdown_cell(cell: TableCell, footnotes: list[str]) -> str:
    text = escape_markdown(cell.text)
    raised = ",".join(_raised(cell, footnotes))
    text = f"**{text}**" if cell.bold and text else text or (GAP if raised else "")
    return text + (f"<sup>{raised}</sup>" if raised else "")


def markdown_body(table: Table) -> str:
    """Return the table alone as GitHub Markdown, without title, footnotes and notes."""
    footnotes = table.footnotes
    lines = [
        "| " + " | ".join(escape_markdown(name) for name in table.columns) + " |",
        "|" + "|".join("---:" if number else "---" for number in table.numbers) + "|",
    ]
    lines += ["| " + " | ".join(_markdown_cell(cell, footnotes) for cell in row) + " |" for row in table.rows]
    return "\n".join(lines) + "\n"


def markdown_notes(table: Table) -> str:
    """Return footnotes and notes, a paragraph each; empty where there are none."""
    lines = [f"<sup>{number}</sup> {escape_markdown(note)}" for number, note in enumerate(table.footnotes, start=1)]
    return "\n\n".join([*lines, *map(escape_markdown, table.notes)])


def markdown(table: Table) -> str:
    """Return title, table, footnotes and notes as GitHub Markdown."""
    parts = [f"# {escape_markdown(table.title)}", markdown_body(table).strip() if table.rows else ""]
    return "\n\n".join(part for part in (*parts, markdown_notes(table)) if part) + "\n"


def _csv_text(text: str, is_number: bool = False) -> str:
    """Return text that no spreadsheet takes for a formula."""
    plain = _visible(text)
    harmless = is_number or SIGNED_NUMBER.fullmatch(plain)
    return f"'{plain}" if not harmless and plain.startswith(FORMULA_STARTS) else plain


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
        texts = [_csv_text(cell.text, cell.value is not None) for cell in row]
        writer.writerow([*texts, _csv_text("; ".join(notes))])
    return stream.getvalue()


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is; a character that plain LaTeX fonts lack becomes a question mark."""
    return "".join(
        LATEX_SPECIAL.get(character, character if ord(character) < 127 else "?") for character in _visible(text)
    )


def _latex_cell(cell: TableCell, footnotes: list[str]) -> str:
    text = escape_latex(cell.text)
    raised = ",".join(map(escape_latex, _raised(cell, footnotes)))
    text = rf"\textbf{{{text}}}" if cell.bold and text else text or ("--" if raised else "")
    return text + (rf"\textsuperscript{{{raised}}}" if raised else "")


def _latex_header(table: Table) -> list[str]:
    lines = []
    if any(group for group, _ in table.groups()):
        spans, rules, first = [], [], 1
        for group, width in table.groups():
            spans.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(group)}}}" if group else " & " * (width - 1))
            rules += [rf"\cmidrule(lr){{{first}-{first + width - 1}}}"] if group else []
            first += width
        lines += [" & ".join(spans) + r" \\", " ".join(rules)]
    return [*lines, " & ".join(escape_latex(split_column(name)[1]) for name in table.columns) + r" \\"]


def latex(table: Table) -> str:
    """Return a ``table`` environment with booktabs, scaled down to the text's width where it is wider."""
    footnotes = table.footnotes
    spec = "".join("r" if number else "l" for number in table.numbers)
    notes = [rf"\textsuperscript{{{number}}} {escape_latex(note)}" for number, note in enumerate(footnotes, start=1)]
    notes += [escape_latex(note) for note in table.notes]
    lines = [
        r"% Needs \usepackage{booktabs,graphicx}. Generated from claims and records; do not edit.",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(table.title)}}}",
        rf"\label{{tab:{table.name.replace('_', '-')}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        *_latex_header(table),
        r"\midrule",
        *(" & ".join(_latex_cell(cell, footnotes) for cell in row) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}}",
        *([r"\par\smallskip\footnotesize\raggedright", r"\\".join(notes)] if notes else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _html_text(text: str) -> str:
    return escape(_visible(text))


def run_anchor(run_id: str) -> str:
    """Return the id of a run's section on the page."""
    return f"run-{run_id}"


def _html_cell(cell: TableCell, is_number: bool, footnotes: list[str], prefix: str) -> str:
    text = _html_text(cell.text)
    if cell.runs:
        text = f'<a href="#{escape(run_anchor(cell.runs[-1]))}">{text}</a>'
    if cell.bold:
        text = f"<strong>{text}</strong>"
    raised = [escape(cell.mark)] if cell.mark else []
    if cell.note:
        number = footnotes.index(cell.note) + 1
        raised.append(f'<a href="#{prefix}-note-{number}">{number}</a>')
    if not cell.text and raised:
        text = f'<span class="gap">{GAP}</span>'
    text += f"<sup>{','.join(raised)}</sup>" if raised else ""
    classes = ["number"] if is_number else []
    classes += [MARK_CLASSES[letter] for letter in cell.mark if letter in MARK_CLASSES]
    attributes = f' class="{" ".join(classes)}"' if classes else ""
    return f"<td{attributes}>{text}</td>"


def html(table: Table) -> str:
    """Return a table for the page, whose values link to their runs, with its footnotes and notes."""
    footnotes, name = table.footnotes, escape(table.name)
    lines = ['<div class="scroll">', f'<table id="table-{name}">', "<thead>"]
    if any(group for group, _ in table.groups()):
        spans = (f'<th colspan="{width}" scope="colgroup">{_html_text(group)}</th>' for group, width in table.groups())
        lines.append(f'<tr class="groups">{"".join(spans)}</tr>')
    heads = (
        f'<th scope="col"{" class=number" if number else ""}>{_html_text(split_column(column)[1])}</th>'
        for column, number in zip(table.columns, table.numbers, strict=True)
    )
    lines += [f"<tr>{''.join(heads)}</tr>", "</thead>", "<tbody>"]
    for row in table.rows:
        cells = (_html_cell(cell, number, footnotes, name) for cell, number in zip(row, table.numbers, strict=True))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines += ["</tbody>", "</table></div>"]
    items = [f'<li id="{name}-note-{number}">{_html_text(note)}</li>' for number, note in enumerate(footnotes, start=1)]
    lines += [f'<ol class="notes">{"".join(items)}</ol>'] if items else []
    lines += [f'<p class="notes">{_html_text(note)}</p>' for note in table.notes]
    return "\n".join(lines) + "\n"


def plain(table: Table) -> str:
    """Return title, aligned columns and numbered footnotes for a terminal, in at most 100 columns."""
    footnotes = table.footnotes
    rows = []
    for row in table.rows:
        numbers = [f" ({footnotes.index(cell.note) + 1})" if cell.note else "" for cell in row]
        rows.append([_visible(cell.text) + number for cell, number in zip(row, numbers, strict=True)])
    columns = [TextColumn(name, number) for name, number in zip(table.columns, table.numbers, strict=True)]
    text = [_visible(table.title), "", *text_table(columns, rows)]
    notes = [f"({number}) {note}" for number, note in enumerate(footnotes, start=1)] + list(table.notes)
    text += [""] if notes else []
    text += [textwrap.fill(_visible(note), WIDTH, subsequent_indent="    ") for note in notes]
    return "\n".join(text) + "\n"
