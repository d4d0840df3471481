"""The tools that count an Arm core's instructions here: found, or set up below the user's cache folder.

Debian packages bring QEMU and LLVM. The rest is not packaged for another architecture's machine: an aarch64 Python and
ncnn's aarch64 wheel, pinned in ``pins.toml``, and a plugin of QEMU's that is compiled from ``block_counts.c``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from suite.errors import DataError, NothingMeasuredError, SuiteError
from suite.files import disk_faults, file_digest
from suite.locks import exclusive
from suite.progress import say
from suite.typed import read_typed

FOLDER = Path(__file__).parent
PLUGIN_SOURCE = FOLDER / "block_counts.c"
LLVM_MAJOR, QEMU_MAJORS = 19, (7, 8)
PACKAGES = ("qemu-user", f"llvm-{LLVM_MAJOR}", "gcc")
FETCH_LIMIT_S = 600


class Package(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Debian package of arm64: name, version and the digest of its file."""

    name: str
    version: str
    sha256: str


class Wheel(Package, frozen=True, forbid_unknown_fields=True):
    """A wheel of PyPI for aarch64; ``platforms`` are the tags it may have."""

    platforms: tuple[str, ...]


class Pins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``pins.toml``: the Python version that packages and wheel are of, the emulated machine, and what is unpacked.

    ``machine`` holds the caches of the one core that emulated programs are told of: ``level1_kib``, ``level2_kib``.
    """

    python: str
    machine: dict[Literal["level1_kib", "level2_kib"], int]
    wheel: Wheel
    debian: tuple[Package, ...]


@dataclass(frozen=True)
class Tools:
    """What emulation needs.

    Attributes:
        qemu: QEMU's emulator of aarch64 Linux programs.
        mca: ``llvm-mca``, which models a core's pipes.
        assembler: ``llvm-mc``, which disassembles.
        folder: what `set_up` made: ``root`` (aarch64 files), ``site`` (ncnn), the plugin.
        versions: of everything above, for records.
    """

    qemu: str
    mca: str
    assembler: str
    folder: Path
    versions: dict[str, str]

    @property
    def plugin(self) -> Path:
        """The compiled plugin."""
        return self.folder / "block_counts.so"

    @property
    def root(self) -> Path:
        """The folder that emulated programs find their libraries in."""
        return self.folder / "root"

    @property
    def python(self) -> tuple[str, ...]:
        """The words that start the emulated Python, without site packages of this machine."""
        return (str(self.root / "usr/bin" / f"python{load_pins().python}"), "-S")


def load_pins() -> Pins:
    """Return what ``pins.toml`` pins."""
    return read_typed(FOLDER / "pins.toml", Pins, "pin file", "restore it from version control")


def tools_folder() -> Path:
    """Return the folder of the set-up: its name follows from all that is pinned, so an upgrade makes a new one."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    pinned = file_digest(FOLDER / "pins.toml")[:8] + file_digest(PLUGIN_SOURCE)[:8]
    return cache / "mobileinst-suite" / f"estimate-{pinned}"


def _program(name: str, majors: Sequence[int]) -> tuple[str, str]:
    """Return the path of a program of one of some major versions, and its version; else empty texts."""
    path = shutil.which(name) or ""
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=60) if path else None
    version = re.search(r"(\d+)(\.\d+)+", done.stdout) if done else None
    return (path, version.group()) if version and int(version[1]) in majors else ("", "")


def _system_tools() -> dict[str, tuple[str, str]]:
    """Return the programs of Debian packages, each with its version.

    Raises:
        NothingMeasuredError: naming what is missing and the two lines to type.
    """
    found = {
        "qemu": _program("qemu-aarch64", QEMU_MAJORS),
        "llvm-mca": _program(f"llvm-mca-{LLVM_MAJOR}", [LLVM_MAJOR]),
        "llvm-mc": _program(f"llvm-mc-{LLVM_MAJOR}", [LLVM_MAJOR]),
    }
    if missing := [part for part, (path, _) in found.items() if not path]:
        raise NothingMeasuredError(
            f"latency estimate: {', '.join(missing)} missing or of another version (QEMU {QEMU_MAJORS[0]} or "
            f"{QEMU_MAJORS[1]}, LLVM {LLVM_MAJOR}); on Debian 12 type: sudo apt-get install "
            f"--no-install-recommends {' '.join(PACKAGES)}; then: mobileinst-suite latency estimate --set-up"
        )
    return found


def find_tools() -> Tools:
    """Return the tools.

    Raises:
        NothingMeasuredError: if one is missing; the message holds the commands that bring it.
    """
    programs, folder, pins = _system_tools(), tools_folder(), load_pins()
    if not folder.is_dir():
        raise NothingMeasuredError(
            "latency estimate: not set up; type: mobileinst-suite latency estimate --set-up (about 40 MB are fetched)"
        )
    libc = next(package.version for package in pins.debian if package.name == "libc6")
    versions = {name: version for name, (_, version) in programs.items()}
    versions |= {pins.wheel.name: pins.wheel.version, "libc6": libc}
    return Tools(programs["qemu"][0], programs["llvm-mca"][0], programs["llvm-mc"][0], folder, versions)


