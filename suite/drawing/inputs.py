"""Read what pictures are made from: results files and masks; choose frames and images by a fixed rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from suite.drawing.overlay import Mask
from suite.errors import InputError
from suite.files import read_json

Keys = dict[str, type | tuple[type, ...]]


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """Return up to ``wanted`` positions spread evenly over ``0..count-1``, first and last included."""
    if count <= wanted:
        return list(range(count))
    return [round(place * (count - 1) / (wanted - 1)) for place in range(wanted)]


def read_results(path: Path, keys: Keys) -> list[dict[str, Any]]:
    """Read a results file: a list of objects with these keys.

    Raises:
        DataError: if it is absent.
        InputError: naming the entry that lacks a key or holds another type.
    """
    content = read_json(path, "results file")
    if not isinstance(content, list):
        raise InputError(f"{path}: a results file holds a list of results; is it an annotations file?")
    for number, entry in enumerate(content):
        for key, kind in keys.items():
            if not isinstance(entry, dict) or not isinstance(entry.get(key), kind):
                raise InputError(f"{path}: result [{number}] has no usable {key!r}; write the results again")
    return content


def decoded(segmentation: Any, height: int, width: int, where: str) -> Mask:
    """Return a segmentation as an (H, W) mask, empty where it is null; needs pycocotools."""
    from suite.datasets.masks import to_mask

    mask = to_mask(segmentation, height, width, where)
    return np.zeros((height, width), np.bool_) if mask is None else mask
