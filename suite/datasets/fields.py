"""Field types and checks that COCO and YouTube-VIS files share; every fault is one line naming file and place.

Other tools write ids and sizes as floats (48.0), flags as booleans, floats or not at all. What has only one meaning is
read; the rest is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import msgspec
import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError

MAX_SIDE_PX = 2**15
"""Longest side of a picture in pixels; the product of two still fits the 32-bit run lengths of a mask."""

LARGEST_FLOAT_ID = 2**53
"""From here on floats skip whole numbers, so that a float no longer names one."""

Number = int | float
RawId = int | float | str
Id = int | str
"""Of an image, video, category or annotation: a whole number of any size, or text."""


class Rle(msgspec.Struct, frozen=True, gc=False):
    """A run-length code: size is (height, width) in pixels, counts compressed (string) or not (list)."""

    size: tuple[Number, Number] | None = None
    counts: str | list[Number] | None = None


Segmentation = Rle | list[list[float]] | None
"""A run-length code, polygons of x1, y1, x2, y2, ... in pixels, or null; ``{}`` is an `Rle` without fields."""

Flag = int | float | bool | None


class RawCategory(msgspec.Struct, frozen=True):
    """An entry of a file's ``categories``."""

    id: RawId
    name: str | None = None


def _bad(value: object, where: str, wanted: str) -> InputError:
    return InputError(f"{where}: {value!r:.60} is not {wanted}; correct it")


def whole_number(value: Number, where: str, lowest: int, highest: int) -> int:
    """Return a whole number within limits, which may be written as a float.

    Raises:
        InputError: if it is a fraction or out of range.
    """
    if not lowest <= value <= highest or value != int(value):
        raise _bad(value, where, f"a whole number from {lowest} to {highest}")
    return int(value)


def read_ids(values: Sequence[RawId], path: Path, root: str, key: str = "id", unique: bool = False) -> list[Id]:
    """Return ids as whole numbers or text.

    Args:
        values: as in the file; a float must be whole and below 2**53.
        path: the file, for messages.
        root: name of the list the values are from, for messages.
        key: name of the field, for messages.
        unique: whether each may stand there only once.

    Raises:
        InputError: naming the first value that is no id or stands twice, or if numbers and text are mixed.
    """
    kinds = set(map(type, values))
    read: list[Id] = list(values) if kinds <= {int} or kinds == {str} else []  # type: ignore[arg-type]
    for place, value in enumerate(values if not read else ()):
        where = f"{path}: {root}[{place}].{key}"
        if isinstance(value, str):
            raise _bad(value, where, "a number as the other ids are")
        if isinstance(value, float) and (not value.is_integer() or abs(value) >= LARGEST_FLOAT_ID):
            raise _bad(value, where, "an id: a whole number, below 2**53 where it is written as a float")
        read.append(int(value))
    if unique and len(set(read)) < len(read):
        place = next(place for place, number in enumerate(read) if number in read[:place])
        first = f"{root}[{read.index(read[place])}]"
        raise InputError(f"{path}: {root}[{place}].id: {read[place]!r:.60} is the id of {first} too; renumber one")
    return read


def look_up(
    values: Sequence[RawId], known: dict[Id, int], path: Path, root: str, key: str, remedy: str, lenient: bool = False
) -> NDArray[np.int64]:
    """Return for each id its place in another list, shape (N,).

    Args:
        values: ids as in the file.
        known: place by id.
        path: the file of ``values``, for messages.
        root: name of the list the ids are from, for messages.
        key: name of the field, for messages.
        remedy: what to do about an unknown one.
        lenient: give an unknown one the place -1.

    Raises:
        InputError: naming the first value that is no id, or an unknown one.
    """
    ids = read_ids(values, path, root, key)
    found = np.fromiter((known.get(number, -1) for number in ids), np.int64, len(ids))
    for place in np.flatnonzero(found < 0)[:1].tolist() if not lenient else ():
        other = next(iter(known), ids[place])
        kinds = "; ids are text in one place and numbers in the other" if type(other) is not type(ids[place]) else ""
        raise InputError(f"{path}: {root}[{place}].{key}: {ids[place]!r:.60} is unknown{kinds}; {remedy}")
    return found


def read_flags(values: Sequence[Flag], path: Path, root: str) -> NDArray[np.bool_]:
    """Return ``iscrowd`` flags, shape (N,): 0 and 1 as number or boolean; null or absent is 0.

    Raises:
        InputError: naming the first other value.
    """
    for place, value in enumerate(values):
        if value not in (0, 1, None):
            raise _bad(value, f"{path}: {root}[{place}].iscrowd", "0 or 1")
    return np.array([bool(value) for value in values], np.bool_)


def read_size(height: Number, width: Number, where: str) -> tuple[int, int]:
    """Return height and width of a picture in pixels.

    Raises:
        InputError: if one is no whole number from 1 to `MAX_SIDE_PX`.
    """
    return (
        whole_number(height, f"{where}.height", 1, MAX_SIDE_PX),
        whole_number(width, f"{where}.width", 1, MAX_SIDE_PX),
    )


def read_areas(values: Sequence[float | None], path: Path, root: str) -> NDArray[np.float64]:
    """Return areas in square pixels, shape (N,); NaN where the file has none.

    Raises:
        InputError: naming the first negative one.
    """
    areas = np.array([np.nan if value is None else value for value in values], np.float64)
    for place in np.flatnonzero(areas < 0)[:1].tolist():
        raise _bad(values[place], f"{path}: {root}[{place}].area", "an area of 0 or more")
    return areas


def relative_name(value: str, where: str) -> str:
    """Return a file name that stays inside its folder, whether it is written with slashes or backslashes.

    Raises:
        InputError: if it is empty or absolute, or climbs out with ``..``.
    """
    slashed = PurePosixPath(value.replace("\\", "/"))
    if not value or "\0" in value:
        raise _bad(value, where, "a file name")
    if slashed.is_absolute() or PureWindowsPath(value).drive or ".." in slashed.parts:
        raise InputError(f"{where}: {value!r:.200} leads out of the image folder; give it relative to it")
    return value


def places_text(places: Sequence[int], root: str, shown: int = 5) -> str:
    """Return the first places as text: ``annotations[2], annotations[7] and 3 more``."""
    named = ", ".join(f"{root}[{place}]" for place in places[:shown])
    return named + (f" and {len(places) - shown} more" if len(places) > shown else "")
