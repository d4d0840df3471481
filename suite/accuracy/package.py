"""One JSON file in a zip, written as a stream, the same bytes whenever and wherever the same zlib writes it."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from suite.errors import InputError
from suite.files import atomic_path, file_digest
from suite.paths import shown

EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The date that zip entries get: the earliest one the format knows."""

ZIP64_BYTES = 2**31 - 1
"""A larger entry has to say so before it is written."""

ROWS_PER_WRITE = 512


@dataclass(frozen=True)
class Packed:
    """What was written: digests of the zip and of the JSON in it, and their sizes in bytes."""

    zip_sha256: str
    json_sha256: str
    zip_bytes: int
    json_bytes: int


def _batches(rows: Iterable[Any]) -> Iterable[bytes]:
    """Yield a JSON list piece by piece."""
    opening, batch = b"[", []
    for row in rows:
        batch.append(msgspec.json.encode(row))
        if len(batch) == ROWS_PER_WRITE:
            yield opening + b",".join(batch)
            opening, batch = b",", []
    yield opening + b",".join(batch) if batch else (b"[" if opening == b"[" else b"")
    yield b"]"


def write_zip(path: Path, name: str, rows: Iterable[Any], largest_bytes: int, about_bytes: int) -> Packed:
    """Write a list as one JSON file at the top of a zip.

    The entry has a fixed date and mode, so that equal rows give equal bytes; only another zlib compresses them
    otherwise, which is why the digest of the JSON is returned too.

    Args:
        path: the zip; it appears complete or not at all.
        name: the JSON file's name in it.
        rows: entries of the list.
        largest_bytes: the zip may not become larger.
        about_bytes: estimate of the JSON's size, never too small.

    Raises:
        InputError: if the zip becomes too large or cannot be written.
    """
    digest, size = hashlib.sha256(), 0
    entry = zipfile.ZipInfo(name, EARLIEST)
    entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
    try:
        with atomic_path(path) as temporary:
            with (
                zipfile.ZipFile(temporary, "w", compresslevel=6) as archive,
                archive.open(entry, "w", force_zip64=about_bytes > ZIP64_BYTES) as stream,
            ):
                for piece in _batches(rows):
                    digest.update(piece)
                    size += stream.write(piece)
            written = temporary.stat().st_size
            if written > largest_bytes:
                raise InputError(
                    f"{shown(path)}: would have {written / 1e6:.1f} MB, more than {largest_bytes / 1e6:.1f}; predict "
                    "with a higher --score-threshold or allow more with --max-size-mb"
                )
            zip_sha256 = file_digest(temporary)
    except OSError as error:
        raise InputError(f"{shown(path)}: cannot be written ({error.strerror}); check folder and space") from None
    return Packed(zip_sha256, digest.hexdigest(), written, size)
