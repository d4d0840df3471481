"""One process at a time for one file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from suite.errors import DataError
from suite.paths import shown
from suite.progress import say


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of a file, waiting for another process that holds it; it is freed even if this process dies.

    Args:
        path: the file that is going to be written; the lock is an empty file ``.<name>.lock`` beside it.

    Raises:
        DataError: if the lock file cannot be made.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        stream = _locked(path, lock)
    except OSError as error:
        raise DataError(
            f"{shown(lock)}: cannot be written ({error.strerror}); check the folder's permissions"
        ) from None
    with stream:
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold the lock of a file or folder if no other process holds it; does not wait.

    Args:
        path: see `exclusive`, whose lock it shares.

    Yields:
        Whether the lock is held now.

    Raises:
        DataError: if the lock file cannot be made.
    """
    lock = path.with_name(f".{path.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        stream = lock.open("w")
    except OSError as error:
        raise DataError(
            f"{shown(lock)}: cannot be written ({error.strerror}); check the folder's permissions"
        ) from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        if not _is_at(stream, lock):
            yield False
            return
        try:
            yield True
        finally:
            lock.unlink(missing_ok=True)


def _is_at(stream: IO[str], lock: Path) -> bool:
    """Whether an open lock file is still the one under its name: the holder removes it when it is done."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), lock.stat())
    except FileNotFoundError:
        return False


def _locked(path: Path, lock: Path) -> IO[str]:
    """Return the open lock file, locked."""
    while True:
        stream = lock.open("w")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{shown(path)}: another process is working on it, waiting")
            fcntl.flock(stream, fcntl.LOCK_EX)
        if _is_at(stream, lock):
            return stream
        stream.close()
