"""What annotations and results files of COCO and YouTube-VIS share: field types, checks, categories, pictures.

Other tools write ids and sizes as floats (48.0), flags as booleans, floats or not at all. What has only one meaning is
read; the rest is refused in one line that names file and place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import attrgetter
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Self, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from suite.datasets.categories import Categories, Id
from suite.datasets.pictures import MAX_SIDE_PX, located, pictures_digest
from suite.errors import DataError, InputError, NothingMeasuredError
from suite.files import file_digest
from suite.typed import read_typed

LARGEST_FLOAT_ID = 2**53
"""From here on floats skip whole numbers, so that a float no longer names one."""

Number = int | float
RawId = int | float | str


class Rle(msgspec.Struct, frozen=True, gc=False):
    """A run-length code: size is (height, width) in pixels, counts compressed (string) or not (list)."""

    size: tuple[Number, Number] | None = None
    counts: str | list[Number] | None = None


Segmentation = Rle | list[list[float]] | None
"""A run-length code, polygons of x1, y1, x2, y2, ... in pixels, or null; ``{}`` is an `Rle` without fields."""

Flag = int | float | bool | None
Area = Annotated[float, msgspec.Meta(ge=0)] | None
"""Of an object, in square pixels."""


class _Category(msgspec.Struct, frozen=True):
    id: RawId
    name: str | None = None


class Document(msgspec.Struct, frozen=True):
    """What every annotations file holds."""

    categories: list[_Category]


Kind = TypeVar("Kind", bound=Document)


def _bad(value: object, where: str, wanted: str) -> InputError:
    return InputError(f"{where}: {value!r:.60} is not {wanted}; correct it")


def whole_number(value: Number, where: str, lowest: int, highest: int) -> int:
    """Return a whole number within limits, which may be written as a float; InputError if it is none."""
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
        places: dict[Id, int] = {}
        for place, number in enumerate(read):
            if (first := places.setdefault(number, place)) != place:
                raise InputError(
                    f"{path}: {root}[{place}].id: {number!r:.60} is the id of {root}[{first}] too; renumber one"
                )
    return read


def references(
    path: Path,
    root: str,
    entries: Sequence[Any],
    units: tuple[str, dict[Id, int]],
    categories: Categories,
    remedy: str,
    lenient: Collection[str] = (),
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return for each of N entries of annotations or results the place of its image or video and its class, (N,) each.

    Args:
        path: the file of the entries.
        root: name of their list, for messages.
        entries: have ``category_id`` and the field that ``units`` names.
        units: ``"image_id"`` or ``"video_id"``, and the place of every image or video by id.
        categories: that the entries may have.
        remedy: what to do about an unknown id.
        lenient: fields in which an unknown id gives -1.

    Raises:
        InputError: naming the first bad or unknown id.
    """
    columns = []
    for key, known in (units, ("category_id", categories.places())):
        ids = read_ids(list(map(attrgetter(key), entries)), path, root, key)
        found = np.fromiter(map(known.get, ids, repeat(-1)), np.int64, len(ids))
        for place in np.flatnonzero(found < 0)[:1].tolist() if key not in lenient else ():
            text = isinstance(ids[place], str) != isinstance(next(iter(known), ids[place]), str)
            kinds = "; ids are text in one place and numbers in the other" if text else ""
            raise InputError(f"{path}: {root}[{place}].{key}: {ids[place]!r:.60} is unknown{kinds}; {remedy}")
        columns.append(found)
    return columns[0], columns[1]


