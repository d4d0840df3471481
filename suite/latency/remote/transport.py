"""What reaches a device: run a command, push a file, read a file, each with proof that the device really did it.

A phone is reached through the system's ``adb``, a Linux board through its ``ssh``. A client's return code is not
believed, neither adb's (0 for a phone that dropped off) nor ssh's: every command ends with a mark that the device
itself prints, every copy with a digest computed there. What a device sends is cut off at a limit while it comes in.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from suite.errors import InputError, NothingMeasuredError
from suite.files import file_digest

END_MARK = re.compile(r"@@RC=(\d{1,3})@@\s*$")
CLIENT_GRACE_S = 15
COPY_LIMIT_S = 600
DIGEST_LIMIT_S = 120
LISTING_LIMIT_S = 30
CONNECT_LIMIT_S = 10
CHECK_EVERY_S = 0.05
NOT_ENDED = -1
ANSWER_LIMIT_BYTES = 4 << 20
"""Most that a command may print, and most that it may say of its errors, unless its caller expects more."""


@dataclass(frozen=True)
class Reply:
    """Return code (`NOT_ENDED` for a client that did not end in time), standard output and error of a command.

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
    words: Sequence[str], timeout_s: float, source: Path | None = None, limit_bytes: int = ANSWER_LIMIT_BYTES
) -> Reply:
    """Run a client program in a process group of its own, so that Ctrl-C leaves a client to clean up with.

    Args:
        words: the command.
        timeout_s: seconds after which it is ended.
        source: file to give it on standard input.
        limit_bytes: most that it may print; hardly more than that lies on the disk when it is ended.

    Raises:
        NothingMeasuredError: if it printed more than the limit.
    """
    with ExitStack() as files:
        given = files.enter_context(source.open("rb")) if source else subprocess.DEVNULL
        # Files, not pipes: what the client leaves running, as adb's server, may hold a pipe open.
        streams = [files.enter_context(tempfile.TemporaryFile()) for _ in range(2)]
        process = subprocess.Popen(words, stdin=given, stdout=streams[0], stderr=streams[1], start_new_session=True)
        deadline, code = time.monotonic() + timeout_s, None
        try:
            while code is None and time.monotonic() < deadline:
                with suppress(subprocess.TimeoutExpired):
                    code = process.wait(CHECK_EVERY_S)
                if max(os.fstat(stream.fileno()).st_size for stream in streams) > limit_bytes:
                    raise NothingMeasuredError(f"{words[0]}: sent more than {limit_bytes} bytes; try it by hand")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for stream in streams:
            stream.seek(0)
        told = [stream.read().decode("utf-8", "replace").replace("\r\n", "\n") for stream in streams]
    if code is None:
        return Reply(NOT_ENDED, told[0], f"no answer in {timeout_s:.0f} s")
    return Reply(code, *told)


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise InputError(f"{name}: not installed; install it (Debian: apt install {package})")
    return found


