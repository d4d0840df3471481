"""Reading and writing files so that bad input is named and nothing is left half-written."""

from __future__ import annotations

import codecs
import errno
import fcntl
import gzip
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from suite.errors import DataError, InputError

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.part(\.\w+)?")
_swept: set[Path] = set()
"""Folders in which this process has already removed what killed ones left."""

MEGABYTE = 1_000_000
SPARE_BYTES = 64 * MEGABYTE
"""What is left free on a disk."""

UNPACKED_BYTES = 64 << 20
UNPACKED_RATIO = 100
"""A gzip file may hold `UNPACKED_BYTES`, or `UNPACKED_RATIO` times its own size; JSON shrinks to a tenth at best."""


LFS_POINTER = b"version https://git-lfs"
"""How the small file begins that stands for a large one which Git LFS has not fetched."""


class DiskError(InputError, OSError):
    """The disk is full or may not be written; an OSError too, so that whoever knows a better remedy can catch it."""

    def __init__(self, what: str, error: OSError) -> None:
        reason = error.strerror or str(error)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space" if full else "check the path and its permissions"
        super().__init__(f"{what}: cannot be written ({reason}); {remedy}, then run the same command again")
        self.errno, self.strerror = error.errno, reason
        self.made_of = what, error

    def __reduce__(self) -> tuple[type[DiskError], tuple[str, OSError]]:
        """Come whole out of another process."""
        return DiskError, self.made_of

    def __str__(self) -> str:
        """Return the line for the user, not the system's."""
        return str(self.args[0])


@contextmanager
def disk_faults(what: str) -> Iterator[None]:
    """Turn what the disk refuses into one line that names ``what`` and the remedy.

    Raises:
        DiskError: in place of any OSError of the block.
    """
    try:
        yield
    except OSError as error:
        raise DiskError(what, error) from None


def check_space(what: str, folder: Path, wanted: int) -> int:
    """Refuse to begin what the disk has no room for.

    Args:
        what: what is going to be written, for the message.
        folder: where.
        wanted: its bytes.

    Returns:
        The bytes that may be written there at most.

    Raises:
        DataError: if ``wanted`` and some to spare are not free.
    """
    free = shutil.disk_usage(folder).free
    if wanted + SPARE_BYTES > free:
        raise DataError(
            f"{what}: needs {wanted // MEGABYTE} MB but the disk has {free // MEGABYTE} MB free; free some "
            "space or choose a larger disk"
        )
    return free - SPARE_BYTES


def refuse_overwriting(out: Path, inputs: Iterable[Path | None]) -> None:
    """Refuse to write over what is read; InputError if ``out`` is one of the inputs, whatever its path is called."""
    if out.exists() and any(path is not None and path.exists() and out.samefile(path) for path in inputs):
        raise InputError(f"{out}: is read by this command and would be lost; name another file to write")


def refuse_foreign(replaced: Iterable[Path], witness: Path, mark: bytes) -> None:
    """Refuse to write over files that this suite did not write.

    Args:
        replaced: the files that would be lost.
        witness: the file that tells whose they are.
        mark: what it holds if they are the suite's.

    Raises:
        InputError: naming the first of them that exists, without a witness.
    """
    others = [path for path in replaced if os.path.lexists(path)]
    if others and not (witness.is_file() and mark in witness.read_bytes()):
        raise InputError(f"{others[0]}: was not written from here and would be lost; name another place, or move it")


@contextmanager
def atomic_path(path: Path, keep_suffix: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block ends well, delete it otherwise.

    The first write in a folder also removes the temporary files that killed processes left there.

    Args:
        path: the file to write; a link is followed.
        keep_suffix: whether the temporary path ends in the file's suffix, for writers that go by it.

    Raises:
        InputError: if something is there that is no regular file, such as a device or a folder.
        DiskError: if the disk is full or may not be written.
    """
    with disk_faults(str(path)):
        target = path.resolve() if path.is_symlink() else path
        if target.exists() and not target.is_file():
            raise InputError(f"{path}: is not a regular file, so it is not replaced; give the path of a file")
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(target.parent)
        temporary, handle = _locked_temporary(target, target.suffix if keep_suffix else "")
        try:
            yield temporary
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(handle)


def copy_together(copies: Mapping[Path, Path]) -> None:
    """Copy files so that, where the disk is full, none of them has been replaced.

    Args:
        copies: the files to copy, by the path that each gets.

    Raises:
        InputError: as `atomic_path` does; a full disk is named by the first path.
    """
    with ExitStack() as stack:
        for target, source in [(stack.enter_context(atomic_path(path)), source) for path, source in copies.items()]:
            shutil.copyfile(source, target)


def _locked_temporary(target: Path, suffix: str) -> tuple[Path, int]:
    """Make an empty file beside ``target``; the lock on its open handle tells others that its writer lives."""
    while True:
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part{suffix}")
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        with suppress(OSError):  # a file system without locks, or a sweeper that was faster
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if os.fstat(handle).st_nlink:
            return temporary, handle
        os.close(handle)


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files whose writers are dead: nobody holds a lock on them."""
    if folder in _swept:
        return
    _swept.add(folder)
    for entry in os.scandir(folder):
        if not _TEMPORARY.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
            continue
        with suppress(OSError), Path(entry).open("rb") as stream:  # being written, somebody else's, or gone
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(entry).unlink()


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` at once or not at all; raises as `atomic_path` does."""
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
    """Refuse ``NaN`` and ``Infinity``, which Python's JSON reader would otherwise accept.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is not a JSON number")


def read_unpacked(path: Path, what: str = "JSON file") -> bytes:
    """Return the bytes of a file, decompressed if it is gzip and without a UTF-8 byte order mark.

    Args:
        path: the file or pipe; gzip is recognised by its first bytes, not by its name.
        what: how the message calls the file, e.g. ``"results file"``.

    Raises:
        DataError: if the file is absent.
        InputError: if it is a device, cannot be read or decompressed, or unpacks to far more than JSON can.
    """
    try:
        kind = path.stat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
            raise InputError(f"{path}: is not a file; give the path of a {what}")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such {what}; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot read this {what} ({error.strerror}); check its permissions") from None
    if raw[:2] == b"\x1f\x8b":
        most = max(UNPACKED_BYTES, UNPACKED_RATIO * len(raw))
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
                raw = stream.read(most + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: damaged gzip ({error}); copy or download the file again") from None
        if len(raw) > most:
            raise InputError(f"{path}: unpacks to more than {most >> 20} MiB; if that is right, unpack it yourself")
    if raw.startswith(LFS_POINTER):
        raise InputError(f"{path}: is a Git LFS pointer, not the {what}; run 'git lfs pull' where it comes from")
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path}: is UTF-16 text; save the {what} as UTF-8")
    return raw.removeprefix(codecs.BOM_UTF8)


def read_text(path: Path, what: str) -> str:
    """Return the text of a UTF-8 file.

    Args:
        path: the file.
        what: how the message calls it, e.g. ``"model card"``.

    Raises:
        DataError: if the file is absent.
        InputError: if it is no UTF-8; the message says where.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: no such {what}; restore it, or check the path") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: this {what} is not UTF-8 at byte {error.start}; save it as UTF-8") from None


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
        raise InputError(f"{path}: JSON is nested too deeply for a {what}; write or download it again") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error}); write or download the file again") from None


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file's bytes.

    Args:
        path: the file.
        algorithm: ``"sha256"`` or ``"md5"``.

    Raises:
        DataError: if it is absent, no regular file or cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{path}: is no regular file; put the file there that belongs there")
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check that it exists and is yours") from None
