"""Who answered: a real phone or board, an emulator, this computer in disguise, or a recording.

A record that names a device is a claim that the device did the work. So a question is asked that no recording can
answer (the digest of a number drawn just now), and the kernel's own identity of this boot is compared with this
computer's: whatever runs here, a stand-in for adb, a container, a loopback connection, shows the same one.
"""

from __future__ import annotations

import hashlib
import platform
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from suite.latency.remote.transport import Transport
from suite.records.schema import Scalar

BOOT_ID = "/proc/sys/kernel/random/boot_id"
EMULATOR_HARDWARE = ("goldfish", "ranchu", "cutf", "vsoc")
Who = Literal["phone", "board", "emulator", "this computer", "a recording"]
STAND_IN = "stand-in"


@dataclass(frozen=True)
class Answered:
    """Who answered, with the evidence that goes into the record.

    Attributes:
        by: who.
        name_digest: first digits of the SHA-256 of the serial number or address, which tells devices apart without
            publishing them.
        build: Android's build fingerprint, or the board's kernel, without its host name.
    """

    by: Who
    name_digest: str
    build: str

    @property
    def real(self) -> bool:
        """Whether a real device answered."""
        return self.by in ("phone", "board")

    def fields(self, device: str) -> dict[str, Scalar]:
        """Return what a record says of it; ``device`` is the device's name only if that is who answered."""
        return {
            "device": device if self.real else STAND_IN,
            "answered_by": self.by,
            "real_device": self.real,
            "device_digest": self.name_digest,
            "device_build": self.build,
        }


def _own_boot_id() -> str:
    try:
        return Path(BOOT_ID).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def who_answers(device: Transport) -> Answered:
    """Find out who is at the other end.

    Raises:
        InputError: if the client cannot reach anybody.
        NothingMeasuredError: if the device was lost meanwhile.
    """
    question = secrets.token_hex(16)
    right = hashlib.sha256(f"{question}\n".encode()).hexdigest()
    name_digest = hashlib.sha256(device.name.encode()).hexdigest()[:12]
    if device.shell(f"echo {question} | sha256sum").output.split()[:1] != [right]:
        return Answered("a recording", name_digest, "")
    # The host name serves to recognise this computer and goes into no record.
    node, _, kernel = device.shell("uname -n -r -v -m").output.strip().partition(" ")
    boot_id = device.shell(f"cat {BOOT_ID}").output.strip()
    if not re.fullmatch(r"[0-9a-f-]{36}", boot_id):
        boot_id = ""  # denied
    own = platform.uname()
    here = " ".join((own.release, own.version, own.machine))
    if boot_id == _own_boot_id() if boot_id else (node, kernel) == (own.node, here):
        return Answered("this computer", name_digest, kernel)
    if device.kind != "adb":
        return Answered("board", name_digest, kernel)
    named = dict(re.findall(r"^\[([^\]]+)\]: \[([^\]]*)\]", device.shell("getprop").output, flags=re.MULTILINE))
    build = named.get("ro.build.fingerprint", "")
    emulated = "1" in (named.get("ro.kernel.qemu"), named.get("ro.boot.qemu"))
    if emulated or not build or named.get("ro.hardware", "").startswith(EMULATOR_HARDWARE):
        return Answered("emulator", name_digest, build)
    return Answered("phone", name_digest, build)
