"""What the report must know of a model by its name: which published row it stands for, its masks, its input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from suite.models import ModelEntry, discover
from suite.report.cells import Cell


@lru_cache(maxsize=1)
def entries() -> Mapping[str, ModelEntry]:
    """Return every model of the suite by name."""
    return discover()


def find_counterparts() -> Mapping[str, tuple[str, ...]]:
    """Return published row id -> model names, from what each module of ``suite/models`` says of itself."""
    rows: dict[str, tuple[str, ...]] = {}
    for name, entry in sorted(entries().items()):
        for row_id in entry.published_rows:
            rows[row_id] = (*rows.get(row_id, ()), name)
    return rows


def display_name(model: str) -> str:
    """Return a model's name for readers, e.g. ``"MobileInst, TopFormer-Base, 640 px"``; unknown ones as they are."""
    entry = entries().get(model)
    if entry is None:
        return model
    number = re.search(r"_(\d+)", model)
    side = number.group(1) if number else min(entry.input_shapes[0])
    reading = model.removeprefix(entry.alternative_to).replace("_", " ") if entry.alternative_to else model
    return f"{entry.method}, {entry.backbone}, {side} px" + (f",{reading}" if reading.startswith(" ") else "")


def masks_span(model: str) -> str:
    """Return the span in which a model's masks are made: what methods can be compared in.

    It is the network, except where a method's network stops before the masks.
    """
    entry = entries().get(model)
    return "network" if entry is None else entry.masks_span


def is_primary(cell: Cell) -> bool:
    """Tell whether a cell's input is its model's primary one; any is for a model that the suite does not know."""
    entry = entries().get(cell.model)
    return entry is None or (cell.get("height_px"), cell.get("width_px")) == entry.input_shapes[0]
