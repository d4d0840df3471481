"""JSON files decoded straight into typed structures, every deviation named with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from suite.errors import InputError
from suite.files import read_json, read_unpacked

Kind = TypeVar("Kind")

Id = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""Ids that survive the evaluators' float arrays."""

MAX_SIDE_PX = 2**15
Side = Annotated[int, msgspec.Meta(ge=1, le=MAX_SIDE_PX)]
"""Height or width in pixels; the product of two still fits the 32-bit run lengths."""


class Rle(msgspec.Struct, frozen=True, gc=False):
    """A run-length code: size is (height, width) in pixels, counts compressed (string) or not (list)."""

    size: tuple[int, int] | None = None
    counts: str | list[int] | None = None


Segmentation = Rle | list[list[float]] | None
"""A run-length code, polygons of x1, y1, x2, y2, ... in pixels, or null; ``{}`` is an `Rle` without fields."""


def read_typed(path: Path, kind: type[Kind], what: str, root: str, remedy: str) -> Kind:
    """Read a ``.json`` or ``.json.gz`` file into a typed structure; unknown keys are ignored, wrong types refused.

    Args:
        path: the file.
        kind: the type of the whole document.
        what: how messages call the file, e.g. ``"results file"``.
        root: how messages call the outermost value, e.g. ``"results"``; empty where its keys speak for themselves.
        remedy: what to do about a wrong field.

    Raises:
        DataError: if the file is absent.
        InputError: naming the line and column of bad JSON, or the place of a wrong type, e.g. ``results[3].score``.
    """
    raw = read_unpacked(path, what)
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        why, _, place = str(error).partition(" - at `$")
        where = (root + place.rstrip("`")).lstrip(".")
        start = f"{path}: {where}: " if where else f"{path}: "
        raise InputError(f"{start}{why[:1].lower()}{why[1:]}; {remedy}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        del raw
        read_json(path, what)
        raise InputError(f"{path}: not a valid {what} ({error}); write the file again") from None
