"""A Linux board through the system's ``ssh``.

Files go through the standard streams of a remote ``cat``, so that a board needs neither scp nor an sftp server. ssh is
asked for no password: keys, ports and jump hosts belong in the user's ssh configuration.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from suite.errors import InputError, NothingMeasuredError
from suite.latency.remote.transport import COPY_LIMIT_S, Reply, Transport, run_client

CONNECT_LIMIT_S = 10
NEEDED_PROGRAMS = ("timeout", "taskset", "sha256sum", "readlink", "grep")


class Ssh(Transport):
    """One board.

    Args:
        address: ``user@host``, ``host``, or a name of ~/.ssh/config.
        folder: where work folders are made on the board; its storage must let programs run.
        executable: the ssh client.

    Raises:
        InputError: if there is no client, the address is none, or the board cannot be reached, lacks a program or has
            no such folder.
    """

    kind = "ssh"

    def __init__(self, address: str, folder: str = "/tmp", executable: str = "ssh") -> None:
        if not re.fullmatch(r"[A-Za-z0-9_][\w.@:%-]*", address):
            raise InputError(f"ssh {address!r}: give user@host")
        found = shutil.which(executable)
        if found is None:
            raise InputError(f"{executable}: not installed; install an ssh client (Debian: apt install openssh-client)")
        self.name = address
        self._words = [found, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_LIMIT_S}", "-T", address, "--"]
        # Without its own `timeout` the board could not run the guarded commands that everything else is.
        asked = f"for p in {' '.join(NEEDED_PROGRAMS)}; do command -v $p > /dev/null || echo $p; done; echo @@RC=0@@"
        missing = run_client(self.shell_words(asked), 2 * CONNECT_LIMIT_S)
        if missing is None or "@@RC=0@@" not in missing.output:
            said = missing.said if missing else "no answer"
            raise InputError(f"ssh {address}: cannot be reached ({said}); make `ssh {address} true` work first")
        names = missing.output.partition("@@RC=0@@")[0].split()
        if names:
            raise InputError(f"ssh {address}: the board lacks {', '.join(names)}; install them there")
        try:
            there = self.shell(f"cd {shlex.quote(folder)} && pwd -P")
        except NothingMeasuredError as error:
            raise InputError(str(error)) from None
        if there.code != 0:
            raise InputError(f"ssh {address}: the board has no folder {folder}; name another with --folder")
        self.base_folder = there.output.strip()

    def shell_words(self, command: str) -> list[str]:
        """Return the ssh command that hands one line to the board's shell."""
        return [*self._words, command]

    def copy(self, source: Path, target: str) -> Reply | None:
        """Copy a file to the board."""
        return run_client(self.shell_words(f"cat > {shlex.quote(target)}"), COPY_LIMIT_S, source=source)

    def fetch(self, source: str, target: Path) -> Reply | None:
        """Copy a file from the board."""
        return run_client(self.shell_words(f"cat {shlex.quote(source)}"), COPY_LIMIT_S, target=target)
