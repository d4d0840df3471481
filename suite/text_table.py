"""Text and tables for a terminal, a pipe or a spreadsheet: one look for all commands, at most 100 columns wide."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WIDTH = 100
GAP = 2
"""Spaces between two columns."""
FORMULA_STARTS = ("=", "+", "-", "@")
"""First characters by which a spreadsheet takes a cell of words for a formula."""
SIGNED_NUMBER = re.compile(r"[+-]\d+(\.\d+)?( ?(%|AP))?")


@dataclass(frozen=True)
class TextColumn:
    """A column of a table.

    Attributes:
        title: heading, may be empty.
        number: right-aligned and never broken over lines; text is left-aligned and wrapped where space is short.
    """

    title: str
    number: bool = False


def _widths(columns: Sequence[TextColumn], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the width of each column: as wide as its content where there is space, else numbers and words unbroken."""
    wanted, least = [], []
    for place, column in enumerate(columns):
        cells = [row[place] for row in rows]
        pieces = cells if column.number else [word for text in (column.title, *cells) for word in text.split()]
        least.append(max((len(piece) for piece in pieces), default=1))
        wanted.append(max(len(text) for text in (column.title, *cells)))
    space = width - GAP * (len(columns) - 1)
    text = [place for place, column in enumerate(columns) if not column.number]
    widths = [min(pair) for pair in zip(wanted, least, strict=True)]
    while text and sum(widths) > space:
        longest = max(text, key=lambda place: widths[place])
        if widths[longest] == 1:
            break
        widths[longest] -= 1
    while sum(widths) < min(space, sum(wanted)):
        narrowest = min(
            (place for place in range(len(columns)) if widths[place] < wanted[place]), key=lambda place: widths[place]
        )
        widths[narrowest] += 1
    return widths


def text_table(columns: Sequence[TextColumn], rows: Iterable[Sequence[str]], width: int = WIDTH) -> list[str]:
    """Return a table as lines of plain text, the headings underlined.

    Where space is short, text and headings are wrapped between words; if that is not enough, long words are broken.
    Numbers never are.

    Args:
        columns: headings and alignment.
        rows: one text a column; markup in it has no effect.
        width: most characters in a line.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = list(rows)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, GAP - 1, 0, 0))
    for column, wide in zip(columns, _widths(columns, cells, width), strict=True):
        table.add_column(column.title, justify="right" if column.number else "left", width=wide, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(table)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def visible(text: str) -> str:
    """Return text without control characters, so that none reaches a terminal; line ends become spaces."""
    return "".join(character if character.isprintable() else " " if character.isspace() else "" for character in text)


def csv_words(text: str, is_number: bool = False) -> str:
    """Return text that no spreadsheet takes for a formula; a number with its sign stays as it is."""
    plain_text = visible(text)
    harmless = is_number or SIGNED_NUMBER.fullmatch(plain_text)
    return f"'{plain_text}" if not harmless and plain_text.startswith(FORMULA_STARTS) else plain_text
