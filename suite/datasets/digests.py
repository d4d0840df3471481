"""MD5 digests of files and folders as DVC computes them, remembered by file identity so that a second look is free."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from suite.datasets.memory import keep, recall
from suite.errors import DataError
from suite.paths import shown

IGNORED_NAMES = (".DS_Store", "Thumbs.db", "desktop.ini")
"""File names that do not count, the same as in ``.dvcignore``."""

_CHUNK_BYTES = 1 << 20
_SETTLED_S = 2.0
"""A file changed less than this long ago is not remembered: a later change might leave the same time stamp."""

MEMORY_NAME = ".digests.json"


def file_md5(path: Path, on_bytes: Callable[[int], None] | None = None) -> str:
    """Return the MD5 of a file's bytes, reading it once in pieces.

    Args:
        path: the file.
        on_bytes: called with the size of each piece, for a progress bar.

    Raises:
        DataError: if it cannot be read.
    """
    digest = hashlib.md5(usedforsecurity=False)
    buffer = bytearray(_CHUNK_BYTES)
    view = memoryview(buffer)
    try:
        with path.open("rb", buffering=0) as stream:
            while count := stream.readinto(buffer):
                digest.update(view[:count])
                if on_bytes:
                    on_bytes(count)
    except OSError as error:
        raise DataError(
            f"{shown(path)}: cannot be read ({error.strerror}); check that it exists and is yours"
        ) from None
    return digest.hexdigest()


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
        entries.append({"md5": file_md5(path), "relpath": name})
        size += path.stat().st_size
    listing = json.dumps(entries, sort_keys=True).encode()
    return hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir", size, len(entries)


def directory_md5(folder: Path) -> str:
    """Return the digest of a folder as DVC pins it, ``"<32 hex digits>.dir"``; see `directory_digest`."""
    return directory_digest(folder)[0]


def _identity(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def remember(path: Path, md5: str) -> None:
    """Remember the digest of a file that was just hashed, unless the file is too fresh to tell a later change."""
    if time.time() - path.stat().st_mtime < _SETTLED_S:
        return
    memory = recall(MEMORY_NAME) | {str(path.resolve()): {"identity": _identity(path), "md5": md5}}
    memory = {name: entry for name, entry in memory.items() if Path(name).exists()}
    keep(MEMORY_NAME, memory)


def remembered_md5(path: Path) -> str | None:
    """Return the digest of a file hashed before, or None if it is not known or the file has changed since."""
    entry = recall(MEMORY_NAME).get(str(path.resolve()))
    if isinstance(entry, dict) and entry.get("identity") == _identity(path) and isinstance(entry.get("md5"), str):
        return str(entry["md5"])
    return None
