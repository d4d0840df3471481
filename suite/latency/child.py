"""The measured process: one process on one core with one thread. It pins itself, then imports, loads and times.

Started by `suite.latency.host` with the core as its argument, and pickled makers of candidates and their protocol on
standard input. It writes a `suite.latency.timing.MeasuredRun` in JSON to standard output; everything else, whoever
prints it, goes to standard error, where lines starting with ``@`` count finished rounds. Only what needs neither numpy
nor a runtime is imported at the top, because they size their thread pools by the cores that they see.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from suite.errors import USAGE, InputError, SuiteError

if TYPE_CHECKING:
    from suite.latency.timing import MeasuredRun

PROGRESS_MARK = "@"
THREAD_COUNTS = ("OMP_NUM", "OPENBLAS_NUM", "MKL_NUM", "BLIS_NUM", "VECLIB_MAXIMUM", "NUMEXPR_NUM")
ONE_THREAD_ENVIRONMENT = {f"{name}_THREADS": "1" for name in THREAD_COUNTS}


def usable_cores() -> list[int]:
    """Return the cores this process may run on, sorted.

    Raises:
        InputError: on a system that has no such notion (only Linux has it here).
    """
    if not hasattr(os, "sched_getaffinity"):
        raise InputError("latency: this system cannot pin a process to a core; measure on Linux")
    return sorted(os.sched_getaffinity(0))


def _busy_ticks(core: int) -> tuple[int, int]:
    found = re.search(rf"^cpu{core} (.+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    if found is None:
        raise InputError(f"core {core}: not in /proc/stat; it may be offline, choose another")
    ticks = [int(word) for word in found[1].split()[:8]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


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


def _observed_affinities() -> set[str]:
    """Return the distinct core lists (e.g. ``{"1"}`` or ``{"1", "0-1"}``) that the process's threads may run on."""
    affinities: set[str] = set()
    for status in Path("/proc/self/task").glob("*/status"):
        with contextlib.suppress(OSError):  # the thread ended meanwhile
            lines = status.read_text().splitlines()
            affinities.update(line.split()[1] for line in lines if line.startswith("Cpus_allowed_list:"))
    return affinities


def measure(core: int, question: BinaryIO) -> MeasuredRun:
    """Pin, load, warm up, time and check.

    Args:
        core: the core to pin to.
        question: pickled makers, each called without arguments for its candidates, and the protocol.
    """
    pin_to(core)
    from suite.latency.timer import time_candidates
    from suite.latency.timing import MeasuredRun

    makers, protocol = pickle.load(question)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, protocol.niceness)
    candidates = [candidate for make in makers for candidate in make()]
    affinities = _observed_affinities()

    def after_round(done: int) -> None:
        affinities.update(_observed_affinities())
        print(f"{PROGRESS_MARK}{done}", file=sys.stderr, flush=True)

    timings, elapsed_s = time_candidates(candidates, protocol, after_round)
    checked = [
        msgspec.structs.replace(timing, problems=candidate.check())
        for timing, candidate in zip(timings, candidates, strict=True)
    ]
    affinities |= _observed_affinities()
    return MeasuredRun(
        timings=checked,
        elapsed_s=elapsed_s,
        affinities=sorted(affinities),
        niceness=os.getpriority(os.PRIO_PROCESS, 0),
        threads=sum(1 for _ in Path("/proc/self/task").iterdir()),
        peak_memory_kib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    )


def main() -> int:
    """Answer one question; what the user can mend is the last line of standard error, with `USAGE` as the exit code."""
    answer_stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        answer = measure(int(sys.argv[1]), sys.stdin.buffer)
    except SuiteError as error:
        print(error, file=sys.stderr)
        return USAGE
    answer_stream.write(msgspec.json.encode(answer))
    answer_stream.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
