"""A fresh folder on the device for one measurement, gone afterwards whatever happens, and everything changed put back.

What has to be put back is written to ``restore.sh`` in the folder before it is changed. So a measurement that could not
clean up (a pulled cable, a killed process) is cleaned up by the next one.
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from suite.errors import InputError, NothingMeasuredError, SuiteError
from suite.latency.remote.transport import Transport
from suite.progress import say

PREFIX = "mobileinst-suite"
RESTORE = "restore.sh"
PROCESS = "runner.pid"
# $f is the folder. A process is ended only if it works there: numbers of processes are used again.
RUNNING = f'p=$(cat "$f/{PROCESS}" 2>/dev/null) && [ "$(readlink /proc/$p/cwd)" = "$f" ]'
TIDY = f'if {RUNNING}; then kill -KILL "$p"; fi; if [ -f "$f/{RESTORE}" ]; then sh "$f/{RESTORE}"; fi; rm -rf "$f"'


@contextmanager
def _ending_signals_raise() -> Iterator[None]:
    """Let an ending by signal (a closed terminal, a job's time limit) unwind like Ctrl-C does, so that it cleans up."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    kept = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        try:
            kept[number] = signal.signal(number, leave)
        except ValueError:  # not the main thread, where only a caller could handle signals
            break
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep a second Ctrl-C from ending what the first one started: cleaning up."""
    try:
        kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, kept)


def reclaim(device: Transport) -> int:
    """Put back and remove what earlier measurements left behind.

    Returns:
        How many folders there were.

    Raises:
        InputError: if a measurement is still running there.
        NothingMeasuredError: if the device was lost.
    """
    base = shlex.quote(device.base_folder)
    listing = device.shell(f'for f in {base}/{PREFIX}.*; do if [ -d "$f" ]; then echo "$f"; fi; done')
    folders = [line.strip() for line in listing.output.splitlines() if line.strip()]
    for folder in folders:
        if device.shell(f"f={shlex.quote(folder)}; {RUNNING}").code == 0:
            raise InputError(
                f"{device.kind}: another measurement is running on the {device.noun}; wait until it has ended"
            )
        device.shell(f"f={shlex.quote(folder)}; {TIDY}", timeout_s=120)
        say(f"{device.kind}: removed what an earlier measurement left on the {device.noun}")
    return len(folders)


@contextmanager
def work_folder(device: Transport) -> Iterator[str]:
    """Make a folder on the device and yield its path; end what runs there, put back and remove at the end.

    Raises:
        InputError: if none can be made there.
        NothingMeasuredError: if the device was lost.
    """
    reclaim(device)
    made = device.shell(f"mktemp -d {shlex.quote(device.base_folder)}/{PREFIX}.XXXXXX")
    folder = made.output.strip()
    if made.code != 0 or not folder.startswith(f"{device.base_folder}/{PREFIX}."):
        raise device.failure(made.text, f"making a folder in {device.base_folder}")
    with _ending_signals_raise():
        try:
            yield folder
        finally:
            with _undisturbed():
                _tidy(device, folder)


def _tidy(device: Transport, folder: str) -> None:
    try:
        done = device.shell(f"f={shlex.quote(folder)}; {TIDY}", timeout_s=120)
        if done.code == 0:
            return
        why = done.first_line
    except SuiteError as error:
        why = str(error)
    # Not raised: it would hide the reason why the measurement ended.
    say(f"{device.kind}: could not clean up {folder} ({why}); the next measurement does, or remove it by hand")


def set_aside(device: Transport, folder: str, command: str) -> None:
    """Write down a command that puts back what is about to be changed.

    Raises:
        NothingMeasuredError: if it could not be written; then nothing may be changed.
    """
    done = device.shell(f"echo {shlex.quote(command)} >> {shlex.quote(f'{folder}/{RESTORE}')}")
    if done.code != 0:
        raise NothingMeasuredError(f"{device.kind}: cannot note what to put back ({done.first_line}); nothing changed")