def run_program(
    words: Sequence[str], what: str, remedy: str, fault: type[SuiteError], limit_s: float, **options: Any
) -> str:
    """Run a program and return what it prints.

    Args:
        words: the program and its arguments.
        what: opens the message, e.g. what was being done.
        remedy: closes it.
        fault: raised where the program fails.
        limit_s: wall seconds after which it is stopped.
        options: of `subprocess.run`, e.g. ``cwd``.

    Raises:
        NothingMeasuredError: if it is not installed, or did not end in time.
        SuiteError: of the kind ``fault``, with the program's last line, if it fails.
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=limit_s, **options)
    except FileNotFoundError:
        raise NothingMeasuredError(f"{what}: {words[0]} is not installed; install it") from None
    except subprocess.TimeoutExpired:
        raise NothingMeasuredError(f"{what}: did not end in {limit_s:.0f} s; free the machine, try again") from None
    if done.returncode != 0:
        last = ([line for line in (done.stderr or done.stdout).splitlines() if line.strip()] or ["no message"])[-1]
        raise fault(f"{what}: failed ({last.strip()[:200]}); {remedy}")
    return str(done.stdout)


def _run(words: Sequence[str], what: str, folder: Path) -> None:
    what, remedy = f"latency estimate --set-up, {what}", "check the network, try again"
    run_program(words, what, remedy, DataError, FETCH_LIMIT_S, cwd=folder)


def _check(path: Path, sha256: str, name: str, version: str) -> None:
    if file_digest(path) != sha256:
        raise DataError(
            f"latency estimate --set-up: {name} {version} as fetched is not the pinned file; a mirror that moved on "
            "serves a newer one: take the counts that come with the suite, or pin the newer one in "
            "suite/latency/estimate/pins.toml and count everything again"
        )


def _fetch_packages(pins: Pins, folder: Path, root: Path) -> None:
    """Fetch the Debian packages with apt, which checks Debian's signatures, and unpack them."""
    lists, cache = folder / "lists", folder / "cache"
    for made in (lists / "partial", cache / "archives/partial"):
        made.mkdir(parents=True)
    options = [
        "-oAPT::Architecture=arm64",
        "-oAPT::Architectures=arm64",
        f"-oDir::State::Lists={lists}",
        "-oDir::State::status=/dev/null",
        f"-oDir::Cache={cache}",
        "-oAPT::Sandbox::User=",
        "-oDebug::NoLocking=true",
    ]
    _run(["apt-get", *options, "update", "-qq"], "reading Debian's lists of arm64 packages", folder)
    for package in pins.debian:
        what = f"fetching {package.name} {package.version}"
        _run(["apt-get", *options, "download", "-qq", f"{package.name}={package.version}"], what, folder)
        (path,) = folder.glob(f"{package.name}_*.deb")
        _check(path, package.sha256, package.name, package.version)
        _run(["dpkg", "-x", str(path), str(root)], f"unpacking {package.name}", folder)


def _fetch_wheel(pins: Pins, folder: Path, site: Path) -> None:
    wheel = pins.wheel
    platforms = [f"--platform={platform}" for platform in wheel.platforms]
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *platforms]
    words += [f"--python-version={pins.python}", "--dest=.", f"{wheel.name}=={wheel.version}"]
    _run(words, f"fetching {wheel.name} {wheel.version} for aarch64", folder)
    (path,) = folder.glob(f"{wheel.name}-*.whl")
    _check(path, wheel.sha256, wheel.name, wheel.version)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(site)


def describe_machine(pins: Pins, root: Path) -> None:
    """Write below QEMU's root the system files by which programs ask for cores and caches.

    QEMU looks there before it looks at the host's.
    """
    cores = root / "sys/devices/system/cpu"
    texts = {root / "proc/cpuinfo": "processor\t: 0", cores / "possible": "0"}
    texts[cores / "cpu0/topology/thread_siblings_list"] = "0"
    for number, (level, kind) in enumerate((("1", "Data"), ("1", "Instruction"), ("2", "Unified"))):
        size_kib = pins.machine["level1_kib" if level == "1" else "level2_kib"]
        index = cores / f"cpu0/cache/index{number}"
        texts |= {index / "level": level, index / "type": kind, index / "size": f"{size_kib}K"}
        texts[index / "shared_cpu_map"] = "1"
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def compile_plugin(target: Path) -> None:
    """Compile the plugin for this machine.

    Raises:
        NothingMeasuredError: if there is no C compiler.
        DataError: if it does not compile.
    """
    words = ["gcc", "-O2", "-shared", "-fPIC", "-o", str(target), str(PLUGIN_SOURCE)]
    _run(words, "compiling QEMU's plugin", target.parent)


def set_up() -> Path:
    """Fetch, check, unpack and compile everything that Debian does not package, once; return its folder.

    The folder appears under its name only when it is complete.

    Raises:
        NothingMeasuredError: if a Debian package is missing.
        DataError: if something cannot be fetched or is not the pinned file.
    """
    _system_tools()
    target, pins = tools_folder(), load_pins()
    if target.is_dir():
        say(f"estimate: already set up in {target}")
        return target
    with disk_faults(str(target.parent)), exclusive(target):
        for left in target.parent.glob(".set-up-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".set-up-") as name:
            made, fetched = Path(name) / "made", Path(name) / "fetched"
            for folder in (made / "root", made / "site", fetched):
                folder.mkdir(parents=True)
            say("estimate: fetching an aarch64 Python and ncnn's aarch64 wheel (about 40 MB)")
            compile_plugin(made / "block_counts.so")
            _fetch_packages(pins, fetched, made / "root")
            _fetch_wheel(pins, fetched, made / "site")
            describe_machine(pins, made / "root")
            if not target.is_dir():  # where another process has just done the same
                made.rename(target)
    say(f"estimate: set up in {target}")
    return target
