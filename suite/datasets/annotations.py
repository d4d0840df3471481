"""What annotations files of COCO and YouTube-VIS share: where they and their pictures are, categories, references."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from suite.datasets.categories import Categories
from suite.datasets.fields import Id, RawCategory, look_up
from suite.datasets.pictures import located
from suite.errors import DataError, InputError
from suite.typed import read_typed


class Document(msgspec.Struct, frozen=True):
    """What every annotations file holds."""

    categories: list[RawCategory]


Kind = TypeVar("Kind", bound=Document)


@dataclass(frozen=True)
class AnnotationsFile:
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
        """Return where the picture of a file name is.

        Raises:
            InputError: if the dataset was loaded without its image folder.
        """
        if self.folder is None or name is None:
            raise InputError(f"{self.path}: loaded without its image folder; name it (--images)")
        return located(self.folder, name)

    def require_truth(self) -> None:
        """Refuse a file without annotations, which nothing can be scored against.

        Raises:
            InputError: if it has none.
        """
        if not self.annotated:
            raise InputError(
                f"{self.path}: no 'annotations', so there is nothing to score against; the ground truth of test splits "
                "(and of YouTube-VIS valid) is not public, give a split that has it"
            )


def read_document(path: Path, folder: Path | None, kind: type[Kind], remedy: str) -> tuple[Kind, Categories]:
    """Return the content of an annotations file and its table of categories.

    Raises:
        DataError: if the file or the picture folder is absent.
        InputError: if it has another content, or no categories although its pictures are going to be read.
    """
    if folder is not None and not folder.is_dir():
        raise DataError(f"{folder}: no such image folder; check the path")
    document = read_typed(path, kind, "annotations file", remedy)
    categories = Categories.of(document.categories, path)
    if folder is not None and not categories:
        raise InputError(f"{path}: 'categories' is empty; list the categories of the annotations")
    return document, categories


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
    unit, of_category = [getattr(entry, units[0]) for entry in entries], [entry.category_id for entry in entries]
    return (
        look_up(unit, units[1], path, root, units[0], remedy, units[0] in lenient),
        look_up(of_category, categories.places(), path, root, "category_id", remedy, "category_id" in lenient),
    )
