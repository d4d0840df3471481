"""A folder on the device for one measurement, gone afterwards whatever happens, and everything changed put back.

The device may be shared: its temporary folder is everybody's. So the work folder is made by ourselves, with a name
nobody can guess and for our user alone, and nothing that somebody else left there is read or run. What a measurement
has to undo is noted on this computer, by device, before it is changed; one that could not clean up (a pulled cable, a
killed process) is cleaned up from that note by the next.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import filelock
import msgspec

from suite.errors import InputError, NothingMeasuredError, SuiteError
from suite.files import write_json
from suite.latency.remote.transport import Transport
from suite.paths import runs_dir
from suite.progress import say
from suite.typed import read_typed

PREFIX = "mobileinst-suite-"
PROCESS = "runner.pid"
CLEANING_LIMIT_S = 120
# $f is the folder, ours alone. A process is ended only if it works there: process numbers are used again.
OURS = '[ -d "$f" ] && [ ! -L "$f" ] && [ -O "$f" ]'
END_RUNNER = f'p=$(cat "$f/{PROCESS}" 2>/dev/null) && [ "$(readlink /proc/$p/cwd)" = "$f" ] && kill -KILL "$p"'
REMOVE = f'if {OURS}; then {END_RUNNER}; rm -rf "$f"; else [ ! -e "$f" ]; fi'

Setting = tuple[str, str, int | None]
"""One of Android's settings: table, name and value; None = not set."""


def device_digest(device: Transport) -> str:
    """Return the first digits of the SHA-256 of a serial number or address, which tells devices apart unpublished."""
    return hashlib.sha256(device.name.encode()).hexdigest()[:12]


class Undo(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be undone on a device: the work folder, and Android's settings as they were."""

    folder: str
    settings: list[Setting] = []


def _note_path(device: Transport) -> Path:
    return runs_dir() / "devices" / f"{device.kind}-{device_digest(device)}.json"


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


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Keep a second Ctrl-C from ending what the first one started: cleaning up."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class WorkFolder:
    """A folder of our own on a device.

    Attributes:
        path: where it is.
    """

    def __init__(self, device: Transport, undo: Undo) -> None:
        self.device, self.path, self._undo = device, undo.folder, undo

    def set(self, table: str, name: str, value: int) -> None:
        """Change one of Android's settings, after noting how it was; one that cannot be read is left alone.

        Raises:
            NothingMeasuredError: if the device was lost.
        """
        before = self.device.shell(f"settings get {table} {name}").output.strip()
        if before != "null" and not re.fullmatch(r"-?\d{1,12}", before):
            return
        self._undo.settings.append((table, name, None if before == "null" else int(before)))
        write_json(_note_path(self.device), msgspec.to_builtins(self._undo))
        self.device.shell(f"settings put {table} {name} {value}")


def _undo(device: Transport, undo: Undo) -> None:
    """Put back and remove what a note names, then remove the note.

    Raises:
        NothingMeasuredError: if the device was lost, or the folder cannot be removed.
    """
    for table, name, value in undo.settings:
        words = f"delete {table} {name}" if value is None else f"put {table} {name} {value}"
        device.shell(f"settings {words}")
    done = device.shell(f"f={shlex.quote(undo.folder)}; {REMOVE}", timeout_s=CLEANING_LIMIT_S)
    if done.code != 0:
        raise NothingMeasuredError(f"{device.kind}: {undo.folder} is not ours to remove; look at it by hand")
    _note_path(device).unlink(missing_ok=True)


def _make_folder(device: Transport) -> Undo:
    """Note and make a fresh folder that is ours alone.

    Raises:
        InputError: if none can be made there, or others could exchange it.
    """
    undo = Undo(f"{device.base_folder}/{PREFIX}{secrets.token_hex(16)}")
    base, folder = shlex.quote(device.base_folder), shlex.quote(undo.folder)
    write_json(_note_path(device), msgspec.to_builtins(undo))
    # In a folder that is neither ours nor sticky, others could put one of theirs in the place of ours.
    safe = f"{{ [ -O {base} ] || [ -k {base} ]; }}"
    made = device.shell(f"{safe} && mkdir -m 700 {folder} && f={folder} && {OURS}")
    if made.code != 0:
        _note_path(device).unlink(missing_ok=True)
        raise InputError(
            f"{device.kind} {device.name}: cannot make a folder of our own in {device.base_folder} ({made.said}); "
            "name one with --folder that is yours, or sticky as /tmp is"
        )
    return undo


@contextmanager
def work_folder(device: Transport) -> Iterator[WorkFolder]:
    """Make a folder on the device; end what runs there, put settings back and remove it at the end.

    Raises:
        InputError: if none can be made there, or another measurement of this computer runs on the device.
        NothingMeasuredError: if the device was lost.
    """
    note = _note_path(device)
    note.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = filelock.FileLock(note.with_suffix(".lock"), timeout=0).acquire()
    except filelock.Timeout:
        raise InputError(f"{device.kind}: another measurement runs on this device; wait until it has ended") from None
    with lock, _ending_signals_raise():
        if note.exists():
            _undo(device, read_typed(note, Undo, "note of an earlier measurement", "delete it and tidy up by hand"))
            say(f"{device.kind}: removed what an earlier measurement left on the device")
        undo = _make_folder(device)
        try:
            yield WorkFolder(device, undo)
        finally:
            with _ctrl_c_ignored():
                try:
                    _undo(device, undo)
                except SuiteError as error:
                    # Not raised: it would hide the reason why the measurement ended.
                    say(f"{device.kind}: could not clean up {undo.folder} ({error}); the next measurement does")
