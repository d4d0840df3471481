"""The figures of the report: one module per figure, found by folder.

A module defines ``draw(evidence: Evidence) -> Figure | None`` (None where there is no data for it); the module's name
is the files' name. Modules whose name starts with an underscore are shared helpers.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def modules() -> dict[str, ModuleType]:
    """Return the modules of this folder by name, shared helpers (leading underscore) left out."""
    names = [item.name for item in pkgutil.iter_modules(__path__) if not item.name.startswith("_")]
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}
