"""A Linux board through the system's ``ssh``.

Files go through the standard streams of a remote ``cat``, so that a board needs neither scp nor an sftp server;
digests computed on the board prove the copies. ssh is asked for no password: keys, ports and jump hosts belong in the
user's ssh configuration.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

from suite.errors import InputError, NothingMeasuredError
from suite.latency.remote.transport import COPY_LIMIT_S, Transport

CONNECT_LIMIT_S = 10
BASE_FOLDER = "/tmp"

NO_TIMEOUT = (125, 126, 127)
"""Return codes of a shell without the program ``timeout``, and of one that does not know its options."""

# What ssh prints, the cause, the remedy. The first match counts.
FAILURES = (
    ("Could not resolve hostname", "no host of that name is known", "check the name, or add it to ~/.ssh/config"),
    ("Connection refused", "the board's ssh server is not running", "start it, or check the port in ~/.ssh/config"),
    ("Connection timed out", "the board does not answer", "switch it on and check the network"),
    ("No route to host", "the board cannot be reached", "switch it on and check the network"),
    ("Network is unreachable", "no network leads to the board", "check this computer's network"),
    ("Host key verification failed", "the board's key is unknown or changed", "run ssh to it once and check the key"),
    ("Permission denied (", "the board refuses this user", "install your key with ssh-copy-id"),
    ("Connection closed", "the board closed the connection", "check its ssh server's log"),
    ("Connection reset", "the board dropped the connection", "check the network, and start again"),
    ("Broken pipe", "the connection broke", "check the network, and start again"),
    ("No space left on device", "the board's storage is full", "free some space on it"),
    ("Read-only file system", "the board's folder cannot be written", "name another with --folder"),
    ("Permission denied", "the board refuses to write there", "name another folder with --folder"),
)
UNREACHABLE = FAILURES[:10]


class Ssh(Transport):
    """One board.

    Args:
        address: ``user@host``, ``host``, or a name of ~/.ssh/config.
        folder: where work folders are made on the board; its storage must let programs run.
        executable: the ssh client.

    Raises:
        InputError: if there is no client, the address is none, or the board cannot be reached or has no such folder.
    """

    kind, noun = "ssh", "board"

    def __init__(self, address: str, folder: str = BASE_FOLDER, executable: str = "ssh") -> None:
        if not re.fullmatch(r"[A-Za-z0-9_][\w.@:%-]*", address):
            raise InputError(f"ssh {address!r}: give user@host")
        found = shutil.which(executable)
        if found is None:
            raise InputError(f"{executable}: not installed; install an ssh client (Debian: apt install openssh-client)")
        self.name = address
        self._words = [found, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_LIMIT_S}", "-T", address, "--"]
        there = self.shell(f"cd {shlex.quote(folder)} && pwd -P")
        if there.code in NO_TIMEOUT or "timeout: " in there.text:  # every command is run under it
            raise InputError(f"ssh {address}: the board lacks timeout -s KILL ({there.first_line}); install coreutils")
        if there.code != 0:
            raise InputError(f"ssh {address}: the board has no folder {folder} to work in; name another with --folder")
        self.base_folder = there.output.strip()

    def _run(self, command: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        return self.call(*self._words, command, timeout_s=timeout_s, what="shell")

    def _piped(self, command: str, source: Path | None, target: Path | None) -> subprocess.CompletedProcess[str]:
        given = source.open("rb") if source else None
        taken = target.open("wb") if target else None
        try:
            done = subprocess.run(
                [*self._words, command],
                stdin=given or subprocess.DEVNULL,
                stdout=taken or subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=COPY_LIMIT_S,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise NothingMeasuredError(
                f"ssh: a copy did not end in {COPY_LIMIT_S} s; check the network and try again"
            ) from None
        finally:
            for stream in (given, taken):
                if stream:
                    stream.close()
        output = done.stdout.decode("utf-8", "replace") if done.stdout else ""
        return subprocess.CompletedProcess(done.args, done.returncode, output, done.stderr.decode("utf-8", "replace"))

    def _copy(self, source: Path, target: str) -> subprocess.CompletedProcess[str]:
        return self._piped(f"cat > {shlex.quote(target)}", source, None)

    def _fetch(self, source: str, target: Path) -> subprocess.CompletedProcess[str]:
        return self._piped(f"cat {shlex.quote(source)}", None, target)

    def failure(self, text: str, what: str) -> InputError:
        """Return the error for a message of ssh or of the board's shell."""
        for words, cause, remedy in FAILURES:
            if words in text:
                return InputError(f"ssh {self.name}: {cause}; {remedy}")
        said = next((line.strip() for line in text.splitlines() if line.strip()), "no message")
        return InputError(f"ssh {self.name}: {what} failed ({said}); try it by hand")

    def unreachable(self, text: str) -> bool:
        """Return whether ssh says that it never reached the board."""
        return any(words in text for words, _, _ in UNREACHABLE)
