"""What is on this disk for a pin: compared with its digest, or unpacked from what had the right one.

Digests of files and folders are those that DVC computes; notes beside the data save reading files again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from suite.datasets.pins import PINS_NAME, Pin, pin_named
from suite.errors import DataError, InputError, SuiteError
from suite.files import file_digest, write_json
from suite.paths import data_dir, repository_root
from suite.typed import read_typed

IGNORED_NAMES = (".DS_Store", "Thumbs.db", "desktop.ini")
"""File names that do not count, the same as in ``.dvcignore``."""

MEMORY_NAME = ".digests.json"
_UNCHANGED_S = 2.0
"""A file changed less than this long ago is not remembered: a later change might leave the same time stamp."""


def folder_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path relative to ``folder`` with forward slashes, path) of every file that counts, in DVC's order.

    Raises:
        DataError: if a folder cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be listed ({error.strerror}); check its permissions")

    found = []
    for parent, _, names in os.walk(folder, onerror=refuse, followlinks=True):
        start = Path(parent).relative_to(folder)
        found += [((start / name).as_posix(), Path(parent, name)) for name in names if name not in IGNORED_NAMES]
    yield from sorted(found)


def directory_digest(folder: Path) -> tuple[str, int, int]:
    """Return what DVC pins of a folder.

    Args:
        folder: an existing folder.

    Returns:
        ``(digest, size, files)``: the MD5 of the sorted list of relative paths and file MD5s followed by ``.dir``, the
        bytes of all files, and their number.

    Raises:
        DataError: if something in it cannot be read.
    """
    entries, size = [], 0
    for name, path in folder_files(folder):
        entries.append({"md5": file_digest(path, "md5"), "relpath": name})
        size += path.stat().st_size
    listing = json.dumps(entries, sort_keys=True).encode()
    return hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir", size, len(entries)


def _identity(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def remembered_md5(path: Path, again: bool = False) -> str:
    """Return the MD5 of a file, read only if its size, time or inode differ from when it was last read.

    Args:
        path: the file.
        again: read it whether or not it has changed.

    Raises:
        DataError: if it cannot be read.
    """
    memory, name = read_notes(MEMORY_NAME), str(path.resolve())
    entry = memory.get(name)
    if not again and isinstance(entry, dict) and entry.get("identity") == _identity(path):
        return str(entry.get("md5"))
    md5 = file_digest(path, "md5")
    if time.time() - path.stat().st_mtime >= _UNCHANGED_S:
        known = {other: note for other, note in memory.items() if Path(other).exists()}
        write_notes(MEMORY_NAME, known | {name: {"identity": _identity(path), "md5": md5}})
    return md5


def read_notes(name: str) -> dict[str, Any]:
    """Return the notes in a file of the data folder (digests, health); {} if there are none or they cannot be read."""
    try:
        content = json.loads((data_dir() / name).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_notes(name: str, notes: dict[str, Any]) -> None:
    """Replace the notes in a file of the data folder; on a disk that may not be written there will be none.

    Raises:
        ValueError: if a note holds a float that JSON cannot express.
    """
    # Without notes the files are read again later, nothing worse.
    with contextlib.suppress(InputError):
        write_json(data_dir() / name, notes)


Status = Literal["verified", "unpacked", "unpinned", "absent", "truncated", "mismatch"]

GOOD: tuple[Status, ...] = ("verified", "unpacked")
"""What a pin with a digest should be."""

STAMP_FOLDER = ".unpacked"


@dataclass(frozen=True)
class Stamp:
    """A note beside an unpacked archive: which archive it came from, so that a second run does nothing.

    Attributes:
        digest: MD5 of the archive.
        files: number of files.
        tops: names directly under the unpack folder that came from it.
    """

    digest: str
    files: int
    tops: tuple[str, ...]


def stamp_path(unpack: str, name: str) -> Path:
    """Return where the stamp of a pin lies; ``unpack`` is the folder its archive is unpacked into."""
    return repository_root() / unpack / STAMP_FOLDER / f"{name}.json"


def read_stamp(unpack: str | None, name: str) -> Stamp | None:
    """Return the stamp of a pin, or None if there is none, it is broken or something it names is gone."""
    if unpack is None:
        return None
    try:
        stamp = read_typed(stamp_path(unpack, name), Stamp, "stamp", "remove it")
    except SuiteError:
        return None
    return stamp if all((repository_root() / unpack / top).exists() for top in stamp.tops) else None


def write_stamp(unpack: str, name: str, stamp: Stamp) -> None:
    """Write the stamp of a pin."""
    write_json(stamp_path(unpack, name), asdict(stamp))


@dataclass(frozen=True)
class State:
    """What is on the disk for a pin.

    Attributes:
        status: ``verified``; ``unpacked`` (the archive was as pinned, was unpacked and is gone); ``unpinned``
            (present, nothing to compare with); ``absent``; ``truncated``; ``mismatch``.
        have: the digest found, or None.
        size: bytes found, or None.
        explanation: one line naming the file and the remedy; empty if nothing is wrong.
    """

    status: Status
    have: str | None = None
    size: int | None = None
    explanation: str = ""


def examine(pin: Pin, again: bool = False) -> State:
    """Compare what is on the disk with a pin.

    Args:
        pin: what it should be.
        again: whether every byte is read, also of a file whose digest is remembered; folders are always read.

    Returns:
        What was found; nothing is changed on the disk.

    Raises:
        DataError: if something cannot be read.
    """
    path = pin.file
    if not path.exists():
        stamp = read_stamp(pin.unpack, pin.name)
        if stamp is not None and stamp.digest == pin.md5:
            return State("unpacked", stamp.digest)
        return State("absent", explanation=f"{pin.path}: absent; {pin.how_to_get()}")
    if pin.is_folder != path.is_dir():
        kind = "folder" if pin.is_folder else "file"
        return State("mismatch", explanation=f"{pin.path}: should be a {kind}; move it away, then {pin.how_to_get()}")
    if pin.is_folder:
        have, size, _ = directory_digest(path)
    else:
        size = path.stat().st_size
        if pin.size is not None and size < pin.size:
            text = f"{pin.path}: truncated, has {size} of {pin.size} bytes; remove it, then {pin.how_to_get()}"
            return State("truncated", None, size, text)
        have = remembered_md5(path, again)
    if have == pin.md5:
        return State("verified", have, size)
    if pin.md5 is None:
        remedy = f"pin yours with 'python -m suite data add {pin.name}'"
        return State("unpinned", have, size, f"{pin.path}: {PINS_NAME} has no digest to compare it with; {remedy}")
    text = f"{pin.path}: digest is {have} but {PINS_NAME} pins {pin.md5}; move it away, then {pin.how_to_get()}"
    return State("mismatch", have, size, text)


def verified_digest(name: str, allow_unpinned: bool = False) -> str:
    """Return the digest of a dataset after checking that it is the pinned one.

    Args:
        name: a pin's name, e.g. ``"shapes"``.
        allow_unpinned: whether a dataset without a pinned digest may be used; its measured digest is returned.

    Raises:
        InputError: if nothing has that name.
        DataError: if the dataset is absent, not the pinned one, or unpinned and that is not allowed.
    """
    pin = pin_named(name)
    state = examine(pin)
    if state.have and state.status in ("verified", "unpacked"):
        return state.have
    if state.status != "unpinned":
        raise DataError(state.explanation)
    if state.have is None or not allow_unpinned:
        raise DataError(f"{state.explanation}, or use --allow-unpinned")
    return state.have
