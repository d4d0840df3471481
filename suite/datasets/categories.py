"""Categories by id and name: of a file, of a checkpoint, and of the known datasets.

A class of a model is a category's place among the ids in ascending order, never its place in a file's list.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from suite.errors import InputError, first_few

Id = int | str
"""Of an image, video, category or annotation: a whole number of any size, or text."""

METADATA_KEY = "categories"
"""Where the metadata of a checkpoint or ONNX file carry the categories that its classes stand for."""

_TABLES = tomllib.loads(Path(__file__).with_name("categories.toml").read_text(encoding="utf-8"))

YOUTUBE_VIS: dict[str, tuple[str, ...]] = {
    name: tuple(table["names"]) for name, table in _TABLES.items() if "names" in table
}
"""Dataset -> names in the order of its ids 1..40."""

COCO_TO_YOUTUBE_VIS: dict[str, dict[int, int]] = {name: dict(_TABLES[name]["of_coco"]) for name in YOUTUBE_VIS}
"""Dataset -> COCO category id -> id of the same thing there; COCO categories that are not listed are dropped."""


@dataclass(frozen=True)
class Categories:
    """A table of categories in ascending order of id; class index i is the i-th of them.

    Attributes:
        ids: category ids, all numbers or all text.
        names: one per id; several categories may share a name.
    """

    ids: tuple[Id, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def places(self) -> dict[Id, int]:
        """Return class index by category id."""
        return {number: index for index, number in enumerate(self.ids)}

    def text(self) -> str:
        """Return the table as one line of JSON, for a checkpoint's metadata."""
        return json.dumps({"ids": self.ids, "names": self.names})

    @classmethod
    def of_checkpoint(cls, metadata: Mapping[str, str], path: Path, classes: int) -> Categories | None:
        """Return the table in the metadata of a checkpoint of so many classes, None where they have none.

        Raises:
            InputError: if it is no table of one category for each class.
        """
        if METADATA_KEY not in metadata:
            return None
        try:
            table = msgspec.json.decode(metadata[METADATA_KEY], type=cls)
        except (msgspec.MsgspecError, RecursionError):
            table = cls((), ())
        if set(map(type, table.ids)) not in ({int}, {str}) or not len(set(table.ids)) == len(table.names) == classes:
            raise InputError(f"{path}: its metadata hold no table of {classes} categories; write the checkpoint again")
        return table


@dataclass(frozen=True)
class ClassMap:
    """Which category of a dataset each class of a model stands for, None where the dataset has no such category.

    ``caution`` is what a reader of the AP must know; empty where every category has its class.
    """

    category_ids: tuple[Id | None, ...]
    caution: str = ""


def _plain(name: str) -> str:
    return name.strip().casefold().replace("_", " ").replace("-", " ")


def map_classes(
    model: Categories | None, classes: int, data: Categories, name: str, by_position: bool = False
) -> ClassMap:
    """Map the classes of a model to the categories of a dataset, by name unless both tables are equal.

    Args:
        model: the categories that the model was trained on; None where its checkpoint does not say.
        classes: number of the model's classes.
        data: the dataset's categories.
        name: the model's, for messages.
        by_position: take class i for the i-th category by id, whatever they are called.

    Raises:
        InputError: if no class has a category, a name stands for several, or nothing tells what the classes are.
    """
    if model is not None and model == data and len(model) == classes:
        return ClassMap(data.ids)
    if by_position or (model is None and classes == len(data)):
        return ClassMap(
            (data.ids + (None,) * classes)[:classes],
            f"class i of {name} ({classes} classes) was taken for the i-th category by id (of {len(data)})",
        )
    if model is None or len(model) != classes:
        raise InputError(
            f"{name}: has {classes} classes, does not say which, and the dataset has {len(data)} categories; predict "
            "the dataset that it was trained on, or take classes by position (predict coco --classes-by-position)"
        )
    by_name: dict[str, list[Id]] = {}
    for number_, title in zip(data.ids, data.names, strict=True):
        by_name.setdefault(_plain(title), []).append(number_)
    found: list[Id | None] = []
    for title in model.names:
        same = by_name.get(_plain(title), [])
        if len(same) > 1:
            raise InputError(f"{name}: its class {title!r} could be {len(same)} categories of the dataset; rename them")
        found.append(same[0] if same else None)
    known_ids = [number for number in found if number is not None]
    if not known_ids:
        raise InputError(
            f"{name}: none of its classes ({first_few(model.names)}) is a category of the dataset "
            f"({first_few(data.names)}), so its AP would mean nothing; train on these "
            "categories (train RECIPE --annotations FILE --images FOLDER)"
        )
    if len(set(known_ids)) < len(known_ids):
        raise InputError(f"{name}: two of its classes have the name of one category of the dataset; rename them")
    lost = [title for title, number in zip(model.names, found, strict=True) if number is None]
    missing = [title for title, number in zip(data.names, data.ids, strict=True) if number not in set(known_ids)]
    cautions = []
    if lost:
        cautions.append(
            f"{len(lost)} classes of {name} are no categories of the dataset and were left out: {first_few(lost)}"
        )
    if missing:
        cautions.append(f"{len(missing)} categories here are unknown to {name}: {first_few(missing)}")
    return ClassMap(tuple(found), "; ".join(cautions))
