"""Locks between processes: one at a time for one file or folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from suite.files import disk_faults
from suite.progress import say


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder, waiting for another process that holds it.

    The lock is an empty file ``.<name>.lock`` beside it. The system frees it even if this process is killed.

    Args:
        path: what is going to be written.

    Raises:
        DiskError: if the lock file cannot be made.
    """
    with claimed(path) as free:
        if free:
            yield
            return
    say(f"{path}: another process is working on it, waiting")
    with _holding(path, blocking=True):
        yield


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Hold the lock of a file or folder if no other process holds it; do not wait.

    Args:
        path: what is going to be written; the lock is the one of `exclusive`.

    Yields:
        Whether the lock is held.

    Raises:
        DiskError: if the lock file cannot be made.
    """
    with _holding(path, blocking=False) as held:
        yield held


@contextmanager
def _holding(path: Path, blocking: bool) -> Iterator[bool]:
    file = path.with_name(f".{path.name}.lock")
    lock = filelock.FileLock(file)
    with disk_faults(str(file)):
        file.parent.mkdir(parents=True, exist_ok=True)
        with suppress(filelock.Timeout):
            lock.acquire(blocking=blocking)
    try:
        yield lock.is_locked
    finally:
        if lock.is_locked:
            # Removed while held: who waits for it sees that the file has lost its name and makes a new one.
            file.unlink(missing_ok=True)
            lock.release()
