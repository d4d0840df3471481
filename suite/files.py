"""Reading and writing files so that bad input is named and nothing is left half-written."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from suite.errors import DataError, InputError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block ends well, delete it otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` at once or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write ``content`` as UTF-8, line ends as given, to ``path`` at once or not at all."""
    write_bytes(path, content.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as compact JSON; NaN and infinities are refused.

    Raises:
        ValueError: if ``value`` holds a float that JSON cannot express.
    """
    write_text(path, json.dumps(value, allow_nan=False, separators=(",", ":")))


def refuse_constant(name: str) -> Any:
    """Reject ``NaN`` and ``Infinity``, which Python's JSON reader would otherwise let through."""
    raise ValueError(f"{name} is not a JSON number")


def read_unpacked(path: Path, what: str = "JSON file") -> bytes:
    """Return the bytes of a file, decompressed if it is gzip (recognised by its first bytes, not by its name).

    Args:
        path: the file.
        what: how the message calls the file, e.g. ``"results file"``.

    Raises:
        DataError: if the file is absent.
        InputError: if it cannot be read or decompressed.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such {what}; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot read this {what} ({error.strerror})") from None
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: damaged gzip ({error}); copy or download the file again") from None
    return raw


def read_json(path: Path, what: str = "JSON file") -> Any:
    """Read a ``.json`` or ``.json.gz`` file.

    Args:
        path: the file; gzip is recognised by its first bytes, not by its name.
        what: how the message calls the file, e.g. ``"results file"``.

    Raises:
        DataError: if the file is absent.
        InputError: if it cannot be read, decompressed or parsed; the message gives line and column.
    """
    raw = read_unpacked(path, what)
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}: not valid JSON at line {error.lineno} column {error.colno} ({error.msg}); "
            "the file may be truncated, write or download it again"
        ) from None
    except RecursionError:
        raise InputError(f"{path}: JSON is nested too deeply for a {what}") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); write or download the file again") from None


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file's bytes (``sha256`` or ``md5``)."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()