class Transport:
    """One device, reached by a client program of this machine.

    Attributes:
        kind: name of the client, e.g. ``"adb"``.
        name: which device: a serial number, or ``user@host``.
        base_folder: where work folders are made on the device.
        words: the client's words before the one line that it hands to the device's shell.
    """

    kind: str
    name: str
    base_folder: str
    words: list[str]

    @property
    def title(self) -> str:
        """Client and device, which open messages, e.g. ``"ssh user@board"``."""
        return f"{self.kind} {self.name}"

    @property
    def name_digest(self) -> str:
        """First digits of the SHA-256 of the serial number or address, which tells devices apart unpublished."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:12]

    def copy_words(self, source: Path, target: str) -> list[str]:
        """Return the client's command that writes a file, given on its standard input, to a path of the device."""
        return [*self.words, f"cat > {shlex.quote(target)}"]

    def shell(self, command: str, timeout_s: int = 30, limit_bytes: int = ANSWER_LIMIT_BYTES) -> Reply:
        """Run one line in the device's shell.

        The device itself kills it after ``timeout_s`` seconds, since ending the client here would not.

        Raises:
            NothingMeasuredError: if it printed more than the limit, or no end mark came back: the device was lost.
        """
        guarded = f'( timeout -s KILL {timeout_s} sh -c {shlex.quote(command)} ); echo "@@RC=$?@@"'
        reply = run_client([*self.words, guarded], timeout_s + CLIENT_GRACE_S, limit_bytes=limit_bytes)
        ended = END_MARK.search(reply.output)
        if reply.code == NOT_ENDED or ended is None:
            raise NothingMeasuredError(
                f"{self.title}: the command was not answered to its end ({reply.said}); check the connection, and "
                "start again"
            )
        return Reply(int(ended[1]), reply.output[: ended.start()], reply.errors)

    def push(self, source: Path, target: str) -> None:
        """Copy a file to a path on the device and compare its digest there.

        Raises:
            InputError: if it could not be copied whole.
            NothingMeasuredError: if the device was lost.
        """
        reply = run_client(self.copy_words(source, target), COPY_LIMIT_S, source)
        if reply.code != 0:
            raise InputError(f"{self.title}: copying {source.name} failed ({reply.said}); check space and connection")
        there = self.shell(f"sha256sum {shlex.quote(target)}", timeout_s=DIGEST_LIMIT_S).output.split()
        if there[:1] != [file_digest(source)]:
            raise InputError(f"{self.title}: {source.name} arrived changed; check the connection, try again")

    def read(self, path: str, limit_bytes: int = ANSWER_LIMIT_BYTES) -> bytes:
        """Return the content of a file on the device, compared with its digest there.

        Raises:
            InputError: if it does not exist there or did not arrive whole.
            NothingMeasuredError: if the device was lost, or sends more than the limit.
        """
        file, name = shlex.quote(path), path.rpartition("/")[2]
        # Base64 has four characters and some line ends for three bytes; it passes every phone's shell unchanged.
        reply = self.shell(f"sha256sum {file} && base64 {file}", COPY_LIMIT_S, limit_bytes * 3 // 2 + 1024)
        digest, _, content = reply.output.partition("\n")
        if reply.code != 0:
            raise InputError(f"{self.title}: there is no file {name} ({reply.said}); run again")
        found = b""
        with suppress(ValueError):  # no base64, so not the digest's file either
            found = base64.b64decode(content)
        if digest.split()[:1] != [hashlib.sha256(found).hexdigest()]:
            raise InputError(f"{self.title}: {name} arrived changed; check the connection, try again")
        return found


class Adb(Transport):
    """One phone.

    Args:
        serial: which phone; None takes the only one.

    Raises:
        InputError: if there is no client, or not exactly one usable phone.
    """

    kind, base_folder = "adb", "/data/local/tmp"

    def __init__(self, serial: str | None = None) -> None:
        client = _program("adb", "adb")
        listing = run_client([client, "devices", "-l"], LISTING_LIMIT_S)
        if listing.code != 0:
            raise InputError(f"adb: cannot list phones ({listing.said}); try adb devices by hand")
        states: dict[str, str] = {}
        # Before its heading the client talks of its server; the two versions use different streams.
        listed = [stream.partition("List of devices attached")[2] for stream in (listing.output, listing.errors)]
        for line in "\n".join(listed).splitlines():
            # A state may hold spaces: "no permissions (verify udev rules); see [...]".
            match = re.match(r"(\S+)\s+(no permissions.*|\w+)\b", line)
            if match and not line.startswith("*"):
                states[match[1]] = match[2]
        shown = ", ".join(f"{name} is {state!r}" for name, state in states.items()) or "none is connected"
        if serial is None and len(states) > 1:
            raise InputError(f"adb: several phones ({shown}); name one with --serial")
        name = serial if serial is not None else next(iter(states), None)
        if name is None or states.get(name) != "device":
            raise InputError(
                f"adb: needs {'one phone' if serial is None else f'the phone {serial}'} in the state 'device' "
                f"({shown}); plug it in, unlock it, switch USB debugging on and accept its dialog"
            )
        self.name, self.words = name, [client, "-s", name, "shell"]

    def copy_words(self, source: Path, target: str) -> list[str]:
        """Return the adb command that copies a file to the phone, whose shell may not pass all bytes."""
        return [*self.words[:-1], "push", str(source), target]


class Ssh(Transport):
    """One board. It needs neither scp nor sftp; ssh is asked for no password: keys belong in the user's configuration.

    Args:
        address: ``user@host``, ``host``, or a name of ~/.ssh/config.
        folder: where work folders are made on the board; its storage must let programs run.

    Raises:
        InputError: if there is no client, the address is none, or the board cannot be reached or has no such folder.
    """

    kind = "ssh"

    def __init__(self, address: str, folder: str = "/tmp") -> None:
        if not re.fullmatch(r"[A-Za-z0-9_][\w.@:%-]*", address):
            raise InputError(f"ssh {address!r}: give user@host")
        self.name = address
        client = _program("ssh", "openssh-client")
        self.words = [client, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_LIMIT_S}", "-T", address, "--"]
        try:
            there = self.shell(f"cd {shlex.quote(folder)} && pwd -P")
        except NothingMeasuredError as error:
            raise InputError(f"{error}; `ssh {address} timeout 1 true` has to work") from None
        if there.code != 0:
            raise InputError(f"ssh {address}: the board has no folder {folder}; name another with --folder")
        self.base_folder = there.output.strip()
