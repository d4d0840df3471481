"""CSV files read strictly: exact columns, and every error names file and line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from suite.errors import DataError, InputError


class Line:
    """One CSV line that can say where it is."""

    def __init__(self, path: Path, number: int, cells: dict[str, str]) -> None:
        self.path, self.number, self.cells = path, number, cells

    def fail(self, why: str) -> InputError:
        """Return the error that names this line."""
        return InputError(f"{self.path} line {self.number}: {why}")

    def text(self, column: str) -> str:
        """Return a cell that must not be empty."""
        if not self.cells[column]:
            raise self.fail(f"column {column} is empty; fill it in")
        return self.cells[column]

    def number_of(self, column: str) -> float | None:
        """Return a cell as a finite non-negative number, or None where it is empty."""
        text = self.cells[column]
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0):
            raise self.fail(f"column {column} holds {text!r}; write a non-negative number or leave it empty")
        return value

    def short_side(self) -> int | None:
        """Return the printed input size in pixels, or None."""
        value = self.number_of("short_side_px")
        if value is not None and value != int(value):
            raise self.fail(f"column short_side_px holds {value}; write whole pixels")
        return None if value is None else int(value)


def read_lines(path: Path, columns: list[str]) -> Iterator[Line]:
    """Yield the data lines of a CSV file with exactly these columns.

    Raises:
        DataError: if the file is absent.
        InputError: naming file and line: other columns, a line of another length, text that is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: no such claims file; restore it from version control") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        header = next(reader, [])
        if header != columns:
            raise InputError(f"{path} line 1: columns are {','.join(header)}; they must be {','.join(columns)}")
        for cells in reader:
            if len(cells) != len(columns):
                raise InputError(
                    f"{path} line {reader.line_num}: {len(cells)} cells, not {len(columns)}; fix the commas"
                )
            yield Line(path, reader.line_num, {name: cell.strip() for name, cell in zip(columns, cells, strict=True)})
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: not valid CSV ({error}); fix the quotes") from None
