"""Requests to stop: asked for between iterations, so that nothing is torn apart."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C; the end of a job; and what Slurm sends some time before it (``--signal=USR1@120``)."""


@contextmanager
def stop_requests() -> Iterator[Callable[[], int]]:
    """Turn Ctrl-C, SIGTERM and SIGUSR1 into a question the loop asks between iterations.

    A second Ctrl-C stops at once. A second SIGTERM or SIGUSR1 changes nothing: schedulers send them repeatedly.

    Yields:
        A callable that returns the number of the first signal, or 0.
    """
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        if number == signal.SIGINT and asked:
            raise KeyboardInterrupt
        asked.append(number)

    previous = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield lambda: asked[0] if asked else 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
