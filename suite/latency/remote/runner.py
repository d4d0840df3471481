"""The runner's file, checked on this machine before it is pushed: right processor, loader present on the device."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from suite.errors import InputError

ELF_MACHINES = {183: "aarch64", 62: "x86_64", 40: "armv7l", 243: "riscv64"}
"""Numbers of the ELF header by what ``uname -m`` says."""
LOADER_SEGMENT = 3


@dataclass(frozen=True)
class Runner:
    """A runner's file and the libraries it takes along.

    Attributes:
        path: the executable.
        libraries: shared libraries to lie beside it on the device.
    """

    path: Path
    libraries: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        """Refuse files that are not there.

        Raises:
            InputError: naming the file.
        """
        for path in (self.path, *self.libraries):
            if not path.is_file():
                raise InputError(f"{path}: no such file; build the runners as docs/phone.md describes")


@dataclass(frozen=True)
class Executable:
    """What an executable needs: the processor (None for a script) and its loader (None if it is static)."""

    machine: str | None
    interpreter: str | None


def read_executable(path: Path) -> Executable:
    """Read the header of an ELF file or the first line of a script.

    Raises:
        InputError: if the file is neither, or is cut off.
    """
    content = path.read_bytes()
    if content[:2] == b"#!":
        words = content.split(b"\n", 1)[0][2:].decode("utf-8", "replace").split()
        return Executable(None, words[0] if words else None)
    if content[:6] != b"\x7fELF\x02\x01":
        raise InputError(f"{path}: not a 64-bit program for Linux or Android; build it as docs/phone.md describes")
    try:
        (number,) = struct.unpack_from("<H", content, 18)
        (table,) = struct.unpack_from("<Q", content, 32)
        size, count = struct.unpack_from("<HH", content, 54)
        interpreter = None
        for place in range(count):
            (kind,) = struct.unpack_from("<I", content, table + place * size)
            if kind == LOADER_SEGMENT:
                (start,) = struct.unpack_from("<Q", content, table + place * size + 8)
                (length,) = struct.unpack_from("<Q", content, table + place * size + 32)
                interpreter = content[start : start + length].rstrip(b"\0").decode("ascii")
    except (struct.error, UnicodeDecodeError):
        raise InputError(f"{path}: this program is cut off; build it again") from None
    return Executable(ELF_MACHINES.get(number, f"processor {number}"), interpreter)


def check_machine(runner: Runner, machine: str, noun: str) -> Executable:
    """Check that a runner and its libraries are for the device's processor.

    Args:
        runner: the files.
        machine: what ``uname -m`` says on the device.
        noun: what the device is called in the message.

    Returns:
        What the runner needs.

    Raises:
        InputError: if a file is for another processor.
    """
    needs = read_executable(runner.path)
    for path in (runner.path, *runner.libraries):
        found = read_executable(path)
        if found.machine is not None and found.machine != machine:
            raise InputError(f"{path}: built for {found.machine}, the {noun} is {machine}; build it for that")
    return needs
