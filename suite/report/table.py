"""What a table is, whatever it is rendered to: a caption, a frame of cells, and notes; and how numbers are printed.

Numbers are printed by their unit and in this one place, so that the same value looks the same in every output.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from suite.records.cells import Cell
from suite.records.difference import RatioInterval
from suite.records.schema import METRICS, Interval

ORIGIN_MARKS = {"estimated": "e", "third-party": "t"}
LEGEND = {
    "e": "e = estimated, not measured",
    "t": "t = measured by a third party",
    "†": "† = measured with uncommitted changes",
}


def points(fraction: float) -> str:
    """Print an AP fraction as points with one decimal: 0.5514 -> ``55.1``."""
    return f"{fraction * 100:.1f}"


def milliseconds(value: float) -> str:
    """Print a duration with three significant digits, never in exponents: ``0.0523``, ``9.87``, ``98.7``, ``1234``."""
    if value <= 0:
        return f"{value:.0f}"
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}"


BY_UNIT: dict[str, Callable[[float], str]] = {
    "fraction": points,
    "AP points": "{:z.1f}".format,
    "ms": milliseconds,
    "ratio": "{:.3f}".format,
    "s": "{:.0f}".format,
    "count": "{:.0f}".format,
}
"""Unit of the metric catalogue, or of a claim -> how its numbers are printed; other units have two digits."""


def value_text(value: float, unit: str, ends: Sequence[float] = ()) -> str:
    """Print a value in its unit, with the ends of its interval where they are given: ``"0.648 [0.641, 0.655]"``."""
    text, *shown = map(BY_UNIT.get(unit, "{:.2g}".format), (value, *ends))
    return f"{text} [{', '.join(shown)}]" if shown else text


def ratio_text(value: float, interval: Interval | RatioInterval | None = None) -> str:
    """Print a ratio with three decimals, and its interval where there is one."""
    return value_text(value, "ratio", (interval.low, interval.high) if interval else ())


def cell_text(cell: Cell) -> str:
    """Print a cell of the records by its metric's unit; an AP with its deviation over seeds where there are several."""
    unit = METRICS[cell.metric].unit
    spread = f" ± {points(cell.deviation)}" if unit == "fraction" and cell.deviation is not None else ""
    return value_text(cell.value, unit) + spread


@dataclass(frozen=True)
class TableCell:
    """One cell: its text, empty where there is no value, and the number behind it, None for words.

    ``mark`` is one or two signs of `LEGEND`; ``note`` says why the cell is empty, or what must be known of it, and
    becomes a numbered footnote; ``runs`` are the ids of the runs behind the value.
    """

    text: str = ""
    value: float | None = None
    bold: bool = False
    mark: str = ""
    note: str = ""
    runs: tuple[str, ...] = ()


Row = Mapping[str, "TableCell | str"]
"""Column -> cell, or its words; a column ``"group: title"`` stands below the group's spanning header."""


@dataclass(frozen=True)
class Table:
    """A table: its files' name, one line above it, a frame of `TableCell` objects, and the lines below it.

    ``notes`` are what a reader must know of the numbers, ``origin`` the counts of verdicts, machine, dates and commits.
    """

    name: str
    title: str
    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    origin: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The columns from left to right, with their groups."""
        return [str(name) for name in self.frame.columns]

    @property
    def rows(self) -> list[tuple[TableCell, ...]]:
        """The cells row by row."""
        return list(self.frame.itertuples(index=False, name=None))

    @property
    def numbers(self) -> list[bool]:
        """Whether each column holds numbers, which are set at the right."""
        return [any(cell.value is not None for cell in self.frame[name]) for name in self.frame.columns]

    @property
    def footnotes(self) -> list[str]:
        """The distinct notes of the cells in reading order; their position is their number."""
        return list(dict.fromkeys(cell.note for row in self.rows for cell in row if cell.note))

    @property
    def legend(self) -> tuple[str, ...]:
        """The explanation of the marks that the table uses."""
        used = {mark for row in self.rows for cell in row for mark in cell.mark}
        return tuple(text for mark, text in LEGEND.items() if mark in used)

    def groups(self) -> list[tuple[str, int]]:
        """Return the spanning headers from left to right with the number of columns each covers."""
        runs = itertools.groupby(split_column(name)[0] for name in self.columns)
        return [(group, len(list(names))) for group, names in runs]


def split_column(name: str) -> tuple[str, str]:
    """Return group and title of a column; the group is empty where there is none."""
    group, _, title = name.rpartition(": ")
    return group, title


def make_table(
    title: str, rows: Sequence[Row], notes: Iterable[str] = (), best: Mapping[str, bool] | None = None, name: str = ""
) -> Table:
    """Return a table; columns without a text or note in any row are left out, one that a row lacks is empty there.

    ``best`` says of columns whether higher is better: their best value is set in bold where several compete.
    """
    frame = pd.DataFrame(list(rows), dtype=object).fillna("")
    frame = frame.map(lambda cell: TableCell(cell) if isinstance(cell, str) else cell)
    for column, higher in (best or {}).items():
        values = [cell.value for cell in frame.get(column, ()) if cell.value is not None]
        if len(values) > 1:
            top = max(values) if higher else min(values)
            frame[column] = [replace(cell, bold=cell.bold or cell.value == top) for cell in frame[column]]
    shown = [any(cell.text or cell.note for cell in frame[column]) for column in frame]
    return Table(name, title, frame.loc[:, shown], tuple(notes))


def number_cell(value: float, form: str = "", runs: tuple[str, ...] = ()) -> TableCell:
    """Return a number; ``form`` is a unit of `BY_UNIT`, or a format such as ``".1f"``."""
    return TableCell(BY_UNIT[form](value) if form in BY_UNIT else format(value, form), value, runs=runs)


def ratio_cell(value: float, interval: Interval | RatioInterval | None, runs: tuple[str, ...] = ()) -> TableCell:
    """Return a ratio with its interval where there is one."""
    return TableCell(ratio_text(value, interval), value, runs=runs)


def record_cell(cell: Cell | None, why_not: str = "", text: str = "") -> TableCell:
    """Return a measured value with its marks, of its origin and of uncommitted changes, or why there is none.

    ``text`` replaces what the metric's unit gives.
    """
    if cell is None:
        return TableCell(note=why_not)
    mark = ORIGIN_MARKS.get(cell.origin, "") + ("†" if cell.dirty else "")
    return TableCell(text or cell_text(cell), cell.value, mark=mark, runs=cell.run_ids)
