"""Cores that milliseconds are estimated for: one TOML file each in ``cores/``; adding a core is adding a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from suite.errors import InputError
from suite.typed import read_typed

CORE_FOLDER = Path(__file__).with_name("cores")


class Core(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One core.

    Attributes:
        title: how tables call it.
        clock_ghz: cycles per nanosecond that milliseconds are estimated at.
        mca_model: the core as llvm-mca models it (its ``-mcpu``); counts of another model are not used.
        boards: boards of ``published.csv`` whose times say how far estimates are off.
        sources: where clock and boards come from.
    """

    title: str
    clock_ghz: Annotated[float, msgspec.Meta(gt=0)]
    mca_model: str
    boards: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    sources: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


def core_names(folder: Path = CORE_FOLDER) -> list[str]:
    """Return the names of all core files, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load_core(name: str, folder: Path = CORE_FOLDER) -> Core:
    """Read one core file.

    Raises:
        InputError: if there is no such core, or its file has unknown or missing keys or wrong values.
    """
    if name not in core_names(folder):
        raise InputError(f"--core {name}: no such core; known cores: {', '.join(core_names(folder))}")
    return read_typed(folder / f"{name}.toml", Core, "core file", "compare with the files beside it")
