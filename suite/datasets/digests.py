"""MD5 digests of files and folders as DVC computes them, and notes beside the data that save reading files again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from suite.errors import DataError, InputError
from suite.files import file_digest, write_json
from suite.paths import data_dir

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
