"""A table as LaTeX with booktabs; the document needs the packages booktabs and graphicx."""

from __future__ import annotations

from suite.report.table import Table, TableCell, footnote_number

SPECIAL = {
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


def escaped(text: str) -> str:
    """Return text that LaTeX prints as it is.

    Raises:
        ValueError: if the text holds a character that plain LaTeX fonts do not have.
    """
    unknown = {character for character in text if ord(character) > 126 and character not in SPECIAL}
    if unknown:
        raise ValueError(f"no LaTeX for {sorted(unknown)} in {text!r}; add it to SPECIAL")
    return "".join(SPECIAL.get(character, character) for character in text)


def _cell(cell: TableCell, footnotes: list[str]) -> str:
    text = escaped(cell.text)
    if cell.bold:
        text = rf"\textbf{{{text}}}"
    number = footnote_number(cell, footnotes)
    raised = ",".join(escaped(part) for part in (cell.mark, str(number) if number else "") if part)
    if not text and raised:
        text = "--"
    return text + (rf"\textsuperscript{{{raised}}}" if raised else "")


def _header(table: Table) -> list[str]:
    lines = []
    if any(column.group for column in table.columns):
        spans, rules, first = [], [], 1
        for group, width in table.groups():
            spans.append(rf"\multicolumn{{{width}}}{{c}}{{{escaped(group)}}}" if group else " & " * (width - 1))
            if group:
                rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
            first += width
        lines += [" & ".join(spans) + r" \\", " ".join(rules)]
    return [*lines, " & ".join(escaped(column.title) for column in table.columns) + r" \\"]


def render(table: Table) -> str:
    """Return a ``table`` environment, scaled down to the text's width where it is wider."""
    footnotes = table.footnotes()
    spec = "".join("r" if column.align == "right" else "l" for column in table.columns)
    body = [" & ".join(_cell(cell, footnotes) for cell in row) + r" \\" for row in table.rows]
    notes = [rf"\textsuperscript{{{number}}} {escaped(note)}" for number, note in enumerate(footnotes, start=1)]
    notes += [escaped(note) for note in table.notes]
    lines = [
        r"% Needs \usepackage{booktabs,graphicx}. Generated from claims and records; do not edit.",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(table.title)}}}",
        rf"\label{{tab:{table.name.replace('_', '-')}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{spec}}}",
        r"\toprule",
        *_header(table),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        *([r"\par\smallskip\footnotesize\raggedright", r"\\".join(notes)] if notes else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"
