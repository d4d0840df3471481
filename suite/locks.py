"""Locks between processes: one at a time for one file or folder."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
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
    with claimed(path) as holder:
        if not holder:
            yield
            return
    say(f"{path}: {holder} is working on it, waiting")
    with claimed(path, waiting=True):
        yield


@contextmanager
def claimed(path: Path, waiting: bool = False) -> Iterator[str]:
    """Hold the lock of a file or folder; a thread that holds it already goes on.

    Args:
        path: what is going to be written; the lock is the one of `exclusive`.
        waiting: whether to wait where another process holds it.

    Yields:
        ``""`` where the lock is held, otherwise who holds it: process and machine.

    Raises:
        DiskError: if the lock file cannot be made.
    """
    file, note = (path.with_name(f".{path.name}.{kind}") for kind in ("lock", "holder"))
    lock, holder = filelock.FileLock(file, is_singleton=True), ""
    with disk_faults(str(file)):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=waiting)
            note.unlink(missing_ok=True)  # a link to elsewhere is not written through
            with os.fdopen(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w", encoding="utf-8") as stream:
                stream.write(f"process {os.getpid()} on {platform.node()}")
        except filelock.Timeout:
            # The note is absent where it is just being written, or just removed.
            told = note.is_file() and not note.is_symlink()
            holder = note.read_bytes().decode("utf-8", "replace") if told else ""
            holder = holder or "another process"
    try:
        yield holder
    finally:
        if not holder:
            if lock.lock_counter == 1:
                # Removed while held: who waits for it sees that the file has lost its name and makes a new one.
                note.unlink(missing_ok=True)
                file.unlink(missing_ok=True)
            lock.release()
