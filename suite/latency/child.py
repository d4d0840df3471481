"""The measured process: pins itself, then imports, loads and times. Started by `suite.latency.host` only.

Reads one JSON request from standard input and writes one JSON answer to standard output; everything else, whoever
prints it, goes to standard error, where lines starting with ``@`` count finished rounds.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from suite.errors import SuiteError
from suite.latency.pinning import observed_affinities, pin_to, prefer

PROGRESS_MARK = "@"


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Pin, load, warm up, time and check.

    Args:
        request: ``core``, ``protocol`` and ``jobs`` (see `suite.latency.host.run_child`).

    Returns:
        ``elapsed_s``, ``affinities``, ``niceness``, ``threads``, ``peak_memory_kib`` and ``items``: labels,
        description, problems and raw samples ``[wall_ns, cpu_ns, thread_ns]`` of every candidate.
    """
    pin_to(request["core"])
    # Imported only now: numpy and the runtimes size their thread pools by the cores they see.
    import dataclasses
    import resource

    from suite.latency.job import Job
    from suite.latency.protocol import protocol_from_mapping
    from suite.latency.timer import time_candidates

    protocol = protocol_from_mapping(request["protocol"], "request")
    niceness = prefer(protocol.niceness)
    items = [timed for job in request["jobs"] for timed in Job(**job).make()]
    affinities = observed_affinities()

    def after_round(done: int) -> None:
        affinities.update(observed_affinities())
        print(f"{PROGRESS_MARK}{done}", file=sys.stderr, flush=True)

    timings, elapsed_s = time_candidates([timed.candidate for timed in items], protocol, after_round)
    answers = []
    for timed, timing in zip(items, timings, strict=True):
        problems = [dataclasses.asdict(problem) for problem in timed.check()]
        answers.append(
            {
                "labels": dataclasses.asdict(timed.labels),
                "description": timed.description,
                "problems": problems,
                "units": timing.units,
                "positions": timing.positions,
                "rounds": [[dataclasses.astuple(sample) for sample in pair] for pair in timing.rounds],
                "repeat_pairs": timing.repeat_pairs,
            }
        )
    affinities |= observed_affinities()
    return {
        "elapsed_s": elapsed_s,
        "affinities": sorted(affinities),
        "niceness": niceness,
        "threads": sum(1 for _ in Path("/proc/self/task").iterdir()),
        "peak_memory_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "items": answers,
    }


def main() -> int:
    """Answer one request; an error the user can mend becomes ``{"error": message}``."""
    answer_stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    try:
        answer = measure(request)
    except SuiteError as error:
        answer = {"error": str(error)}
    json.dump(answer, answer_stream, allow_nan=False)
    answer_stream.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
