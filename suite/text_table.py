"""Tables for a terminal or a pipe: one look for all commands, never wider than 100 columns."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

WIDTH = 100
MOST_UNBROKEN = 36
"""Words up to this length are not broken."""


@dataclass(frozen=True)
class TextColumn:
    """A column of a table.

    Attributes:
        title: heading, may be empty.
        number: right-aligned and never broken over lines; text is left-aligned and wrapped where space is short.
    """

    title: str
    number: bool = False


def rich_table(columns: Sequence[TextColumn], rows: Sequence[Sequence[str | Text]]) -> Table:
    """Return a rich table: headings underlined, no other lines.

    Where space is short, text and headings are wrapped between words; numbers never are.

    Args:
        columns: headings and alignment.
        rows: one text a column; markup in strings has no effect.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        cells = [str(row[place]) for row in rows]
        unbroken = cells if column.number else [word for text in (column.title, *cells) for word in text.split()]
        width = min(max((len(text) for text in unbroken), default=0), MOST_UNBROKEN)
        table.add_column(column.title, justify="right" if column.number else "left", min_width=width, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return table


def text_table(columns: Sequence[TextColumn], rows: Iterable[Sequence[str]], width: int = WIDTH) -> list[str]:
    """Return a table as lines of plain text of at most ``width`` characters; arguments as for `rich_table`."""
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(rich_table(columns, list(rows)))
    return [line.rstrip() for line in stream.getvalue().splitlines()]
