"""A part of an annotations file: some of its images or videos, with what is annotated on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

from suite.datasets.fields import Id

Unit = Literal["image", "video"]


def part_of(content: Mapping[str, Any], unit: Unit, ids: Collection[Id]) -> dict[str, Any]:
    """Return a document of COCO or YouTube-VIS with only these images or videos, everything else as it is.

    Args:
        content: the document; one without ``annotations`` gets an empty list of them.
        unit: what the file lists.
        ids: which of them to keep; their order stays the file's.
    """
    return {
        **content,
        f"{unit}s": [item for item in content[f"{unit}s"] if item["id"] in ids],
        "annotations": [item for item in content.get("annotations") or [] if item[f"{unit}_id"] in ids],
    }
