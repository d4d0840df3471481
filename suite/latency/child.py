"""The measured process: pins itself, then imports, loads and times. Started by `suite.latency.host` only.

Gets the core as its argument, pickled makers of candidates and their protocol on standard input, and writes a
`suite.latency.timing.MeasuredRun` in JSON to standard output; everything else, whoever prints it, goes to standard
error, where lines starting with ``@`` count finished rounds.
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from suite.errors import SuiteError
from suite.latency.pinning import observed_affinities, pin_to, prefer

if TYPE_CHECKING:
    from suite.latency.timing import MeasuredRun

PROGRESS_MARK = "@"


def measure(core: int, question: BinaryIO) -> MeasuredRun:
    """Pin, load, warm up, time and check.

    Args:
        core: the core to pin to.
        question: pickled makers, each called without arguments for its candidates, and the protocol.
    """
    pin_to(core)
    # Imported only now, and by unpickling: numpy and the runtimes size their thread pools by the cores they see.
    import resource

    import msgspec

    from suite.latency.timer import time_candidates
    from suite.latency.timing import MeasuredRun

    makers, protocol = pickle.load(question)
    niceness = prefer(protocol.niceness)
    candidates = [candidate for make in makers for candidate in make()]
    affinities = observed_affinities()

    def after_round(done: int) -> None:
        affinities.update(observed_affinities())
        print(f"{PROGRESS_MARK}{done}", file=sys.stderr, flush=True)

    timings, elapsed_s = time_candidates(candidates, protocol, after_round)
    checked = [
        msgspec.structs.replace(timing, problems=candidate.check())
        for timing, candidate in zip(timings, candidates, strict=True)
    ]
    affinities |= observed_affinities()
    return MeasuredRun(
        timings=checked,
        elapsed_s=elapsed_s,
        affinities=sorted(affinities),
        niceness=niceness,
        threads=sum(1 for _ in Path("/proc/self/task").iterdir()),
        peak_memory_kib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    )


def main() -> int:
    """Answer one question; an error that the user can mend becomes ``{"error": message}``."""
    answer_stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    answer: MeasuredRun | dict[str, str]
    try:
        answer = measure(int(sys.argv[1]), sys.stdin.buffer)
    except SuiteError as error:
        answer = {"error": str(error)}
    import msgspec

    answer_stream.write(msgspec.json.encode(answer))
    answer_stream.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
