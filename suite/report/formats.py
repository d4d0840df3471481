"""A table as Markdown, CSV, HTML, plain text or LaTeX; each format escapes what it would read as its own."""

from __future__ import annotations

import functools
import re
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import jinja2

from suite.report.table import Table, TableCell, split_column
from suite.text_table import WIDTH, TextColumn, csv_words, text_table, visible

GAP = "\u2013"
MARK_CLASSES = {"e": "estimated", "t": "third-party", "†": "uncommitted"}
LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
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
}
PLAIN_NUMBER = re.compile(r"(-?\d+)(?:\.(\d+))?")
TEXT_WIDTH_PT, COLUMN_WIDTH_PT = 500.0, 236.0
"""Widths of a page and of a column of the usual two-column formats, a little below 7 and 3.3 inches."""
EM_SHARE = 0.58
"""Width of a character of Computer Modern over its size, rather too wide than too narrow."""
LAYOUTS = ((False, 8, 6.0), (True, 8, 6.0), (True, 7, 6.0), (True, 7, 3.0))
"""Whether a table spans both columns, its type size and the gap between columns in points, the first that fits."""


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


def markdown(table: Table, heading: str = "#") -> str:
    """Return title, table, footnotes and notes as GitHub Markdown; the title is a heading of this level."""
    footnotes = table.footnotes
    cells = [[_markdown_cell(cell, footnotes) for cell in row] for row in table.rows]
    lines = [f"| {' | '.join(row)} |" for row in (map(escape_markdown, table.columns), *cells)]
    lines.insert(1, "|" + "|".join("---:" if number else "---" for number in table.numbers) + "|")
    parts = [f"{heading} {escape_markdown(table.title)}", "\n".join(lines) if cells else ""]
    parts += [f"<sup>{number}</sup> {escape_markdown(note)}" for number, note in enumerate(footnotes, start=1)]
    parts += map(escape_markdown, (*table.notes, *table.origin, *table.legend))
    return "\n\n".join(part for part in parts if part) + "\n"


def csv_text(table: Table) -> str:
    """Return CSV with Unix line ends: one header line, plain values, and a last column with each row's notes."""
    notes = []
    for row in table.rows:
        marked = {name: filter(None, (cell.mark, cell.note)) for name, cell in zip(table.columns, row, strict=True)}
        said = {name or "value": ", ".join(parts) for name, parts in marked.items()}
        notes.append(csv_words("; ".join(f"{name}: {words}" for name, words in said.items() if words)))
    frame = table.frame.map(lambda cell: csv_words(cell.text, cell.value is not None))
    text: str = frame.assign(notes=notes).to_csv(index=False, lineterminator="\n")
    return text


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
    environment.filters.update(visible=visible, mark_class=MARK_CLASSES.__getitem__)
    return environment


def html(table: Table) -> str:
    """Return a table for the page, whose values link to their runs, with its footnotes and notes."""
    heads = [(split_column(name)[1], number) for name, number in zip(table.columns, table.numbers, strict=True)]
    return templates().get_template("table.html.j2").render(table=table, heads=heads)


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


def escape_latex(text: str) -> str:
    """Return text that LaTeX prints as it is; accents are left out, and what has no ASCII form is a question mark."""

    def escaped(character: str) -> str:
        ascii_form = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"
        return LATEX_SPECIAL.get(character) or LATEX_SPECIAL.get(ascii_form, ascii_form)

    return "".join(map(escaped, visible(text)))


@dataclass
class _LatexColumn:
    """One column on paper: source of its heading and of its cells, its type, and its width in characters."""

    heading: str
    cells: list[str]
    kind: str
    characters: float


def _latex_column(table: Table, place: int, footnotes: Sequence[str]) -> _LatexColumn:
    """Return a column: numbers of one form are aligned at the decimal point, what is wider is aligned as text."""
    cells = [row[place] for row in table.rows]
    found = [PLAIN_NUMBER.fullmatch(cell.text) for cell in cells]
    marks = [",".join(raised(cell, footnotes)) for cell in cells]
    aligned = table.numbers[place] and all(number or not cell.text for number, cell in zip(found, cells, strict=True))
    digits, decimals = (max((len(number[part] or "") for number in found if number), default=0) for part in (1, 2))
    sources = []
    for cell, mark in zip(cells, marks, strict=True):
        text = escape_latex(cell.text) if cell.text else "{--}" if cell.note else ""
        text = (rf"\bfseries {text}" if aligned else rf"\textbf{{{text}}}") if cell.bold and cell.text else text
        sources.append(text + (rf"\suitemark{{{escape_latex(mark)}}}" if mark and cell.text else ""))
    room = max((len(mark) for mark, cell in zip(marks, cells, strict=True) if cell.text), default=0)
    body: float = max((len(cell.text) + len(mark) for cell, mark in zip(cells, marks, strict=True)), default=1)
    kind = "r" if table.numbers[place] else "l"
    if aligned:
        after = rf",table-space-text-post=\suitemark{{{'0' * room}}}" if room else ""
        kind = f"S[table-format={max(digits, 1)}.{decimals}{after}]"
        body = digits + (decimals + 1 if decimals else 0) + (room + 0.5 if room else 0)
    title = split_column(table.columns[place])[1]
    longest = max(map(len, title.split()), default=1)
    lines = textwrap.wrap(title, max(round(body), longest, 6), break_long_words=False)
    heading = f"{{{_stacked(lines, '[r]' if table.numbers[place] else '[l]')}}}"
    return _LatexColumn(heading, sources, kind, max(body, *map(len, lines)))


