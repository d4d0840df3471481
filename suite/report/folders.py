"""Tables and figures are found by folder: adding one touches one file."""

from __future__ import annotations

import pkgutil
from types import ModuleType


def module_names(package: ModuleType) -> list[str]:
    """Return the modules of a package by name, shared helpers (leading underscore) left out."""
    return [item.name for item in pkgutil.iter_modules(package.__path__) if not item.name.startswith("_")]
