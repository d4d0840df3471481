"""One process on one core with one thread: set, and read back.

Only the standard library is imported here, because the core has to be set before numpy, torch or a runtime start their
thread pools.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from suite.errors import InputError

ONE_THREAD_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "BLIS_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}


def usable_cores() -> list[int]:
    """Return the cores this process may run on, sorted.

    Raises:
        InputError: on a system that has no such notion (only Linux has it here).
    """
    if not hasattr(os, "sched_getaffinity"):
        raise InputError("latency: this system cannot pin a process to a core; measure on Linux")
    return sorted(os.sched_getaffinity(0))


def _busy_ticks(core: int) -> tuple[int, int]:
    for line in Path("/proc/stat").read_text().splitlines():
        words = line.split()
        if words and words[0] == f"cpu{core}":
            ticks = [int(word) for word in words[1:9]]
            return sum(ticks) - ticks[3] - ticks[4], sum(ticks)
    raise InputError(f"core {core}: not in /proc/stat; it may be offline, choose another")


def idlest_core(watch_s: float = 0.3) -> int:
    """Watch all usable cores for a moment and return the idlest; of equals the last, which serves fewer interrupts."""
    cores = usable_cores()
    before = {core: _busy_ticks(core) for core in cores}
    time.sleep(watch_s)

    def busy_share(core: int) -> float:
        busy, total = (after - first for after, first in zip(_busy_ticks(core), before[core], strict=True))
        return busy / max(total, 1)

    return min(cores, key=lambda core: (round(busy_share(core), 1), -core))


def pin_to(core: int) -> None:
    """Pin the calling process to one core; threads started later inherit it.

    Raises:
        InputError: if the core does not exist, is offline or is outside the cpuset; the message lists usable cores.
    """
    cores = usable_cores()
    try:
        os.sched_setaffinity(0, {core})
    except (OSError, OverflowError, ValueError):
        usable = ", ".join(map(str, cores))
        raise InputError(f"core {core}: this process cannot be pinned to it; usable cores: {usable}") from None


def prefer(niceness: int) -> int:
    """Ask for a scheduling priority and return the niceness that the process has afterwards."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    return os.getpriority(os.PRIO_PROCESS, 0)


def observed_affinities() -> set[str]:
    """Return the distinct core lists (e.g. ``{"1"}`` or ``{"1", "0-1"}``) that the process's threads may run on."""
    affinities: set[str] = set()
    for status in Path("/proc/self/task").glob("*/status"):
        try:
            lines = status.read_text().splitlines()
        except OSError:  # the thread ended meanwhile
            continue
        affinities.update(line.split()[1] for line in lines if line.startswith("Cpus_allowed_list:"))
    return affinities
