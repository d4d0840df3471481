"""Progress on standard error: a bar on a terminal, one line per step otherwise."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TextIO

LINES_PER_TASK = 20
DIRECTIONS = (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
CONTROLS = dict.fromkeys({*range(32), *range(127, 160), *DIRECTIONS} - {ord("\n"), ord("\t")})
"""What a terminal obeys, and what turns the direction of text; for `str.translate`, which leaves it out.

Names in files of others may hold it.
"""


class Step(Protocol):
    """What `track` yields: call it after each finished unit."""

    def __call__(self, note: str = "", advance: int = 1) -> None:
        """Advance by ``advance`` units and show ``note`` (e.g. the loss) beside the bar."""


class _LineStep:
    """Prints about `LINES_PER_TASK` lines over the whole task, each with the time left."""

    def __init__(self, title: str, total: int, done: int) -> None:
        self.title, self.total, self.done, self.first = title, total, done, done
        self.started = time.monotonic()
        self.printed = done * LINES_PER_TASK // max(total, 1)

    def __call__(self, note: str = "", advance: int = 1) -> None:
        self.done += advance
        if self.done * LINES_PER_TASK // max(self.total, 1) > self.printed or self.done == self.total:
            self.printed = self.done * LINES_PER_TASK // max(self.total, 1)
            elapsed_s = time.monotonic() - self.started
            left_s = elapsed_s / max(self.done - self.first, 1) * (self.total - self.done)
            times = f"[{elapsed_s:.0f} s, {left_s:.0f} s left]"
            say(" ".join(f"{self.title}: {self.done}/{self.total} {note} {times}".split()))


@contextmanager
def track(title: str, total: int, done: int = 0, silent: bool = False) -> Iterator[Step]:
    """Show the progress of a task of ``total`` units.

    Args:
        title: what is being done, e.g. ``"train seed 0"``.
        total: number of units.
        done: units already finished before this process (a resumed task).
        silent: whether nothing is to be shown.

    Yields:
        A callable to be called after each unit, with an optional note.
    """
    if silent:
        yield lambda note="", advance=1: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _LineStep(title, total, done)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=total, completed=done, note="")
        yield lambda note="", advance=1: progress.update(task, advance=advance, note=note)


def say(message: str) -> None:
    """Print one line for the person watching, on standard error; the work goes on where nobody watches any more."""
    try:
        print(message.translate(CONTROLS), file=sys.stderr, flush=True)
    except OSError:  # its reader has gone, or its disk is full
        silence(sys.stderr)


def silence(stream: TextIO) -> None:
    """Send what is still to be written to a standard stream nowhere, so that the interpreter's exit does not fail."""
    with suppress(io.UnsupportedOperation):  # a stream in memory
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
