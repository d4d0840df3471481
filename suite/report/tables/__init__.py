"""The tables of the report: one module per table, found by folder.

A module defines ``build(evidence: Evidence) -> Table``; the table's name is its files' name. Modules whose name starts
with an underscore are shared helpers. ``IN_PAPER = True`` also writes the table as LaTeX.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def modules() -> dict[str, ModuleType]:
    """Return the modules of this folder by name, shared helpers (leading underscore) left out."""
    names = [item.name for item in pkgutil.iter_modules(__path__) if not item.name.startswith("_")]
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}
