"""Which model of the suite stands for which published row, and what the report must know of a model by its name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from suite.models import ModelEntry, discover


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
    """Whether a name is that of a model of prior art, which has a table of its own."""
    entry = entries().get(model)
    return entry is not None and bool(entry.reading)


def masks_span(model: str) -> str:
    """Return the span in which a model's masks are made: what methods can be compared in.

    It is the network, except where a method's network stops before the masks.
    """
    entry = entries().get(model)
    return "with_masks" if entry is not None and entry.masks_apart else "network"


def is_primary(model: str, height_px: object, width_px: object) -> bool:
    """Whether an input shape is a model's primary one; any is for a model that the suite does not know."""
    entry = entries().get(model)
    return entry is None or (height_px, width_px) == entry.input_shapes[0]