def _fitted(columns: list[_LatexColumn]) -> tuple[bool, int, float]:
    """Return whether a table spans both columns, its type size and its column gap in points.

    What is too wide with the smallest of them has its columns of words broken over lines.
    """

    def width(size: int, gap: float) -> float:
        return sum(column.characters * EM_SHARE * size + gap for column in columns)

    for wide, size, gap in LAYOUTS:
        if width(size, gap) <= (TEXT_WIDTH_PT if wide else COLUMN_WIDTH_PT):
            return wide, size, gap
    words = [column for column in columns if column.kind == "l" and any(" " in cell for cell in column.cells)]
    while words and width(size, gap) > TEXT_WIDTH_PT:
        widest = max(words, key=lambda column: column.characters)
        if widest.characters <= max(len(word) for cell in widest.cells for word in cell.split()):
            words.remove(widest)
            continue
        widest.characters -= 1
        widest.kind = rf">{{\raggedright\arraybackslash}}p{{{widest.characters * EM_SHARE * size:.0f}pt}}"
    return wide, size, gap


def _without_repeats(table: Table) -> tuple[Table, list[str]]:
    """Return a table without columns of gaps and of one word throughout, and a note for each of the latter."""
    notes, shown = [], []
    for name, number in zip(table.columns, table.numbers, strict=True):
        texts = {cell.text for cell in table.frame[name]}
        once = len(texts) == 1 and len(table.rows) > 1 and not number
        shown.append(texts != {""} and not once)
        notes += [f"{split_column(name)[1].capitalize()}: {text}." for text in texts if text and once]
    return replace(table, frame=table.frame.loc[:, shown]), notes


def _stacked(lines: Sequence[str], place: str = "") -> str:
    return rf"\shortstack{place}{{" + r" \\{} ".join(map(escape_latex, lines)) + "}"


def latex(table: Table) -> str:
    """Return a ``table``, or a ``table*`` where it is wider than a column, set in 8 or 7 pt and never scaled.

    A gap is a dash without its reason, which the Markdown form gives; machine and commits are a comment.
    """
    footnotes = list(dict.fromkeys(cell.note for row in table.rows for cell in row if cell.note and cell.text))
    table, said_once = _without_repeats(table)
    columns = [_latex_column(table, place, footnotes) for place in range(len(table.columns))]
    wide, size, gap = _fitted(columns)
    environment = "table*" if wide else "table"
    spans, rules, first = [], [], 1
    for group, width in table.groups():
        room = sum(column.characters + 1 for column in columns[first - 1 : first - 1 + width])
        lines = textwrap.wrap(group, max(round(room), 8), break_long_words=False)
        spans.append(rf"\multicolumn{{{width}}}{{c}}{{{_stacked(lines)}}}" if group else " & " * (width - 1))
        rules += [rf"\cmidrule(lr){{{first}-{first + width - 1}}}"] if group else []
        first += width
    notes = [rf"\suitemark{{{number}}} {escape_latex(note)}." for number, note in enumerate(footnotes, start=1)]
    notes += [escape_latex(note) for note in (*said_once, *table.notes, *table.legend)]
    text = [
        r"% Needs \usepackage{array,booktabs,siunitx}. Generated from claims and records; do not edit.",
        *(f"% {escape_latex(line)}" for line in table.origin),
        r"\providecommand{\suitemark}[1]{\raisebox{0.5ex}{\normalfont\fontsize{7}{7}\selectfont\,#1}}",
        rf"\begin{{{environment}}}",
        r"\centering\sisetup{mode=text,reset-text-series=false}",
        rf"\caption{{{escape_latex(table.title)}}}",
        rf"\label{{tab:{table.name.replace('_', '-')}}}",
        rf"\fontsize{{{size}}}{{{size * 1.2:.1f}}}\selectfont\setlength{{\tabcolsep}}{{{gap / 2:g}pt}}",
        rf"\begin{{tabular}}{{{''.join(column.kind for column in columns)}}}",
        r"\toprule",
        *([" & ".join(spans) + r" \\", " ".join(rules)] if rules else []),
        " & ".join(column.heading for column in columns) + r" \\",
        r"\midrule",
        *(" & ".join(cells) + r" \\" for cells in zip(*(column.cells for column in columns), strict=True)),
        r"\bottomrule",
        r"\end{tabular}",
        *([r"\par\smallskip\fontsize{7}{8.4}\selectfont\raggedright " + " ".join(notes)] if notes else []),
        rf"\end{{{environment}}}",
    ]
    return "\n".join(text) + "\n"
