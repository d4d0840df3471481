"""One module per kind of training data; `open_source` finds them by folder.

A module defines ``DATASETS``, the names by which recipes ask for it, and ``open_source(recipe, seed, paths)``.
"""

from __future__ import annotations

import importlib
import pkgutil

from suite.errors import InputError
from suite.training.recipe import Recipe
from suite.training.source import DataPaths, TrainingSource


def open_source(recipe: Recipe, seed: int, paths: DataPaths | None = None) -> TrainingSource:
    """Return the training data of a recipe.

    Args:
        recipe: says which dataset, and how its images are shown.
        seed: base seed of order and augmentation.
        paths: the user's files instead of the pinned ones.

    Raises:
        InputError: if no module reads the recipe's dataset, or a file is not what it should be.
        DataError: if data are absent or not as pinned.
    """
    known: list[str] = []
    for found in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{found.name}")
        if recipe.dataset in module.DATASETS:
            source: TrainingSource = module.open_source(recipe, seed, paths or DataPaths())
            return source
        known += module.DATASETS
    raise InputError(f"recipe dataset {recipe.dataset!r}: nothing here reads it; known are {', '.join(sorted(known))}")
