"""The pins of ``datasets.dvc``: what every dataset is, where it comes from and which digest it must have.

The file is plain YAML that DVC understands too (``dvc status``); its outs are verified in place and never copied to a
cache. Where DVC has no word for something (a download page, a group), it stands under the out's ``meta``.
"""

from __future__ import annotations

import functools
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import msgspec

from suite.errors import InputError
from suite.paths import repository_root, shown
from suite.typed import read_typed

PINS_NAME = "datasets.dvc"
EMBEDDED_GROUP = "embedded"

Task = Literal["coco", "youtube-vis"]
"""A format of annotations."""

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Name = Annotated[str, msgspec.Meta(pattern=r"^\w[\w.-]*\Z", max_length=100)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Inside = Annotated[str, msgspec.Meta(pattern=r"^(?!/)(?!(.*/)?\.\.(/|$))[^\\]+$")]
"""A path inside the repository: relative, with forward slashes, without ``..``."""


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The official split whose pictures an archive holds.

    Attributes:
        task: format of its annotations.
        annotations: the file, relative to where the archive is unpacked.
        images: folder that the file names in it start from, likewise.
        annotations_pin: name of the pin that brings the annotations; empty where the archive itself does.
    """

    task: Task
    annotations: _Inside
    images: _Inside
    annotations_pin: str = ""


class Meta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What DVC has no word for.

    Attributes:
        group: what it is fetched together with.
        name: how commands and records call it; None for the file's name without suffix.
        url: where to download it.
        page: where a person gets it, for data behind a login.
        generator: the command that makes it.
        unpack: the folder its archive is unpacked into, relative to the repository.
        split: the official split whose pictures it holds.
    """

    group: _Text
    name: _Name | None = None
    url: _Text | None = None
    page: _Text | None = None
    generator: _Text | None = None
    unpack: _Inside | None = None
    split: Split | None = None


class Pin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One out of ``datasets.dvc``.

    Attributes:
        path: where it belongs, relative to the repository, with forward slashes.
        meta: what else is known of it.
        cache: whether DVC keeps a copy; never.
        md5: the digest it must have (``.dir`` at the end for a folder), or None where nobody has published one.
        size: its size in bytes (of all files of a folder), or None where that is not known.
        nfiles: number of files in a folder.
        hash: kind of digest.
        desc: what it is, for a person.
    """

    path: _Inside
    meta: Meta
    cache: bool
    md5: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}(\.dir)?$")] | None = None
    size: _Count | None = None
    nfiles: _Count | None = None
    hash: Literal["md5"] = "md5"
    desc: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be fetched or compared, saying what is missing; the reader adds file and place."""
        if self.cache:
            raise ValueError("needs 'cache: false', or DVC would copy the dataset into its cache")
        if not (self.meta.url or self.meta.page or self.meta.generator):
            raise ValueError("meta needs one of url, page, generator")
        if self.meta.url and not self.md5:
            raise ValueError("a file with a url needs an md5 to be compared with")

    @property
    def name(self) -> str:
        """How commands and records call it."""
        return self.meta.name or PurePosixPath(self.path).stem

    @property
    def file(self) -> Path:
        """Where the file or folder belongs on this disk."""
        return repository_root() / self.path

    @property
    def folder(self) -> Path:
        """Where its archive is unpacked on this disk."""
        return repository_root() / (self.meta.unpack or ".")

    @property
    def is_folder(self) -> bool:
        """Whether a folder is pinned, not a file."""
        return bool(self.meta.generator) or bool(self.md5 and self.md5.endswith(".dir"))

    def how_to_get(self) -> str:
        """Return what a person does to get it."""
        if self.meta.page:
            return f"get it from {self.meta.page}, then run 'python -m suite data add {self.name} FILE'"
        return f"run '{self.meta.generator or f'python -m suite data fetch {self.meta.group}'}'"


class _PinFile(msgspec.Struct, forbid_unknown_fields=True):
    outs: list[Pin]
    desc: str | None = None


def pins_path() -> Path:
    """Return the repository's ``datasets.dvc``; where there is none, the copy that the package was built with."""
    own = repository_root() / PINS_NAME
    return own if own.exists() else Path(__file__).with_name("datasets.yaml")


def load_pins() -> dict[str, Pin]:
    """Return the pins by name, in the file's order; an error names the file, and the line or out that is wrong."""
    path = pins_path()
    return dict(_pins_of(path, path.stat().st_mtime_ns if path.exists() else 0))


@functools.lru_cache(maxsize=4)
def _pins_of(path: Path, changed_ns: int) -> dict[str, Pin]:
    """Read the pins, once for each change of the file: a job asks a hundred times."""
    outs = read_typed(path, _PinFile, "list of datasets", "correct it or restore it with git").outs
    pins: dict[str, Pin] = {}
    for number, pin in enumerate(outs):
        if pin.name in pins or any(pin.path == other.path for other in pins.values()):
            raise InputError(f"{shown(path)}: outs[{number}] ({pin.path}): its name or path is used twice; remove one")
        pins[pin.name] = pin
    return pins


def select_pins(groups: tuple[str, ...]) -> list[Pin]:
    """Return the pins of some groups (or of single names), in the file's order.

    Args:
        groups: group names or pin names; ``all`` for everything; empty for the embedded group.

    Raises:
        InputError: if a word is neither a group nor a name.
    """
    pins = load_pins()
    wanted = set(groups or (EMBEDDED_GROUP,))
    known = {pin.meta.group for pin in pins.values()} | set(pins)
    if unknown := sorted(wanted - known - {"all"}):
        names = ", ".join(dict.fromkeys(pin.meta.group for pin in pins.values()))
        raise InputError(f"{PINS_NAME}: no group or dataset '{unknown[0]}'; groups: {names}, all")
    return [pin for pin in pins.values() if "all" in wanted or {pin.meta.group, pin.name} & wanted]
