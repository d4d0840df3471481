"""A phone through the system's ``adb``, a Linux board through its ``ssh``.

adb's own return code lies: a phone that drops off in mid-command gives 0 with one version of the client and 255 with
another. ssh's files go through the standard streams of a remote ``cat``, so that a board needs neither scp nor an sftp
server; ssh is asked for no password: keys, ports and jump hosts belong in the user's ssh configuration.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from suite.errors import InputError, NothingMeasuredError
from suite.latency.remote.transport import COPY_LIMIT_S, Reply, Transport, run_client

LISTING_LIMIT_S = 30
CONNECT_LIMIT_S = 10


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise InputError(f"{name}: not installed; install it (Debian: apt install {package})")
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
        self._client = _program("adb", "adb")
        self.name = self._chosen(serial)

    def _chosen(self, serial: str | None) -> str:
        """Return the serial of the one usable phone."""
        listing = run_client([self._client, "devices", "-l"], LISTING_LIMIT_S)
        if listing is None or listing.code != 0:
            said = listing.said if listing else f"no answer in {LISTING_LIMIT_S} s"
            raise InputError(f"adb: cannot list phones ({said}); try adb devices by hand")
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
            wanted = "one phone" if serial is None else f"the phone {serial}"
            raise InputError(
                f"adb: needs {wanted} in the state 'device' ({shown}); plug it in, unlock it, switch USB debugging on "
                "and accept its dialog"
            )
        return name

    def shell_words(self, command: str) -> list[str]:
        """Return the adb command that hands one line to the phone's shell."""
        return [self._client, "-s", self.name, "shell", command]

    def copy(self, source: Path, target: str) -> Reply | None:
        """Copy a file to the phone."""
        return run_client([self._client, "-s", self.name, "push", str(source), target], COPY_LIMIT_S)

    def fetch(self, source: str, target: Path, limit_bytes: int) -> Reply | None:
        """Copy a file from the phone."""
        words = [self._client, "-s", self.name, "pull", source, str(target)]
        return run_client(words, COPY_LIMIT_S, written=target, limit_bytes=limit_bytes)


class Ssh(Transport):
    """One board.

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
        self._words = [client, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_LIMIT_S}", "-T", address, "--"]
        try:
            there = self.shell(f"cd {shlex.quote(folder)} && pwd -P")
        except NothingMeasuredError as error:
            raise InputError(f"{error}; `ssh {address} timeout 1 true` has to work") from None
        if there.code != 0:
            raise InputError(f"ssh {address}: the board has no folder {folder}; name another with --folder")
        self.base_folder = there.output.strip()

    def shell_words(self, command: str) -> list[str]:
        """Return the ssh command that hands one line to the board's shell."""
        return [*self._words, command]

    def copy(self, source: Path, target: str) -> Reply | None:
        """Copy a file to the board."""
        return run_client(self.shell_words(f"cat > {shlex.quote(target)}"), COPY_LIMIT_S, source=source)

    def fetch(self, source: str, target: Path, limit_bytes: int) -> Reply | None:
        """Copy a file from the board."""
        words = self.shell_words(f"cat {shlex.quote(source)}")
        return run_client(words, COPY_LIMIT_S, target=target, limit_bytes=limit_bytes)
