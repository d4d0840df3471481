"""The pins of ``datasets.dvc``: what every dataset is, where it comes from and which digest it must have.

The file is plain YAML that DVC understands too (``dvc status``); its outs are verified in place and never copied to a
cache. Where DVC has no word for something (a download page, a group), it stands under the out's ``meta``.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import msgspec

from suite.errors import InputError
from suite.paths import repository_root, shown
from suite.typed import read_typed

PINS_NAME = "datasets.dvc"
EMBEDDED_GROUP = "embedded"

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Inside = Annotated[str, msgspec.Meta(pattern=r"^(?!/)(?!(.*/)?\.\.(/|$))[^\\]+$")]
"""A path inside the repository: relative, with forward slashes, without ``..``."""


class _Meta(msgspec.Struct, forbid_unknown_fields=True):
    group: _Text
    name: _Text | None = None
    url: _Text | None = None
    page: _Text | None = None
    generator: _Text | None = None
    unpack: _Inside | None = None
    layout: _Text | None = None


class _Out(msgspec.Struct, forbid_unknown_fields=True):
    path: _Inside
    meta: _Meta
    cache: bool
    md5: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}(\.dir)?$")] | None = None
    size: _Count | None = None
    nfiles: _Count | None = None
    hash: Literal["md5"] = "md5"
    desc: str | None = None


class _PinFile(msgspec.Struct, forbid_unknown_fields=True):
    outs: list[_Out]
    desc: str | None = None


@dataclass(frozen=True)
class Pin:
    """One out of ``datasets.dvc``.

    Attributes:
        name: how commands and records call it.
        group: what it is fetched together with.
        path: where it belongs, relative to the repository, with forward slashes.
        md5: the digest it must have (``.dir`` at the end for a folder), or None where nobody has published one.
        size: its size in bytes (of all files of a folder), or None where that is not known.
        url: where to download it.
        page: where a person gets it, for data behind a login.
        generator: the command that makes it.
        unpack: the folder its archive is unpacked into, relative to the repository.
        layout: what is in it, for a person.
    """

    name: str
    group: str
    path: str
    md5: str | None = None
    size: int | None = None
    url: str | None = None
    page: str | None = None
    generator: str | None = None
    unpack: str | None = None
    layout: str | None = None

    @property
    def file(self) -> Path:
        """Where the file or folder belongs on this disk."""
        return repository_root() / self.path

    @property
    def is_folder(self) -> bool:
        """Whether a folder is pinned, not a file."""
        return bool(self.generator) or bool(self.md5 and self.md5.endswith(".dir"))

    def how_to_get(self) -> str:
        """Return what a person does to get it."""
        if self.page:
            return f"get it from {self.page}, then run 'python -m suite data add {self.name} FILE'"
        return f"run '{self.generator or f'python -m suite data fetch {self.group}'}'"


def pins_path() -> Path:
    """Return the repository's ``datasets.dvc``; where there is none, the copy that the package was built with."""
    own = repository_root() / PINS_NAME
    return own if own.exists() else Path(__file__).with_name("datasets.yaml")


def load_pins(path: Path | None = None) -> dict[str, Pin]:
    """Read the pins.

    Args:
        path: the file; None for the repository's ``datasets.dvc``.

    Returns:
        name -> pin, in the file's order.

    Raises:
        DataError: if the file is absent.
        InputError: if it is not what it should be; the message names the line or the out.
    """
    path = path or pins_path()
    return dict(_pins_of(path, path.stat().st_mtime_ns if path.exists() else 0))


@functools.lru_cache(maxsize=4)
def _pins_of(path: Path, changed_ns: int) -> dict[str, Pin]:
    """Read the pins, once for each change of the file: a job asks a hundred times."""
    content = read_typed(path, _PinFile, "list of datasets", "correct it or restore it with git")
    pins: dict[str, Pin] = {}
    for number, out in enumerate(content.outs):
        where, meta = f"{shown(path)}: outs[{number}] ({out.path})", out.meta
        if out.cache:
            raise InputError(f"{where}: needs 'cache: false', or DVC would copy the dataset into its cache; add it")
        if not (meta.url or meta.page or meta.generator):
            raise InputError(f"{where}: meta needs one of url, page, generator; add it")
        if meta.url and not out.md5:
            raise InputError(f"{where}: a file with a url needs an md5 to be compared with; add it")
        name = meta.name or PurePosixPath(out.path).stem
        if name in pins or any(out.path == other.path for other in pins.values()):
            raise InputError(f"{where}: its name or path is used twice; remove one")
        described = msgspec.structs.asdict(meta) | {"name": name}
        pins[name] = Pin(path=out.path, md5=out.md5, size=out.size, **described)
    return pins


def pin_named(name: str) -> Pin:
    """Return one pin.

    Raises:
        InputError: if nothing has that name.
    """
    pins = load_pins()
    if name not in pins:
        raise InputError(f"{PINS_NAME}: no dataset '{name}'; known: {', '.join(pins)}")
    return pins[name]


def select_pins(groups: tuple[str, ...]) -> list[Pin]:
    """Return the pins of some groups (or of single names), in the file's order.

    Args:
        groups: group names or pin names; ``all`` for everything; empty for the embedded group.

    Raises:
        InputError: if a word is neither a group nor a name.
    """
    pins = load_pins()
    wanted = set(groups or (EMBEDDED_GROUP,))
    known = {pin.group for pin in pins.values()} | set(pins)
    if unknown := sorted(wanted - known - {"all"}):
        names = ", ".join(dict.fromkeys(pin.group for pin in pins.values()))
        raise InputError(f"{PINS_NAME}: no group or dataset '{unknown[0]}'; groups: {names}, all")
    return [pin for pin in pins.values() if "all" in wanted or {pin.group, pin.name} & wanted]
