"""Commands on a phone through the system's ``adb``, with return codes that can be trusted.

adb's own return code lies: without the feature ``shell_v2`` it is always 0, and a phone that drops off in mid-command
gives 0 with one version of the client and 255 with another. So every command ends with a sentinel that the phone itself
prints, and an answer without it is a lost phone. Clients also differ in where they print what, so messages are looked
for in both streams.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from suite.errors import InputError, NothingMeasuredError
from suite.files import file_digest

WORK_FOLDER = "/data/local/tmp/mobileinst-suite"
SENTINEL = re.compile(r"@@RC=(\d+)@@\s*$")
CLIENT_GRACE_S = 15

# What either client prints, the cause, the remedy. The first match counts.
CLIENT_FAILURES = (
    ("no devices/emulators found", "no phone is connected", "plug one in, switch USB debugging on and unlock it"),
    ("more than one device", "several phones are connected", "name one with --serial"),
    ("device unauthorized", "the phone has not allowed this computer", "unlock it, accept the dialog, and try again"),
    ("no permissions", "this user may not open the USB device", "add a udev rule for it and plug the phone in again"),
    ("device offline", "the phone does not answer", "plug it in again, or restart it"),
    ("device still connecting", "the phone is still connecting", "wait a moment and try again"),
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


@dataclass(frozen=True)
class Reply:
    """What the phone said: its own return code and what it printed (without ``shell_v2`` errors are in it, too)."""

    code: int
    output: str
    errors: str

    @property
    def text(self) -> str:
        """Both streams, for looking up messages."""
        return f"{self.output}\n{self.errors}"


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


class Adb:
    """One phone.

    Args:
        serial: which phone; None takes the only one.
        executable: the adb client.

    Raises:
        InputError: if there is no client, or not exactly one usable phone.
    """

    def __init__(self, serial: str | None = None, executable: str = "adb") -> None:
        found = shutil.which(executable)
        if found is None:
            raise InputError(f"{executable}: not installed; install Android's platform tools (Debian: apt install adb)")
        self._client = found
        self.serial = self._chosen(serial)
        features = self._call("-s", self.serial, "features")
        if features.returncode != 0:
            raise client_failure(features.stdout + features.stderr, "asking for features")
        self.separates_errors = "shell_v2" in features.stdout.split()

    def _call(self, *words: str, timeout_s: float = 30) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self._client, *words], capture_output=True, text=True, errors="replace", timeout=timeout_s
            )
        except subprocess.TimeoutExpired:
            raise NothingMeasuredError(
                f"adb {words[0]}: no answer in {timeout_s:.0f} s; check the cable, or run adb kill-server"
            ) from None

    def _chosen(self, serial: str | None) -> str:
        listing = self._call("devices", "-l")
        if listing.returncode != 0:
            raise client_failure(listing.stdout + listing.stderr, "listing devices")
        states: dict[str, str] = {}
        for line in (listing.stdout + "\n" + listing.stderr).splitlines():
            # A state may hold spaces: "no permissions (verify udev rules); see [...]".
            match = re.match(
                r"(\S+)\s+(device|offline|unauthorized|no permissions.*|authorizing|connecting|\w+)\b", line
            )
            if match and not line.startswith(("*", "List of")):
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
            raise client_failure(
                {"unauthorized": "device unauthorized", "offline": "device offline"}.get(state, state), state
            )
        return name

    def shell(self, command: str, timeout_s: int = 30) -> Reply:
        """Run one command on the phone.

        Args:
            command: a line for the phone's shell.
            timeout_s: the phone itself kills it after so many seconds, since ending adb here would not.

        Raises:
            InputError: if the client could not reach the phone.
            NothingMeasuredError: if the phone was lost before the command ended.
        """
        guarded = f'( timeout -s KILL {timeout_s} sh -c {shlex.quote(command)} ); echo "@@RC=$?@@"'
        done = self._call("-s", self.serial, "shell", guarded, timeout_s=timeout_s + CLIENT_GRACE_S)
        ended = SENTINEL.search(done.stdout)
        if ended:
            output = done.stdout[: ended.start()].replace("\r\n", "\n")
            return Reply(int(ended[1]), output, done.stderr)
        if (
            any(words in done.stdout + done.stderr for words, _, _ in CLIENT_FAILURES[:6])
            or "' not found" in done.stderr
        ):
            raise client_failure(done.stdout + done.stderr, "shell")
        raise NothingMeasuredError(
            "adb: the phone was lost in mid-command (no closing mark came back); check cable and screen lock, and "
            "start again"
        )

    def push(self, source: Path, target: str) -> None:
        """Copy a file to the phone and compare its digest there.

        Args:
            source: the file.
            target: its path on the phone, in `WORK_FOLDER`.

        Raises:
            InputError: if it could not be copied whole.
        """
        done = self._call("-s", self.serial, "push", str(source), target, timeout_s=600)
        if done.returncode != 0:
            raise client_failure(done.stdout + done.stderr, f"copying {source.name}")
        there = self.shell(f"sha256sum {shlex.quote(target)}", timeout_s=120)
        if there.code != 0 or there.output.split()[:1] != [file_digest(source)]:
            raise InputError(f"adb: {source.name} arrived changed on the phone; check the cable and try again")

    def clean(self) -> None:
        """Remove everything this suite put on the phone."""
        self.shell(f"rm -rf {WORK_FOLDER}")