def read_columns(
    path: Path, entries: Sequence[Any], units: tuple[str, dict[Id, int]], categories: Categories, quirks: bool = False
) -> tuple[list[Id], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return what N annotations of both formats have: ids, places and classes as of `references`, and crowd flags.

    An ``iscrowd`` is 0 or 1 as number or boolean; null or absent is 0. With ``quirks`` an id may stand twice, and an
    unknown image, video or category is -1. InputError names any other fault.
    """
    root, lenient = "annotations", (units[0], "category_id") if quirks else ()
    ids = read_ids([entry.id for entry in entries], path, root, unique=not quirks)
    of_unit, class_index = references(path, root, entries, units, categories, "list it in this file", lenient)
    for place, entry in enumerate(entries):
        if entry.iscrowd not in (0, 1, None):
            raise _bad(entry.iscrowd, f"{path}: {root}[{place}].iscrowd", "0 or 1")
    return ids, of_unit, class_index, np.array([bool(entry.iscrowd) for entry in entries], np.bool_)


def read_size(height: Number, width: Number, where: str) -> tuple[int, int]:
    """Return height and width of a picture in pixels; InputError if one is no whole number from 1 to `MAX_SIDE_PX`."""
    return (
        whole_number(height, f"{where}.height", 1, MAX_SIDE_PX),
        whole_number(width, f"{where}.width", 1, MAX_SIDE_PX),
    )


def check_name(value: str, where: str) -> None:
    """Refuse a file name that is empty or absolute, or climbs out with ``..``, be it with slashes or backslashes."""
    slashed = PurePosixPath(value.replace("\\", "/"))
    if not value or "\0" in value:
        raise _bad(value, where, "a file name")
    if slashed.is_absolute() or PureWindowsPath(value).drive or ".." in slashed.parts:
        raise InputError(f"{where}: {value!r:.200} leads out of the image folder; give it relative to it")


@dataclass(frozen=True)
class AnnotationsFile(ABC):
    """An annotations file.

    Attributes:
        path: the file.
        folder: where its file names start, or None.
        categories: class index <-> category id <-> name.
        annotated: whether it holds annotations and they were read (published test splits have none).
    """

    path: Path
    folder: Path | None
    categories: Categories
    annotated: bool

    def file(self, name: str | None) -> Path:
        """Return where the picture of a file name is; InputError if the dataset was loaded without its image folder."""
        if self.folder is None or name is None:
            raise InputError(f"{self.path}: loaded without its image folder; name it (--images)")
        return located(self.folder, name)

    def require_truth(self) -> Self:
        """Return the dataset; InputError if the file has no annotations, so that nothing can be scored against it."""
        if not self.annotated:
            raise InputError(
                f"{self.path}: no 'annotations', so there is nothing to score against; the ground truth of test splits "
                "(and of YouTube-VIS valid) is not public, give a split that has it"
            )
        return self

    def require_scored(self) -> Self:
        """Return the dataset; raises as `require_truth`, and NothingMeasuredError if no object of it is scored."""
        if all(self.require_truth().crowds):
            raise NothingMeasuredError(
                f"{self.path}: has no object that is scored, so there is no AP; give annotations with some that are "
                "no crowd"
            )
        return self

    @property
    @abstractmethod
    def crowds(self) -> Sequence[bool] | NDArray[np.bool_]:
        """Whether each annotated object is a crowd, which is not scored."""

    @abstractmethod
    def picture_files(self) -> list[tuple[Path, tuple[int, int]]]:
        """Return the path and the (height, width) in pixels of every image or frame."""

    def digest(self) -> str:
        """Return what tells this file and its pictures from others, wherever they are: see `pictures_digest`."""
        pictures = pictures_digest([path for path, _ in self.picture_files()])
        return f"{file_digest(self.path)} {pictures}"


def read_document(path: Path, folder: Path | None, kind: type[Kind], remedy: str) -> tuple[Kind, Categories]:
    """Return the content of an annotations file and its table of categories; one without a name is called by its id.

    Raises:
        DataError: if the file or the picture folder is absent.
        InputError: if it has another content, a category twice, or none although its pictures are going to be read.
    """
    if folder is not None and not folder.is_dir():
        raise DataError(f"{folder}: no such image folder; check the path")
    document = read_typed(path, kind, "annotations file", remedy)
    entries = document.categories
    ids = read_ids([entry.id for entry in entries], path, "categories", unique=True)
    titles = [str(number) if entry.name is None else entry.name for number, entry in zip(ids, entries, strict=True)]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    categories = Categories(tuple(ids[place] for place in order), tuple(titles[place] for place in order))
    if folder is not None and not categories:
        raise InputError(f"{path}: 'categories' is empty; list the categories of the annotations")
    return document, categories
