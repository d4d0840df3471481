"""The pins of ``datasets.dvc``: what every dataset is, where it comes from and which digest it must have.

The file is plain YAML that DVC understands too (``dvc status``); its outs are verified in place and never copied to a
cache. Where DVC has no word for something (a download page, a group), it stands under the out's ``meta``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from suite.datasets.digests import directory_digest, directory_md5, file_md5, remember, remembered_md5
from suite.datasets.stamps import read_stamp
from suite.errors import DataError, InputError
from suite.paths import repository_root, shown

__all__ = ["PINS_NAME", "Pin", "State", "directory_md5", "examine", "load_pins", "select_pins", "verified_digest"]

PINS_NAME = "datasets.dvc"
EMBEDDED_GROUP = "embedded"
_OUT_KEYS = {"md5", "size", "nfiles", "hash", "path", "cache", "desc", "meta"}
_META_KEYS = {"name", "group", "url", "page", "generator", "unpack", "layout"}
_SOURCES = ("url", "page", "generator")


@dataclass(frozen=True)
class Pin:
    """One out of ``datasets.dvc``.

    Attributes:
        name: how commands and records call it.
        group: what it is fetched together with.
        path: where it belongs, relative to the repository, with forward slashes.
        md5: the digest it must have (``.dir`` at the end for a folder), or None where nobody has published one.
        size: its size in bytes (of all files of a folder), or None where that is not known.
        nfiles: number of files of a folder, else None.
        url: where to download it.
        page: where a person gets it, for data behind a login.
        generator: the command that makes it.
        unpack: the folder its archive is unpacked into, relative to the repository.
        layout: what is in it, for a person.
        desc: one line about it.
    """

    name: str
    group: str
    path: str
    md5: str | None = None
    size: int | None = None
    nfiles: int | None = None
    url: str | None = None
    page: str | None = None
    generator: str | None = None
    unpack: str | None = None
    layout: str | None = None
    desc: str | None = None

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
        if self.generator:
            return f"run '{self.generator}'"
        if self.url:
            return f"run 'python -m suite data fetch {self.group}'"
        return f"get it from {self.page} and put it there"


def pins_path() -> Path:
    """Return where ``datasets.dvc`` is."""
    return repository_root() / PINS_NAME


def _inside(path: object) -> bool:
    if not isinstance(path, str) or not path or "\\" in path:
        return False
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


def _check_digest(where: str, md5: object) -> None:
    if type(md5) is int:
        raise InputError(f"{where}: md5 {md5} is read as a number; put it in quotes")
    if md5 is not None and not (isinstance(md5, str) and re.fullmatch(r"[0-9a-f]{32}(\.dir)?", md5)):
        raise InputError(f"{where}: md5 {md5!r:.50} is not 32 hexadecimal digits (with .dir for a folder); correct it")


def _pin(where: str, out: Any) -> Pin:
    if not isinstance(out, dict) or not _inside(out.get("path")):
        raise InputError(f"{where}: each out needs a 'path' inside the repository, with forward slashes; correct it")
    where = f"{where} ({out['path']})"
    meta = out.get("meta")
    if not isinstance(meta, dict):
        raise InputError(f"{where}: needs 'meta' with group and url, page or generator; add it")
    for keys, known, what in ((out.keys(), _OUT_KEYS, "out"), (meta.keys(), _META_KEYS, "meta")):
        if unknown := sorted(set(map(str, keys)) - known):
            raise InputError(f"{where}: unknown {what} key '{unknown[0]}'; known: {', '.join(sorted(known))}")
    _check_digest(where, out.get("md5"))
    for key in ("size", "nfiles"):
        if out.get(key) is not None and (type(out[key]) is not int or out[key] < 0):
            raise InputError(f"{where}: {key} must be a number of at least 0, not {out[key]!r:.50}; correct it")
    for key, value in meta.items():
        if not isinstance(value, str) or not value:
            raise InputError(f"{where}: meta.{key} must be text, not {value!r:.50}; correct it")
    if out.get("cache") is not False:
        raise InputError(f"{where}: needs 'cache: false', or DVC would copy the dataset into its cache; add it")
    if "group" not in meta or not any(key in meta for key in _SOURCES):
        raise InputError(f"{where}: meta needs a group and one of {', '.join(_SOURCES)}; add them")
    if "unpack" in meta and not _inside(meta["unpack"]):
        raise InputError(f"{where}: meta.unpack must be a folder inside the repository; correct it")
    plain = {key: out.get(key) for key in ("md5", "size", "nfiles", "desc")}
    return Pin(path=out["path"], **{"name": PurePosixPath(out["path"]).stem, **meta, **plain})


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
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{shown(path)}: absent; it belongs to the repository, restore it with git") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{shown(path)}: cannot be read ({error}); restore it with git") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1} column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "broken"
        raise InputError(
            f"{shown(path)}: not valid YAML{place} ({problem}); correct it or restore it with git"
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("outs"), list):
        raise InputError(f"{shown(path)}: has no list 'outs'; restore it with git")
    pins: dict[str, Pin] = {}
    for number, out in enumerate(content["outs"]):
        pin = _pin(f"{shown(path)}: outs[{number}]", out)
        if pin.name in pins or any(pin.path == other.path for other in pins.values()):
            raise InputError(f"{shown(path)}: outs[{number}] ({pin.path}): name or path is used twice; remove one")
        pins[pin.name] = pin
    return pins


def select_pins(groups: tuple[str, ...], pins: dict[str, Pin] | None = None) -> list[Pin]:
    """Return the pins of some groups (or of single names), in the file's order.

    Args:
        groups: group names or pin names; ``all`` for everything; empty for the embedded group.
        pins: the pins, read from the repository if None.

    Raises:
        InputError: if a word is neither a group nor a name.
    """
    pins = load_pins() if pins is None else pins
    wanted = set(groups or (EMBEDDED_GROUP,))
    known = {pin.group for pin in pins.values()} | set(pins)
    if unknown := sorted(wanted - known - {"all"}):
        names = ", ".join(dict.fromkeys(pin.group for pin in pins.values()))
        raise InputError(f"{PINS_NAME}: no group or dataset '{unknown[0]}'; groups: {names}, all")
    return [pin for pin in pins.values() if "all" in wanted or {pin.group, pin.name} & wanted]


@dataclass(frozen=True)
class State:
    """What is on the disk for a pin.

    Attributes:
        status: ``verified``; ``unpacked`` (the archive was as pinned, was unpacked and is gone); ``adopted`` (folders
            from elsewhere, right by their counts); ``unpinned`` (present, nothing to compare with); ``absent``;
            ``truncated``; ``mismatch``.
        have: the digest found, or None.
        size: bytes found, or None.
        explanation: one line naming the file and the remedy; empty if nothing is wrong.
    """

    status: str
    have: str | None = None
    size: int | None = None
    explanation: str = ""


def examine(pin: Pin, use_memory: bool = True, on_bytes: Callable[[int], None] | None = None) -> State:
    """Compare what is on the disk with a pin.

    Args:
        pin: what it should be.
        use_memory: whether the digest of an unchanged file may be remembered; folders are always read.
        on_bytes: called with the size of each piece read, for a progress bar.

    Returns:
        What was found; nothing is changed on the disk.
    """
    path = pin.file
    if not path.exists():
        stamp = read_stamp(pin.unpack, pin.name)
        if stamp is not None and (stamp.adopted or stamp.digest == pin.md5):
            return State("adopted" if stamp.adopted else "unpacked", stamp.digest)
        return State("absent", explanation=f"{pin.path}: absent; {pin.how_to_get()}")
    if pin.is_folder != path.is_dir():
        kind = "folder" if pin.is_folder else "file"
        return State("mismatch", explanation=f"{pin.path}: should be a {kind}; move it away, then {pin.how_to_get()}")
    if pin.is_folder:
        have, size, _ = directory_digest(path)
        if pin.md5 is None:
            return State("unpinned", have, size, _unpinned(pin))
    else:
        size = path.stat().st_size
        if pin.size is not None and size < pin.size:
            text = f"{pin.path}: truncated, has {size} of {pin.size} bytes; remove it, then {pin.how_to_get()}"
            return State("truncated", None, size, text)
        remembered = remembered_md5(path) if use_memory else None
        have = remembered or file_md5(path, on_bytes)
        if remembered is None:
            remember(path, have)
        if pin.md5 is None:
            return State("unpinned", have, size, _unpinned(pin))
    if have == pin.md5:
        return State("verified", have, size)
    text = f"{pin.path}: digest is {have} but {PINS_NAME} pins {pin.md5}; move it away, then {pin.how_to_get()}"
    return State("mismatch", have, size, text)


def _unpinned(pin: Pin) -> str:
    return (
        f"{pin.path}: present but {PINS_NAME} pins no digest, nobody has published one; "
        f"pin yours with 'python -m suite data pin {pin.name}'"
    )


def verified_digest(name: str, allow_unpinned: bool = False) -> str:
    """Return the digest of a dataset after checking that it is the pinned one.

    Args:
        name: a pin's name, e.g. ``"shapes"``.
        allow_unpinned: whether a dataset may be used that cannot be compared with a pin, because none is published or
            because it was adopted unpacked; its measured digest is returned.

    Raises:
        InputError: if nothing has that name.
        DataError: if the dataset is absent, not the pinned one, or unpinned and that is not allowed.
    """
    pins = load_pins()
    if name not in pins:
        raise InputError(f"{PINS_NAME}: no dataset '{name}'; known: {', '.join(pins)}")
    state = examine(pins[name])
    if state.have and state.status in ("verified", "unpacked"):
        return state.have
    if state.have and allow_unpinned and state.status in ("unpinned", "adopted"):
        return state.have
    text = state.explanation or (
        f"{pins[name].path}: adopted unpacked, its bytes cannot be compared with the pin; fetch the archive itself"
    )
    raise DataError(text + (", or use --allow-unpinned" if state.status in ("unpinned", "adopted") else ""))
