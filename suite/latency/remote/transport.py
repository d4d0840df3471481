"""What reaches a device: run a command, push a file, pull a file, each with proof that the device really did it.

A client's return code is not believed, neither adb's (0 for a phone that dropped off) nor ssh's: every command ends
with a mark that the device itself prints, every copy with a digest computed there. What a device sends is cut off at a
limit while it comes in.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from suite.errors import InputError, NothingMeasuredError
from suite.files import atomic_path, file_digest

END_MARK = re.compile(r"@@RC=(\d+)@@\s*$")
CLIENT_GRACE_S = 15
COPY_LIMIT_S = 600
DIGEST_LIMIT_S = 120
CHECK_EVERY_S = 0.05
ANSWER_LIMIT_BYTES = 4 << 20
"""Most that a command may print, and most that it may say of its errors."""


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


def run_client(
    words: Sequence[str],
    timeout_s: float,
    source: Path | None = None,
    target: Path | None = None,
    written: Path | None = None,
    limit_bytes: int = ANSWER_LIMIT_BYTES,
) -> Reply | None:
    """Run a client program in a process group of its own, so that Ctrl-C leaves a client to clean up with.

    Args:
        words: the command.
        timeout_s: seconds after which it is ended.
        source: file to give it on standard input.
        target: file that takes its standard output.
        written: file that it writes itself.
        limit_bytes: size of ``target`` or ``written`` at which it is ended.

    Returns:
        Its reply; None if it did not end in time.

    Raises:
        NothingMeasuredError: if it sent more than a limit; hardly more than that lies on the disk by then.
    """
    with ExitStack() as files:
        given = files.enter_context(source.open("rb")) if source else subprocess.DEVNULL
        # Files, not pipes: what the client leaves running, as adb's server, may hold a pipe open.
        answer, errors = (files.enter_context(tempfile.TemporaryFile()) for _ in range(2))
        taken = files.enter_context(target.open("wb")) if target else answer
        process = subprocess.Popen(words, stdin=given, stdout=taken, stderr=errors, start_new_session=True)
        deadline, code = time.monotonic() + timeout_s, None
        try:
            while code is None and time.monotonic() < deadline:
                with suppress(subprocess.TimeoutExpired):
                    code = process.wait(CHECK_EVERY_S)
                printed = max(os.fstat(stream.fileno()).st_size for stream in (answer, errors))
                copied = sum(path.stat().st_size for path in (target, written) if path and path.exists())
                if printed > ANSWER_LIMIT_BYTES or copied > limit_bytes:
                    raise NothingMeasuredError(
                        f"{words[0]}: sent more than {limit_bytes if copied > limit_bytes else ANSWER_LIMIT_BYTES} "
                        "bytes; try it by hand"
                    )
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return None if code is None else Reply(code, _told(answer), _told(errors))


def _told(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace").replace("\r\n", "\n")


class Transport(ABC):
    """One device, reached by a client program of this machine.

    Attributes:
        kind: name of the client, e.g. ``"adb"``.
        name: which device: a serial number, or ``user@host``.
        base_folder: where work folders are made on the device.
    """

    kind: str
    name: str
    base_folder: str

    @property
    def title(self) -> str:
        """Client and device, which open messages, e.g. ``"ssh user@board"``."""
        return f"{self.kind} {self.name}"

    @property
    def name_digest(self) -> str:
        """First digits of the SHA-256 of the serial number or address, which tells devices apart unpublished."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:12]

    @abstractmethod
    def shell_words(self, command: str) -> list[str]:
        """Return the client's command that hands one line to the device's shell."""

    @abstractmethod
    def copy(self, source: Path, target: str) -> Reply | None:
        """Copy a file to the device."""

    @abstractmethod
    def fetch(self, source: str, target: Path, limit_bytes: int) -> Reply | None:
        """Copy a file of at most so many bytes from the device."""

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
                f"{self.title}: the command was not answered to its end ({said}); check the connection, and start again"
            )
        return Reply(int(ended[1]), reply.output[: ended.start()], reply.errors)

    def digest(self, path: str) -> str | None:
        """Return the SHA-256 of a file on the device, or None if it has none of that name."""
        reply = self.shell(f"sha256sum {shlex.quote(path)}", timeout_s=DIGEST_LIMIT_S)
        words = reply.output.split()
        return words[0] if reply.code == 0 and words else None

    def _copied(self, reply: Reply | None, name: str, same: bool) -> None:
        if reply is None or reply.code != 0:
            said = reply.said if reply else f"it did not end in {COPY_LIMIT_S} s"
            raise InputError(f"{self.title}: copying {name} failed ({said}); check space and connection")
        if not same:
            raise InputError(f"{self.title}: {name} arrived changed; check the connection, try again")

    def push(self, source: Path, target: str) -> None:
        """Copy a file to the device and compare its digest there.

        Args:
            source: the file.
            target: its path on the device.

        Raises:
            InputError: if it could not be copied whole.
            NothingMeasuredError: if the device was lost.
        """
        reply = self.copy(source, target)
        arrived = reply is not None and reply.code == 0
        self._copied(reply, source.name, arrived and self.digest(target) == file_digest(source))

    def pull(self, source: str, target: Path, limit_bytes: int = ANSWER_LIMIT_BYTES) -> None:
        """Copy a file from the device and compare its digest there; nothing is left at ``target`` otherwise.

        Raises:
            InputError: if it does not exist there or could not be copied whole.
            NothingMeasuredError: if the device was lost, or sends more than the limit.
        """
        name = source.rpartition("/")[2]
        expected = self.digest(source)
        if expected is None:
            raise InputError(f"{self.title}: there is no file {name}; run again")
        with atomic_path(target) as temporary:
            reply = self.fetch(source, temporary, limit_bytes)
            self._copied(reply, name, file_digest(temporary) == expected)
