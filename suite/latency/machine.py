"""What of this machine bears on latency: core, frequency, governor, caches, SIMD, neighbours."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from suite.records.provenance import describe_machine
from suite.records.schema import Machine

CPU_FOLDER = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class MachineDetails:
    """The machine and the state of its cores; None where the system does not tell.

    Attributes:
        machine: as every record describes it.
        frequency_mhz: current frequency of the first core as the kernel reports it.
        governor: cpufreq governor of the first core.
        caches: e.g. ``("L1 Data 48K", "L2 Unified 2048K")``, of the first core.
        threads_per_core: hardware threads that share a core.
        hypervisor: whether this is a virtual machine, whose host may take the core away unseen.
        load_average: processes running or waiting, mean of the last minute, when measuring began.
    """

    machine: Machine
    frequency_mhz: float | None
    governor: str | None
    caches: tuple[str, ...]
    threads_per_core: int | None
    hypervisor: bool | None
    load_average: float | None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _cpuinfo(key: str) -> str | None:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def _listed(text: str | None) -> int | None:
    """Count the members of a kernel list such as ``0,2-3``."""
    if not text:
        return None
    spans = [part.split("-") for part in text.split(",")]
    return sum(int(span[-1]) - int(span[0]) + 1 for span in spans)


def describe_host() -> MachineDetails:
    """Describe this computer, without its host name or user."""
    core = CPU_FOLDER / "cpu0"
    kilohertz = _read(core / "cpufreq" / "scaling_cur_freq")
    megahertz = _cpuinfo("cpu MHz")
    caches = []
    for index in sorted((core / "cache").glob("index*")):
        level, kind, size = (_read(index / name) for name in ("level", "type", "size"))
        if level and kind and size:
            caches.append(f"L{level} {kind} {size}")
    flags = (_cpuinfo("flags") or "").split()
    frequency = float(kilohertz) / 1000 if kilohertz else float(megahertz) if megahertz else None
    return MachineDetails(
        machine=describe_machine(),
        frequency_mhz=frequency,
        governor=_read(core / "cpufreq" / "scaling_governor"),
        caches=tuple(caches),
        threads_per_core=_listed(_read(core / "topology" / "thread_siblings_list")),
        hypervisor="hypervisor" in flags if flags else None,
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )
