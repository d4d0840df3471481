"""What reaches a device: run a command, push a file, pull a file, each with proof that the device really did it.

A client's return code is not believed, neither adb's (0 for a phone that dropped off) nor ssh's: every command ends
with a mark that the device itself prints, every copy with a digest computed there. What comes back is read up to a
limit only.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from suite.errors import InputError, NothingMeasuredError
from suite.files import atomic_path, file_digest

END_MARK = re.compile(r"@@RC=(\d+)@@\s*$")
CLIENT_GRACE_S = 15
STREAM_GRACE_S = 2
COPY_LIMIT_S = 600
DIGEST_LIMIT_S = 120
ANSWER_LIMIT_BYTES = 4 << 20
"""Most that is read of a command's output, and of its errors."""
FILE_LIMIT_BYTES = 1 << 30
"""Most that is written of a file from a device."""


@dataclass(frozen=True)
class Reply:
    """Return code, standard output and standard error of a command.

    A phone without adb's feature ``shell_v2`` prints its errors on standard output.
    """

    code: int
    output: str
    errors: str

    @property
    def said(self) -> str:
        """The first line that says something, or ``"no message"``."""
        lines = (line.strip() for line in f"{self.errors}\n{self.output}".splitlines())
        return next((line[:200] for line in lines if line and not line.startswith("* daemon")), "no message")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a client that still runs, and what it started in its process group."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


class _Reader(threading.Thread):
    """Copies a client's stream into a buffer or file, and ends the client when it says too much."""

    def __init__(self, stream: IO[bytes], limit: int, process: subprocess.Popen[bytes], file: IO[bytes] | None) -> None:
        super().__init__(daemon=True)
        self.stream, self.left, self.process, self.file = stream, limit, process, file
        self.content = bytearray()
        self.overflown = False
        self.start()

    def run(self) -> None:
        """Read until the end or the limit."""
        while chunk := os.read(self.stream.fileno(), 1 << 16):
            self.left -= len(chunk)
            if self.left < 0:
                self.overflown = True
                _end(self.process)
                return
            if self.file is None:
                self.content += chunk
            else:
                self.file.write(chunk)

    def text(self) -> str:
        """Return what was read as text."""
        return self.content.decode("utf-8", "replace")


def run_client(
    words: Sequence[str], timeout_s: float, source: Path | None = None, target: Path | None = None
) -> Reply | None:
    """Run a client program in a process group of its own, so that Ctrl-C leaves a client to clean up with.

    Args:
        words: the command.
        timeout_s: seconds after which it is ended.
        source: file to give it on standard input.
        target: file that takes its standard output, up to `FILE_LIMIT_BYTES`.

    Returns:
        Its reply; None if it did not end in time.

    Raises:
        NothingMeasuredError: if it printed more than is read.
    """
    with ExitStack() as files:
        given = files.enter_context(source.open("rb")) if source else subprocess.DEVNULL
        taken = files.enter_context(target.open("wb")) if target else None
        process = files.enter_context(
            subprocess.Popen(words, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        )
        assert process.stdout is not None
        assert process.stderr is not None
        limit = FILE_LIMIT_BYTES if taken else ANSWER_LIMIT_BYTES
        output = _Reader(process.stdout, limit, process, taken)
        errors = _Reader(process.stderr, ANSWER_LIMIT_BYTES, process, None)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)
            for reader in (output, errors):
                # What the client started may hold its streams open.
                reader.join(STREAM_GRACE_S)
        if output.overflown or errors.overflown:
            raise NothingMeasuredError(
                f"{words[0]}: answered more than {limit >> 20} MiB, which is not read; try it by hand"
            )
        return Reply(code, output.text().replace("\r\n", "\n"), errors.text())


class Transport(ABC):
    """One device, reached by a client program of this machine.

    Attributes:
        kind: name of the client, e.g. ``"adb"``; it opens messages.
        name: which device: a serial number, or ``user@host``.
        base_folder: where work folders are made on the device.
    """

    kind: str
    name: str
    base_folder: str

    @abstractmethod
    def shell_words(self, command: str) -> list[str]:
        """Return the client's command that hands one line to the device's shell."""

    @abstractmethod
    def copy(self, source: Path, target: str) -> Reply | None:
        """Copy a file to the device."""

    @abstractmethod
    def fetch(self, source: str, target: Path) -> Reply | None:
        """Copy a file from the device."""

    def shell(self, command: str, timeout_s: int = 30) -> Reply:
        """Run one command on the device.

        Args:
            command: a line for the device's shell.
            timeout_s: the device itself kills it after so many seconds, since ending the client here would not.

        Raises:
            NothingMeasuredError: if no end mark came back: the device is out of reach or was lost meanwhile.
        """
        guarded = f'( timeout -s KILL {timeout_s} sh -c {shlex.quote(command)} ); echo "@@RC=$?@@"'
        reply = run_client(self.shell_words(guarded), timeout_s + CLIENT_GRACE_S)
        ended = END_MARK.search(reply.output) if reply else None
        if reply is None or ended is None:
            said = reply.said if reply else f"no answer in {timeout_s + CLIENT_GRACE_S} s"
            raise NothingMeasuredError(
                f"{self.kind} {self.name}: the command was not answered to its end ({said}); check the connection, "
                "and start again"
            )
        return Reply(int(ended[1]), reply.output[: ended.start()], reply.errors)

    def digest(self, path: str) -> str | None:
        """Return the SHA-256 of a file on the device, or None if it has none of that name."""
        reply = self.shell(f"sha256sum {shlex.quote(path)}", timeout_s=DIGEST_LIMIT_S)
        words = reply.output.split()
        return words[0] if reply.code == 0 and words else None

    def _copied(self, reply: Reply | None, what: str) -> None:
        if reply is None or reply.code != 0:
            said = reply.said if reply else f"it did not end in {COPY_LIMIT_S} s"
            raise InputError(f"{self.kind} {self.name}: {what} failed ({said}); check space and connection")

    def push(self, source: Path, target: str) -> None:
        """Copy a file to the device and compare its digest there.

        Args:
            source: the file.
            target: its path on the device.

        Raises:
            InputError: if it could not be copied whole.
            NothingMeasuredError: if the device was lost.
        """
        self._copied(self.copy(source, target), f"copying {source.name}")
        if self.digest(target) != file_digest(source):
            raise InputError(f"{self.kind} {self.name}: {source.name} arrived changed; check the connection, try again")

    def pull(self, source: str, target: Path) -> None:
        """Copy a file from the device and compare its digest there; nothing is left at ``target`` otherwise.

        Raises:
            InputError: if it does not exist there or could not be copied whole.
            NothingMeasuredError: if the device was lost, or the file is larger than is read.
        """
        name = source.rpartition("/")[2]
        expected = self.digest(source)
        if expected is None:
            raise InputError(f"{self.kind} {self.name}: there is no file {name}; run again")
        with atomic_path(target) as temporary:
            self._copied(self.fetch(source, temporary), f"fetching {name}")
            if file_digest(temporary) != expected:
                raise InputError(f"{self.kind} {self.name}: {name} arrived changed; check the connection, try again")
