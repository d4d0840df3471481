"""Signals that end a command: asked for between steps, raised from anywhere, or left to those who ignore them."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from suite.errors import StoppedError, SuiteError

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C; the end of a job; and what Slurm sends some time before it (``--signal=USR1@120``)."""
ASK_AGAIN_S, LONGEST_IMPORT_S = 0.05, 20.0
"""How long Ctrl-C waits for an import before it asks again, and altogether."""
MADE_OF_IT_S = 1.0
"""How soon after Ctrl-C an error is taken for what became of it."""


@contextmanager
def answering_interrupts() -> Iterator[None]:
    """Answer Ctrl-C as Python does, but where a module is being imported, only when that is done.

    A library may swallow the exception there, abort, or be left half imported and fail later with another one. Nothing
    changes outside the main thread, or where somebody else answers Ctrl-C or the alarm, or it is ignored.

    Raises:
        KeyboardInterrupt: also in place of an error that compiled code made of it.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM)}
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or list(before.values()) != [signal.default_int_handler, signal.SIG_DFL]:
        yield
        return
    asked_s: list[float] = []
    raised_s = [-math.inf]

    def interrupt(number: int, frame: FrameType | None) -> None:
        asked_s.append(time.monotonic())
        if _importing(frame) and asked_s[-1] - asked_s[0] < LONGEST_IMPORT_S:
            signal.setitimer(signal.ITIMER_REAL, ASK_AGAIN_S)
            return
        asked_s.clear()
        raised_s.append(time.monotonic())
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGALRM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    try:
        yield
    except (SuiteError, OSError):  # what happens after an answer is told
        raise
    except Exception:
        if asked_s or time.monotonic() - raised_s[-1] < MADE_OF_IT_S:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _importing(frame: FrameType | None) -> bool:
    """Tell whether a frame runs, at any depth, for an import."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def stop_requests() -> Iterator[Callable[[], int]]:
    """Turn Ctrl-C, SIGTERM and SIGUSR1 into a question the loop asks between iterations.

    A second Ctrl-C stops at once. A second SIGTERM or SIGUSR1 changes nothing, also while the process ends:
    schedulers send them repeatedly.

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
    except StoppedError:
        previous |= dict.fromkeys((signal.SIGTERM, signal.SIGUSR1), signal.SIG_IGN)
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Stop(BaseException):
    """Comes out of any code, also of what turns exceptions into a reason why something was not measured."""


@contextmanager
def stoppable() -> Iterator[None]:
    """End a job on SIGTERM and SIGUSR1 between its trainings, which ask for these themselves.

    Raises:
        StoppedError: at the first of them, wherever the job is; the rest are ignored from then on.
    """

    def stop(number: int, frame: object) -> None:
        for other in previous:
            signal.signal(other, signal.SIG_IGN)
        raise _Stop(signal.Signals(number).name)

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    previous = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        for number in previous:
            signal.signal(number, stop)
        yield
    except _Stop as stop_asked:
        raise StoppedError(
            f"stopped by {stop_asked}, what is finished is kept; the same command continues there"
        ) from None
    except StoppedError:  # of a training, which ignores what comes after
        raise
    except BaseException:
        restore()
        raise
    else:
        restore()


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (a job's time limit, a closed terminal) unwind as Ctrl-C does, so that a block cleans up.

    What nohup made ignored stays so. Outside the main thread, where only a caller could handle signals, none is.
    """

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    heard = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        heard = []
    previous = {number: signal.signal(number, leave) for number in heard}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
