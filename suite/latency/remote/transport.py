"""What reaches a device: run a command, push a file, pull a file, each with proof that the device really did it.

A client's return code is not believed, neither adb's (0 for a phone that dropped off) nor ssh's: every command ends
with a mark that the device itself prints, every copy with a digest computed there.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from suite.errors import InputError, NothingMeasuredError
from suite.files import atomic_path, file_digest

SENTINEL = re.compile(r"@@RC=(\d+)@@\s*$")
CLIENT_GRACE_S = 15
COPY_LIMIT_S = 600
DIGEST_LIMIT_S = 120


@dataclass(frozen=True)
class Reply:
    """What a command on the device gave.

    Attributes:
        code: its return code there.
        output: what it printed; errors, too, on a phone without adb's feature ``shell_v2``.
        errors: what it printed on standard error.
    """

    code: int
    output: str
    errors: str

    @property
    def text(self) -> str:
        """Both streams, for looking up messages."""
        return f"{self.output}\n{self.errors}"

    @property
    def first_line(self) -> str:
        """The first line that says something, or ``"no message"``."""
        return next((line.strip() for line in self.text.splitlines() if line.strip()), "no message")


class Transport(ABC):
    """One device, reached by a client program of this machine.

    Attributes:
        kind: name of the client, e.g. ``"adb"``; it opens messages.
        noun: what the device is called in messages, e.g. ``"phone"``.
        name: which one: a serial number, or ``user@host``.
        base_folder: where work folders are made on the device.
    """

    kind: str
    noun: str
    name: str
    base_folder: str

    @abstractmethod
    def _run(self, command: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Hand one line to the device's shell and return what the client gave."""

    @abstractmethod
    def _copy(self, source: Path, target: str) -> subprocess.CompletedProcess[str]:
        """Copy a file to the device."""

    @abstractmethod
    def _fetch(self, source: str, target: Path) -> subprocess.CompletedProcess[str]:
        """Copy a file from the device."""

    @abstractmethod
    def failure(self, text: str, what: str) -> InputError:
        """Return the error for what the client said, with cause and remedy where it is a known one."""

    @abstractmethod
    def unreachable(self, text: str) -> bool:
        """Return whether the client says that it never reached the device."""

    def call(self, *words: str, timeout_s: float = 30, what: str = "") -> subprocess.CompletedProcess[str]:
        """Run the client program itself.

        It gets a process group of its own, so that an interruption from the keyboard ends this program, which then
        still has a client to clean up with.

        Raises:
            NothingMeasuredError: if it does not end in time.
        """
        try:
            return subprocess.run(
                words,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            raise NothingMeasuredError(
                f"{self.kind} {what}: no answer in {timeout_s:.0f} s; check the connection and try again"
            ) from None

    def shell(self, command: str, timeout_s: int = 30) -> Reply:
        """Run one command on the device.

        Args:
            command: a line for the device's shell.
            timeout_s: the device itself kills it after so many seconds, since ending the client here would not.

        Raises:
            InputError: if the client could not reach the device.
            NothingMeasuredError: if the device was lost before the command ended.
        """
        guarded = f'( timeout -s KILL {timeout_s} sh -c {shlex.quote(command)} ); echo "@@RC=$?@@"'
        done = self._run(guarded, timeout_s + CLIENT_GRACE_S)
        ended = SENTINEL.search(done.stdout)
        if ended:
            return Reply(int(ended[1]), done.stdout[: ended.start()].replace("\r\n", "\n"), done.stderr)
        text = done.stdout + done.stderr
        if self.unreachable(text):
            raise self.failure(text, "shell")
        raise NothingMeasuredError(
            f"{self.kind}: the {self.noun} was lost in mid-command (no closing mark came back); check the connection, "
            "and start again"
        )

    def digest(self, path: str) -> str | None:
        """Return the SHA-256 of a file on the device, or None if it has none of that name."""
        reply = self.shell(f"sha256sum {shlex.quote(path)}", timeout_s=DIGEST_LIMIT_S)
        words = reply.output.split()
        return words[0] if reply.code == 0 and words else None

    def push(self, source: Path, target: str) -> None:
        """Copy a file to the device and compare its digest there.

        Args:
            source: the file.
            target: its path on the device.

        Raises:
            InputError: if it could not be copied whole.
            NothingMeasuredError: if the device was lost.
        """
        done = self._copy(source, target)
        if done.returncode != 0:
            raise self.failure(done.stdout + done.stderr, f"copying {source.name}")
        if self.digest(target) != file_digest(source):
            raise InputError(
                f"{self.kind}: {source.name} arrived changed on the {self.noun}; check the connection and try again"
            )

    def pull(self, source: str, target: Path) -> None:
        """Copy a file from the device and compare its digest there; nothing is left at ``target`` otherwise.

        Raises:
            InputError: if it does not exist there or could not be copied whole.
            NothingMeasuredError: if the device was lost.
        """
        name = source.rpartition("/")[2]
        expected = self.digest(source)
        if expected is None:
            raise InputError(f"{self.kind}: the {self.noun} has no file {name}; run again")
        with atomic_path(target) as temporary:
            done = self._fetch(source, temporary)
            if done.returncode != 0:
                raise self.failure(done.stdout + done.stderr, f"fetching {name}")
            if file_digest(temporary) != expected:
                raise InputError(
                    f"{self.kind}: {name} arrived changed from the {self.noun}; check the connection and try again"
                )
