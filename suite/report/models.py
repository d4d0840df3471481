"""What the report must know of a model by its name: which published row it stands for, its masks, its input."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from functools import lru_cache

from reference_model.config import ModelConfig
from suite.models import ModelEntry, discover

ANCHOR = "mobileinst_topformer_base_640"
"""The model every relative latency of the report is compared with: MobileInst's main row."""
INPUT_FIELDS = frozenset({"name", "num_classes", "short_side_px", "long_side_px", "size_divisor_px"})
"""Fields of a configuration that follow from the data and the input; all others are options of the model."""
OPTIONS = frozenset(field.name for field in dataclasses.fields(ModelConfig)) - INPUT_FIELDS


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


def is_prior_art(model: str) -> bool:
    """Tell whether a name is that of a model of prior art, which has a table of its own."""
    entry = entries().get(model)
    return entry is not None and bool(entry.reading)


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


def is_primary(model: str, height_px: object, width_px: object) -> bool:
    """Tell whether an input shape is a model's primary one; any is for a model that the suite does not know."""
    entry = entries().get(model)
    return entry is None or (height_px, width_px) == entry.input_shapes[0]
