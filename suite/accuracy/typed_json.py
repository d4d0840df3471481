"""Field types that COCO and YouTube-VIS files share."""

from __future__ import annotations

from typing import Annotated

import msgspec

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
