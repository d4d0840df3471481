"""What a table is, whatever it is rendered to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Align = Literal["left", "right"]


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: header text.
        group: spanning header above neighbouring columns of the same group, e.g. ``"published"``; empty for none.
        align: ``"right"`` for numbers.
        higher_is_better: direction in which the best value is set in bold; None for no best.
    """

    title: str
    group: str = ""
    align: Align = "left"
    higher_is_better: bool | None = None


@dataclass(frozen=True)
class TableCell:
    """One cell.

    Attributes:
        text: what is printed; empty where there is no value.
        value: the number behind the text, for sorting and for the best in bold; None for words.
        bold: whether it is the best of its column.
        mark: one letter for an origin that differs from its column's (e, s, t) or a dagger; empty for none.
        note: why the cell is empty, or what must be known of it; becomes a numbered footnote.
        runs: ids of the runs behind the value.
    """

    text: str = ""
    value: float | None = None
    bold: bool = False
    mark: str = ""
    note: str = ""
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table with its caption and notes.

    Attributes:
        name: file name without extension.
        title: one line above the table.
        columns: from left to right.
        rows: one cell per column each.
        notes: lines below the table: coverage, machine, date, legend.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse rows of another length.

        Raises:
            ValueError: naming the row.
        """
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.name} row {number}: {len(row)} cells for {len(self.columns)} columns")

    def footnotes(self) -> list[str]:
        """Return the distinct notes of the cells in reading order; their position is their number."""
        return list(dict.fromkeys(cell.note for row in self.rows for cell in row if cell.note))

    def groups(self) -> list[tuple[str, int]]:
        """Return the spanning headers from left to right with the number of columns each covers."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans


def text_cell(text: str, note: str = "") -> TableCell:
    """Return a cell of words."""
    return TableCell(text, note=note)


def missing(note: str) -> TableCell:
    """Return an empty cell with the reason for it."""
    return TableCell(note=note)


def with_best_in_bold(table: Table, rows: Iterable[int] | None = None) -> Table:
    """Return the table with the best value of each directed column in bold.

    Args:
        table: any table.
        rows: the rows that compete; all if None.
    """
    competing = set(range(len(table.rows))) if rows is None else set(rows)
    best: dict[int, float] = {}
    for place, column in enumerate(table.columns):
        values = [table.rows[row][place].value for row in sorted(competing)]
        numbers = [value for value in values if value is not None]
        if column.higher_is_better is not None and len(numbers) > 1:
            best[place] = max(numbers) if column.higher_is_better else min(numbers)
    marked = tuple(
        tuple(
            replace(cell, bold=True)
            if number in competing and place in best and cell.value == best[place] and cell.text
            else cell
            for place, cell in enumerate(row)
        )
        for number, row in enumerate(table.rows)
    )
    return replace(table, rows=marked)


def without_empty_columns(table: Table) -> Table:
    """Return the table without columns that have neither a text nor a note in any row."""
    kept = [
        place for place in range(len(table.columns)) if any(row[place].text or row[place].note for row in table.rows)
    ]
    rows = tuple(tuple(row[place] for place in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[place] for place in kept), rows=rows)


def footnote_number(cell: TableCell, footnotes: Sequence[str]) -> int | None:
    """Return the number of a cell's footnote, counted from 1, or None."""
    return footnotes.index(cell.note) + 1 if cell.note else None
