"""CSV files with known columns, read into msgspec structs; every fault names file, line and column."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from suite.errors import InputError
from suite.files import read_text
from suite.typed import convert

Digits = Annotated[str, msgspec.Meta(pattern=r"^\d+(\.\d+)?$")]
"""A number that is not negative, as its digits are printed."""
Points = Annotated[str, msgspec.Meta(pattern=r"^(100(\.0+)?|\d{1,2}(\.\d+)?)$")]
"""AP points, 0 to 100."""
Kind = TypeVar("Kind", bound=msgspec.Struct)


def read_rows(path: Path, kind: type[Kind]) -> Iterator[tuple[str, Kind]]:
    """Yield the data lines of a CSV file whose columns are fields of a struct; an empty cell is a field left out.

    Args:
        path: the file.
        kind: a struct that forbids unknown fields.

    Yields:
        How messages call the line, and the row.

    Raises:
        DataError: if the file is absent.
        InputError: naming file and line: other columns, a line of another length, a cell of the wrong form, no UTF-8.
    """
    text = read_text(path, "claims file")
    columns = [field.name for field in msgspec.structs.fields(kind)]
    reader = csv.reader(text.splitlines(), strict=True)
    try:
        header = next(reader, [])
        required = {field.name for field in msgspec.structs.fields(kind) if field.required}
        if len(set(header)) < len(header) or not required <= set(header) <= set(columns):
            raise InputError(f"{path} line 1: columns are {','.join(header)}; possible are {','.join(columns)}")
        for cells in reader:
            place = f"{path} line {reader.line_num}"
            if len(cells) != len(header):
                raise InputError(f"{place}: {len(cells)} cells, not {len(header)}; fix the commas")
            filled = {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}
            yield place, convert(filled, kind, place, "fill the cell in as the lines around it", strict=False)
    except csv.Error as error:
        raise InputError(f"{path} line {reader.line_num}: not valid CSV ({error}); fix the quotes") from None
