"""One process at a time for one file."""

from __future__ import annotations

import contextlib
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


def _locked(path: Path, lock: Path) -> IO[str]:
    """Return the open lock file, locked."""
    while True:
        stream = lock.open("w")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{shown(path)}: another process is working on it, waiting")
            fcntl.flock(stream, fcntl.LOCK_EX)
        # The holder removes the file when it is done: what we hold may no longer be the file under that name.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(stream.fileno()), lock.stat()):
                return stream
        stream.close()
