"""What is on this disk for a pin: compared with its digest, or unpacked from what had the right one.

Digests of files and folders are those that DVC computes; notes beside the data save reading files again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from suite.datasets.pins import PINS_NAME, Pin
from suite.errors import DataError, InputError
from suite.files import file_digest, write_json
from suite.paths import data_dir

IGNORED_NAMES = (".DS_Store", "Thumbs.db", "desktop.ini")
"""File names that do not count, the same as in ``.dvcignore``."""

MEMORY_NAME = ".digests.json"
_UNCHANGED_S = 2.0
"""A file changed less than this long ago is not remembered: a later change might leave the same time stamp."""


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

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be listed ({error.strerror}); check its permissions")

    paths = [
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=refuse, followlinks=True)
        for name in names
        if name not in IGNORED_NAMES
    ]
    entries = sorted((path.relative_to(folder).as_posix(), file_digest(path, "md5")) for path in paths)
    listing = json.dumps([{"md5": md5, "relpath": name} for name, md5 in entries]).encode()
    digest = hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir"
    return digest, sum(path.stat().st_size for path in paths), len(paths)


def remembered_md5(path: Path, again: bool = False) -> str:
    """Return the MD5 of a file, read only if its size, time or inode differ from when it was last read.

    With ``again`` it is read whether or not it has changed; DataError if it cannot be read.
    """
    notes, name = data_dir() / MEMORY_NAME, str(path.resolve())
    try:
        memory = msgspec.json.decode(notes.read_bytes(), type=dict[str, tuple[list[int], str]])
    except (OSError, msgspec.MsgspecError):
        memory = {}
    status = path.stat()
    identity = [status.st_size, status.st_mtime_ns, status.st_ino]
    known = memory.get(name)
    if known is not None and known[0] == identity and not again:
        return known[1]
    md5 = file_digest(path, "md5")
    if time.time() - status.st_mtime >= _UNCHANGED_S:
        here = {other: note for other, note in memory.items() if Path(other).exists()}
        with contextlib.suppress(InputError):  # on a disk that may not be written, files are read again later
            write_json(notes, here | {name: (identity, md5)})
    return md5


Status = Literal["verified", "unpacked", "unpinned", "absent", "truncated", "mismatch"]

GOOD: tuple[Status, ...] = ("verified", "unpacked")
"""What a pin with a digest should be."""


class _Stamp(msgspec.Struct):
    digest: str
    tops: list[str]


def stamp_path(pin: Pin) -> Path:
    """Return where it is noted which archive a pin's folder was unpacked from, so that a second run does nothing."""
    return pin.folder / ".unpacked" / f"{pin.name}.json"


def unpacked_from(pin: Pin) -> str | None:
    """Return the MD5 of the archive a pin's folder was unpacked from; None if it was not, or a part of it is gone."""
    try:
        stamp = msgspec.json.decode(stamp_path(pin).read_bytes(), type=_Stamp)
    except (OSError, msgspec.MsgspecError):
        return None
    return stamp.digest if all((pin.folder / top).exists() for top in stamp.tops) else None


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
    """Compare what is on the disk with a pin; nothing is changed there.

    Args:
        pin: what it should be.
        again: whether every byte is read, also of a file whose digest is remembered; folders are always read.

    Raises:
        DataError: if something cannot be read.
    """
    path, get = pin.file, pin.how_to_get()
    if not path.exists():
        if pin.md5 is not None and unpacked_from(pin) == pin.md5:
            return State("unpacked", pin.md5)
        return State("absent", explanation=f"{pin.path}: absent; {get}")
    if pin.is_folder != path.is_dir():
        kind = "folder" if pin.is_folder else "file"
        return State("mismatch", explanation=f"{pin.path}: should be a {kind}; move it away, then {get}")
    if pin.is_folder:
        have, size, _ = directory_digest(path)
    else:
        size = path.stat().st_size
        if pin.size is not None and size < pin.size:
            text = f"{pin.path}: truncated, has {size} of {pin.size} bytes; remove it, then {get}"
            return State("truncated", None, size, text)
        have = remembered_md5(path, again)
    if have == pin.md5:
        return State("verified", have, size)
    if pin.md5 is None:
        remedy = f"pin yours with 'python -m suite data add {pin.name}'"
        return State("unpinned", have, size, f"{pin.path}: {PINS_NAME} has no digest to compare it with; {remedy}")
    text = f"{pin.path}: digest is {have} but {PINS_NAME} pins {pin.md5}; move it away, then {get}"
    return State("mismatch", have, size, text)


def verified_digest(pin: Pin) -> str:
    """Return the digest of a dataset; DataError unless it is here, the pinned one, and unpacked if it is an archive."""
    state = examine(pin)
    if state.have is None or state.status not in GOOD:
        raise DataError(state.explanation)
    if pin.meta.unpack and unpacked_from(pin) != state.have:
        raise DataError(f"{pin.meta.unpack}: {pin.name} is not unpacked; run 'python -m suite data fetch {pin.name}'")
    return state.have
