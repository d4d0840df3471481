"""Which option of the model a measurement was made with: recipes that replace one say so in the record's protocol."""

from __future__ import annotations

from collections.abc import Mapping

from reference_model.config import VARIANTS
from suite.records.schema import Scalar
from suite.report.select import Cell
from suite.training.recipe import MODEL_OPTIONS


def replaced_options(protocol: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the options of the variant that a protocol replaces; empty for the variant itself."""
    return {key: value for key, value in protocol.items() if key in MODEL_OPTIONS}


def effective(cell: Cell, key: str) -> Scalar:
    """Return an entry of a cell's protocol; of an option of the model that it leaves alone, the variant's value."""
    protocol = dict(cell.protocol)
    if key in protocol or key not in MODEL_OPTIONS or cell.model not in VARIANTS:
        return protocol.get(key)
    value: Scalar = getattr(VARIANTS[cell.model], key)
    return value
