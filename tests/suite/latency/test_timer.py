from __future__ import annotations

import gc
from typing import Any

import msgspec
import numpy as np
import pytest

from suite.latency.device import Protocol
from suite.latency.timer import Array, Call, Candidate, fresh_from, stamped, time_candidates
from suite.latency.timing import Labels


def named(name: str, run: Call) -> Candidate:
    return Candidate(Labels(name, "network", "none", "fp32", 1, 1), run, lambda index: index)


def counted(names: str, protocol: Protocol) -> tuple[list[str], list[Any], Any]:
    calls: list[str] = []
    inputs: list[Any] = []

    def candidate(name: str) -> Candidate:
        def run(value: int) -> None:
            calls.append(name)
            inputs.append(value)

        return named(name, run)

    return calls, inputs, time_candidates([candidate(name) for name in names], protocol)


def test_rounds_go_there_and_back_on_fresh_inputs_and_each_warm_up_group_repeats_one(quick: Protocol) -> None:
    """There and back: drift falls on all alike."""
    protocol = msgspec.structs.replace(quick, min_samples=5, min_duration_s=0.0)
    calls, inputs, (timings, _) = counted("ABC", protocol)
    warm_up = 3 * 3 * protocol.warm_up_groups
    assert "".join(calls[warm_up:]) == 3 * "ABCCBA"  # three rounds are the first to give five samples each
    assert [timing.positions for timing in timings] == [(0, 5), (1, 4), (2, 3)]
    assert [len(timing.rounds) for timing in timings] == [3, 3, 3]
    for group in range(0, warm_up, 3):
        first, second, third = inputs[group : group + 3]
        assert second == third != first
    timed = inputs[warm_up:]
    assert len(set(timed)) == len(timed)
    assert not set(timed) & set(inputs[:warm_up])
    assert len(timings[0].repeat_pairs) == protocol.warm_up_groups


def test_the_collector_rests_during_rounds_and_is_restored_even_after_an_error(quick: Protocol) -> None:
    seen = []
    time_candidates(
        [named("A", lambda _: seen.append(gc.isenabled()))],
        msgspec.structs.replace(quick, min_samples=2, min_duration_s=0.0),
    )
    assert not any(seen)
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError):
        time_candidates([named("A", lambda value: 1 / 0)], quick)
    assert gc.isenabled()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_stamped_inputs_differ_from_each_other_and_leave_the_original_alone(dtype: type) -> None:
    original: Array = np.zeros((2, 3, 5), dtype=dtype)
    copies = [stamped(original, index) for index in range(200)]
    assert len({copy.tobytes() for copy in copies}) == len(copies)
    assert not original.any()
    fresh = fresh_from([original, np.ones((2, 3, 5), dtype=dtype)])
    assert fresh(0).sum() < fresh(1).sum()
