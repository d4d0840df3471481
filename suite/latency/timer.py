"""Times callables in interleaved rounds. It knows nothing of models, runtimes or cores.

A round goes through all candidates forwards and then backwards (A B B A for two), so that a drift of the machine falls
on all of them alike; each candidate gets two samples a round, neighbours in time of the others' samples. Every timed
call gets an input that differs in content from all others, made outside the clock.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.latency.device import Protocol
from suite.latency.timing import Labels, Problem, Sample, Timing

Call = Callable[[Any], Any]
Array = NDArray[np.generic]


@dataclass(frozen=True)
class Candidate:
    """Something to be timed.

    Attributes:
        labels: what its times are the times of; the title is unique in a run.
        run: the timed call; it gets one input.
        fresh_input: makes input number ``index`` outside the clock; no two indices may give equal inputs.
        units: units of work in one call (frames of a video clip); reported times are per unit.
        check: looks for broken rules after the timed rounds: precision, digest, outputs.
        engine: engine, version and settings.
    """

    labels: Labels
    run: Call
    fresh_input: Callable[[int], Any]
    units: int = 1
    check: Callable[[], list[Problem]] = list
    engine: dict[str, str] = field(default_factory=dict)


def time_call(run: Call, value: Any) -> Sample:
    """Call ``run(value)`` once and read the clocks around it."""
    wall = time.perf_counter_ns()
    cpu = time.process_time_ns()
    thread = time.thread_time_ns()
    run(value)
    thread = time.thread_time_ns() - thread
    cpu = time.process_time_ns() - cpu
    wall = time.perf_counter_ns() - wall
    return Sample(wall_ns=wall, cpu_ns=cpu, thread_ns=thread)


def warm_up_order(candidates: int, groups: int) -> list[tuple[int, bool]]:
    """Return the warm-up as (candidate, whether it gets the input of the run before) in the order of the runs.

    A group's first run brings the candidate's code and buffers back into the core's caches, so that the next two differ
    in their input's novelty alone.
    """
    return [(place, repeat) for _ in range(groups) for place in range(candidates) for repeat in (False, False, True)]


def round_order(candidates: int) -> tuple[int, ...]:
    """Return the candidates of one round in the order of the runs: forwards, then backwards."""
    return (*range(candidates), *reversed(range(candidates)))


def time_candidates(
    candidates: Sequence[Candidate],
    protocol: Protocol,
    after_round: Callable[[int], None] = lambda done: None,
) -> tuple[list[Timing], float]:
    """Warm all candidates up and time them in interleaved rounds.

    Rounds go on until every candidate has ``min_samples`` samples and ``min_duration_s`` seconds have passed; none
    starts after ``max_duration_s``, so fewer samples than asked for are possible and left to the validity rules.

    Args:
        candidates: what to time, at least one, of different titles; the first is the anchor.
        protocol: counts and durations.
        after_round: called outside the clock with the number of finished rounds.

    Returns:
        The timings in the order of the candidates, and the seconds the timed rounds took.
    """
    last = 2 * len(candidates) - 1
    timings = [
        Timing(candidate.labels, (place, last - place), candidate.units, candidate.engine)
        for place, candidate in enumerate(candidates)
    ]
    made = 0
    collecting = gc.isenabled()
    gc.disable()  # a collection in the middle of a sample would be charged to the candidate
    gc.collect()
    gc.freeze()  # what exists already need not be looked through after every round
    try:
        value: Any = None
        before: Sample | None = None
        for place, repeat in warm_up_order(len(candidates), protocol.warm_up_groups):
            if not repeat:
                value, made = candidates[place].fresh_input(made), made + 1
            sample = time_call(candidates[place].run, value)
            if repeat and before is not None:
                timings[place].repeat_pairs.append((before.cpu_ns, sample.cpu_ns))
            before = sample
        started = time.perf_counter()
        done = 0
        while True:
            gc.collect()
            first: dict[int, Sample] = {}
            for place in round_order(len(candidates)):
                value, made = candidates[place].fresh_input(made), made + 1
                sample = time_call(candidates[place].run, value)
                if place in first:
                    timings[place].rounds.append((first[place], sample))
                first.setdefault(place, sample)
            done += 1
            after_round(done)
            elapsed_s = time.perf_counter() - started
            enough = 2 * done >= protocol.min_samples and elapsed_s >= protocol.min_duration_s
            if enough or elapsed_s >= protocol.max_duration_s:
                return timings, elapsed_s
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()


def stamped(array: Array, index: int) -> Array:
    """Return a copy of an array (float32 or uint8, not empty) that differs from the copy made for any other index.

    One element is changed, at a place and by an amount that follow from the index alone: too little to change the work,
    enough for no cache to recognise the content.
    """
    copy = array.copy()
    flat = copy.reshape(-1)
    place = index % flat.size
    if copy.dtype == np.uint8:
        flat[place] += np.uint8(1 + index // flat.size % 255)
    else:
        flat[place] += np.float32(1e-3) * np.float32(1 + index // flat.size)
    return copy


def fresh_from(pool: Sequence[Array]) -> Callable[[int], Array]:
    """Return a maker of inputs: number ``index`` is a stamped copy of the pool's members in turn."""
    return lambda index: stamped(pool[index % len(pool)], index)
