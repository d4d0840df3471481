"""A phone through the system's ``adb``.

adb's own return code lies: without the feature ``shell_v2`` it is always 0, and a phone that drops off in mid-command
gives 0 with one version of the client and 255 with another; `suite.latency.remote.transport` believes the phone's own
closing mark instead. Clients also differ in where they print what, so messages are looked for in both streams.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from suite.errors import InputError
from suite.latency.remote.transport import COPY_LIMIT_S, Transport

BASE_FOLDER = "/data/local/tmp"

# What either client prints, the cause, the remedy. The first match counts.
UNREACHABLE = (
    ("no devices/emulators found", "no phone is connected", "plug one in, switch USB debugging on and unlock it"),
    ("more than one device", "several phones are connected", "name one with --serial"),
    ("device unauthorized", "the phone has not allowed this computer", "unlock it, accept the dialog, and try again"),
    ("no permissions", "this user may not open the USB device", "add a udev rule for it and plug the phone in again"),
    ("device offline", "the phone does not answer", "plug it in again, or restart it"),
    ("device still connecting", "the phone is still connecting", "wait a moment and try again"),
    ("device connecting", "the phone is still connecting", "wait a moment and try again"),
    ("device authorizing", "the phone is still connecting", "wait a moment and try again"),
    ("device recovery", "the phone runs its recovery, not Android", "restart it"),
    ("device sideload", "the phone runs its recovery, not Android", "restart it"),
    ("device bootloader", "the phone runs its bootloader, not Android", "restart it"),
)
CLIENT_FAILURES = (
    *UNREACHABLE,
    ("No space left on device", "the phone's /data is full", "free some space on it"),
    (
        "Read-only file system",
        "the phone's folder cannot be written",
        "restart the phone; /data/local/tmp must be writable",
    ),
    ("Permission denied", "the phone refuses to write there", "remove the folder as the user who made it"),
    ("couldn't read from device", "the phone dropped off", "check cable and screen lock, and start again"),
    ("failed to read copy response", "the phone dropped off", "check cable and screen lock, and start again"),
    ("cannot stat", "the file to copy is not on this computer", "check the path"),
)


def client_failure(text: str, what: str) -> InputError:
    """Return the error for a message of the adb client, with cause and remedy where it is a known one."""
    missing = re.search(r"device '([^']*)' not found", text)
    if missing:
        return InputError(f"adb: no phone has the serial {missing[1]}; see adb devices")
    for words, cause, remedy in CLIENT_FAILURES:
        if words in text:
            return InputError(f"adb: {cause}; {remedy}")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("* daemon")]
    return InputError(f"adb: {what} failed ({lines[0].strip() if lines else 'no message'}); try it by hand")


class Adb(Transport):
    """One phone.

    Args:
        serial: which phone; None takes the only one.
        executable: the adb client.

    Raises:
        InputError: if there is no client, or not exactly one usable phone.
    """

    kind, noun, base_folder = "adb", "phone", BASE_FOLDER

    def __init__(self, serial: str | None = None, executable: str = "adb") -> None:
        found = shutil.which(executable)
        if found is None:
            raise InputError(f"{executable}: not installed; install Android's platform tools (Debian: apt install adb)")
        self._client = found
        self.name = self._chosen(serial)
        features = self._phone("features")
        if features.returncode != 0:
            raise client_failure(features.stdout + features.stderr, "asking for features")

    def _phone(self, *words: str, timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
        return self.call(self._client, "-s", self.name, *words, timeout_s=timeout_s, what=words[0])

    def _chosen(self, serial: str | None) -> str:
        listing = self.call(self._client, "devices", "-l", what="devices")
        if listing.returncode != 0:
            raise client_failure(listing.stdout + listing.stderr, "listing devices")
        states: dict[str, str] = {}
        # Before its heading the client talks of its server: "adb server version (41) doesn't match this client (39)".
        listed = [stream.partition("List of devices attached")[2] for stream in (listing.stdout, listing.stderr)]
        for line in "\n".join(listed).splitlines():
            # A state may hold spaces: "no permissions (verify udev rules); see [...]".
            match = re.match(r"(\S+)\s+(no permissions.*|\w+)\b", line)
            if match and not line.startswith("*"):
                states[match[1]] = match[2]
        if serial is None and len(states) > 1:
            raise InputError(f"adb: several phones are connected ({', '.join(states)}); name one with --serial")
        name = serial if serial is not None else next(iter(states), None)
        if name is None:
            raise client_failure("no devices/emulators found", "listing devices")
        state = states.get(name)
        if state is None:
            raise client_failure(f"device '{name}' not found", "listing devices")
        if state != "device":
            raise client_failure(state if state.startswith("no permissions") else f"device {state}", "reaching it")
        return name

    def _run(self, command: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        return self._phone("shell", command, timeout_s=timeout_s)

    def _copy(self, source: Path, target: str) -> subprocess.CompletedProcess[str]:
        return self._phone("push", str(source), target, timeout_s=COPY_LIMIT_S)

    def _fetch(self, source: str, target: Path) -> subprocess.CompletedProcess[str]:
        return self._phone("pull", source, str(target), timeout_s=COPY_LIMIT_S)

    def failure(self, text: str, what: str) -> InputError:
        """Return the error for a message of the client."""
        return client_failure(text, what)

    def unreachable(self, text: str) -> bool:
        """Return whether the client says that it never reached the phone."""
        return any(words in text for words, _, _ in UNREACHABLE) or bool(re.search(r"device '[^']*' not found", text))
