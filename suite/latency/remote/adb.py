"""A phone through the system's ``adb``.

adb's own return code lies: without the feature ``shell_v2`` it is always 0, and a phone that drops off in mid-command
gives 0 with one version of the client and 255 with another.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from suite.errors import InputError
from suite.latency.remote.transport import COPY_LIMIT_S, Reply, Transport, run_client

LISTING_LIMIT_S = 30


class Adb(Transport):
    """One phone.

    Args:
        serial: which phone; None takes the only one.
        executable: the adb client.

    Raises:
        InputError: if there is no client, or not exactly one usable phone.
    """

    kind, base_folder = "adb", "/data/local/tmp"

    def __init__(self, serial: str | None = None, executable: str = "adb") -> None:
        found = shutil.which(executable)
        if found is None:
            raise InputError(f"{executable}: not installed; install Android's platform tools (Debian: apt install adb)")
        self._client = found
        self.name = self._chosen(serial)

    def _chosen(self, serial: str | None) -> str:
        """Return the serial of the one usable phone.

        Raises:
            InputError: with the state of every phone that adb lists.
        """
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

    def fetch(self, source: str, target: Path) -> Reply | None:
        """Copy a file from the phone."""
        return run_client([self._client, "-s", self.name, "pull", source, str(target)], COPY_LIMIT_S)
