"""Factories that run inside the pinned child: one honest subject, and subjects that break one rule each."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from suite.errors import InputError
from suite.latency.timer import Candidate, fresh_from
from suite.latency.timing import Labels

BYTES = 600_000


def digest(array: np.ndarray[Any, Any], times: int = 2) -> bytes:
    """About a millisecond of work that needs no numeric library and lets other threads run."""
    result = b""
    for _ in range(times):
        result = hashlib.sha256(result + array.tobytes()).digest()
    return result


def subject(name: str, run: Callable[[Any], Any]) -> list[Candidate]:
    pool = [np.random.default_rng(seed).integers(0, 255, BYTES).astype(np.uint8) for seed in range(4)]
    labels = Labels(model=name, span="network", runtime="none", precision="fp32", height_px=1, width_px=1)
    return [Candidate(labels, run, fresh_from(pool))]


def honest(name: str, times: int = 2) -> list[Candidate]:
    return subject(name, lambda array: digest(array, times))


def two_threads(name: str) -> list[Candidate]:
    def run(array: Any) -> None:
        helper = threading.Thread(target=digest, args=(array,))
        helper.start()
        digest(array)
        helper.join()

    return subject(name, run)


def loses_its_core(name: str) -> list[Candidate]:
    """As a runtime does that sets the affinity of its threads itself."""

    def run(array: Any) -> None:
        os.sched_setaffinity(0, range(os.cpu_count() or 1))
        digest(array)

    return subject(name, run)


def remembers(name: str) -> list[Candidate]:
    answers: dict[bytes, bytes] = {}

    def run(array: Any) -> bytes:
        key = array.tobytes()
        if key not in answers:
            answers[key] = digest(array, times=8)
        return answers[key]

    return subject(name, run)


def slows_down(name: str) -> list[Candidate]:
    """As a core does that gets hot: after a while the same call costs more."""
    calls = 0

    def run(array: Any) -> None:
        nonlocal calls
        calls += 1
        digest(array, times=2 if calls < 20 else 5)

    return subject(name, run)


def crashes(name: str) -> list[Candidate]:
    raise RuntimeError("the engine fell over")


def dies(name: str) -> list[Candidate]:
    os.kill(os.getpid(), 9)
    return []


def refuses(name: str) -> list[Candidate]:
    raise InputError(f"{name}: cannot be loaded; export it again")


def chatters(name: str) -> list[Candidate]:
    """Prints on standard output, as some engines do when they load a graph."""
    print("engine says hello")
    return honest(name)
