"""Categories by id and name: of a file, of a checkpoint, and of the known datasets.

A class of a model is a category's place among the ids in ascending order, never its place in a file's list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.errors import InputError

Id = int | str
"""Of an image, video, category or annotation: a whole number of any size, or text."""

METADATA_KEY = "categories"
"""Where the metadata of a checkpoint or ONNX file carry the categories that its classes stand for."""


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
    def of_checkpoint(cls, metadata: Mapping[str, str], path: Path) -> Categories | None:
        """Return the table in a checkpoint's metadata, None where they have none.

        Raises:
            InputError: if what they have is none; the message names the checkpoint.
        """
        if METADATA_KEY not in metadata:
            return None
        try:
            content = json.loads(metadata[METADATA_KEY])
            ids, names = tuple(content["ids"]), tuple(content["names"])
        except (ValueError, KeyError, TypeError, RecursionError):
            ids, names = (), ()
        if not ids or len(ids) != len(names) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{path}: its metadata hold no table of categories; write the checkpoint again")
        if {type(number) for number in ids} not in ({int}, {str}):
            raise InputError(f"{path}: its metadata hold category ids that are none; write the checkpoint again")
        return cls(ids, names)


@dataclass(frozen=True)
class ClassMap:
    """Which category of a dataset each class of a model stands for.

    Attributes:
        category_ids: one per class of the model, None where the dataset has no such category.
        caution: what a reader of the AP must know; empty where every category has its class.
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
        known = data.ids + (None,) * classes
        number = (
            "" if classes == len(data) else f" ({name} has {classes} classes and the dataset {len(data)} categories)"
        )
        return ClassMap(known[:classes], f"class i of {name} was taken for the i-th category by id{number}")
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
            f"{name}: none of its classes ({_few(model.names)}) is a category of the dataset ({_few(data.names)}), so "
            "its AP would mean nothing; train on these categories (train RECIPE --annotations FILE --images FOLDER)"
        )
    if len(set(known_ids)) < len(known_ids):
        raise InputError(f"{name}: two of its classes have the name of one category of the dataset; rename them")
    lost = [title for title, number in zip(model.names, found, strict=True) if number is None]
    missing = [title for title, number in zip(data.names, data.ids, strict=True) if number not in set(known_ids)]
    cautions = []
    if lost:
        cautions.append(
            f"{len(lost)} classes of {name} are no categories of the dataset and were left out: {_few(lost)}"
        )
    if missing:
        cautions.append(f"{len(missing)} categories here are unknown to {name}: {_few(missing)}")
    return ClassMap(tuple(found), "; ".join(cautions))


def _few(names: Sequence[str], shown: int = 6) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _names(*lines: str) -> tuple[str, ...]:
    return tuple(" ".join(lines).split())


YOUTUBE_VIS_2019 = _names(
    "person giant_panda lizard parrot skateboard sedan ape dog snake monkey hand rabbit duck cat cow fish train",
    "horse turtle bear motorbike giraffe leopard fox deer owl surfboard airplane truck zebra tiger elephant",
    "snowboard boat shark mouse frog eagle earless_seal tennis_racket",
)
"""Names in the order of the dataset ids 1..40."""

YOUTUBE_VIS_2021 = _names(
    "airplane bear bird boat car cat cow deer dog duck earless_seal elephant fish flying_disc fox frog giant_panda",
    "giraffe horse leopard lizard monkey motorbike mouse parrot person rabbit shark skateboard snake snowboard",
    "squirrel surfboard tennis_racket tiger train truck turtle whale zebra",
)
"""Names in the order of the dataset ids 1..40."""

COCO_TO_YOUTUBE_VIS_2019 = {
    1: 1, 2: 21, 3: 6, 4: 21, 5: 28, 7: 17, 8: 29, 9: 34, 17: 14, 18: 8, 19: 18, 21: 15, 22: 32, 23: 20, 24: 30,
    25: 22, 35: 33, 36: 33, 41: 5, 42: 27, 43: 40,
}  # fmt: skip
"""COCO category id -> YouTube-VIS 2019 id (VITA, and the same in DVIS, MDQE, CTVIS).

Bicycles become motorbikes and skis snowboards; COCO categories that are not listed are dropped.
"""

COCO_TO_YOUTUBE_VIS_2021 = {
    1: 26, 2: 23, 3: 5, 4: 23, 5: 1, 7: 36, 8: 37, 9: 4, 16: 3, 17: 6, 18: 9, 19: 19, 21: 7, 22: 12, 23: 2, 24: 40,
    25: 18, 34: 14, 35: 31, 36: 31, 41: 29, 42: 33, 43: 34,
}  # fmt: skip
"""COCO category id -> YouTube-VIS 2021 id, from the same sources."""

COCO_UNUSED_IDS = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83})
"""Ids in 1..90 that COCO's 80 detection categories leave out."""
