"""The figures of the report: a module each, whose ``draw`` returns a figure, or None where there is no data for it."""

from __future__ import annotations

import importlib
from types import ModuleType

FIGURES = ("ap_latency", "ap_reuse", "training_curve", "latency_ratio")
"""The modules, in the page's order."""


def module(name: str) -> ModuleType:
    """Return one of `FIGURES`, imported where it is needed: matplotlib is slow to load."""
    return importlib.import_module(f"{__name__}.{name}")
