"""A folder on the device for one measurement, gone afterwards.

The device may be shared: its temporary folder is everybody's. So the work folder is made by ourselves, with a name
nobody can guess and for our user alone, and nothing that somebody else left there is read, run or removed.
"""

from __future__ import annotations

import hashlib
import secrets
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import filelock

from suite.errors import InputError, SuiteError
from suite.latency.remote.transport import Transport
from suite.paths import runs_dir
from suite.progress import say

PREFIX = "mobileinst-suite-"
PROCESS = "runner.pid"
CLEANING_LIMIT_S = 120
# $f is the folder, ours alone. A process is ended only if it works there: process numbers are used again.
OURS = '[ -d "$f" ] && [ ! -L "$f" ] && [ -O "$f" ]'
END_RUNNER = f'p=$(cat "$f/{PROCESS}" 2>/dev/null) && [ "$(readlink /proc/$p/cwd)" = "$f" ] && kill -KILL "$p"'
REMOVE = f'if {OURS}; then {END_RUNNER}; rm -rf "$f"; else [ ! -e "$f" ]; fi'


def device_digest(device: Transport) -> str:
    """Return the first digits of the SHA-256 of a serial number or address, which tells devices apart unpublished."""
    return hashlib.sha256(device.name.encode()).hexdigest()[:12]


@contextmanager
def _ending_signals_raise() -> Iterator[None]:
    """Let an ending by signal (a closed terminal, a job's time limit) unwind like Ctrl-C does, so that it cleans up."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        try:
            before[number] = signal.signal(number, leave)
        except ValueError:  # not the main thread, where only a caller could handle signals
            break
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _make_folder(device: Transport) -> str:
    """Make a fresh folder that is ours alone and return its path.

    Raises:
        InputError: if none can be made there, or others could exchange it.
    """
    path = f"{device.base_folder}/{PREFIX}{secrets.token_hex(16)}"
    base, folder = shlex.quote(device.base_folder), shlex.quote(path)
    # In a folder that is neither ours nor sticky, others could put one of theirs in the place of ours.
    safe = f"{{ [ -O {base} ] || [ -k {base} ]; }}"
    made = device.shell(f"{safe} && mkdir -m 700 {folder} && f={folder} && {OURS}")
    if made.code != 0:
        raise InputError(
            f"{device.kind} {device.name}: cannot make a folder of our own in {device.base_folder} ({made.said}); "
            "name one with --folder that is yours, or sticky as /tmp is"
        )
    return path


def _remove(device: Transport, folder: str) -> None:
    """End the runner that works in a folder of ours and remove the folder; say so where that fails."""
    try:
        done = device.shell(f"f={shlex.quote(folder)}; {REMOVE}", timeout_s=CLEANING_LIMIT_S)
        why = "" if done.code == 0 else done.said
    except SuiteError as error:
        why = str(error)
    if why:  # not raised: it would hide the reason why the measurement ended
        say(f"{device.kind}: could not remove {folder} ({why}); remove it by hand")


@contextmanager
def work_folder(device: Transport) -> Iterator[str]:
    """Make a folder on the device and yield its path; end what runs there and remove it at the end.

    Raises:
        InputError: if none can be made there, or another measurement of this computer runs on the device.
        NothingMeasuredError: if the device was lost.
    """
    locks = runs_dir() / "devices"
    locks.mkdir(parents=True, exist_ok=True)
    try:
        lock = filelock.FileLock(locks / f"{device.kind}-{device_digest(device)}.lock", timeout=0).acquire()
    except filelock.Timeout:
        raise InputError(f"{device.kind}: another measurement runs on this device; wait until it has ended") from None
    with lock, _ending_signals_raise():
        folder = _make_folder(device)
        try:
            yield folder
        finally:
            _remove(device, folder)
