"""The rules on observations made by hand: what is still valid, and where each threshold lies."""

from __future__ import annotations

import msgspec
import pytest

from suite.latency.device import Protocol
from suite.latency.timing import Labels, Sample, Timing
from suite.latency.validity import anchor_index, judge, pinning_problem

MS = 1_000_000


def labels(model: str, span: str, interval: int | None = None) -> Labels:
    return Labels(model, span, "none", "fp32", 64, 64, None, interval)


def timings(
    rounds: int = 20, wall: float = 10.0, cpu: float = 10.0, thread: float | None = None, disturbed: int = 0
) -> Timing:
    """Samples in milliseconds; the first ``disturbed`` ones took twice their CPU time."""
    made = Timing(labels("subject", "network"), (0, 1), repeat_pairs=[(10 * MS, 9 * MS)] * 3)
    for number in range(rounds):
        pair = []
        for place in range(2):
            stretch = 2.0 if 2 * number + place < disturbed else 1.0
            own = cpu if thread is None else thread
            pair.append(Sample(int(wall * stretch * MS), int(cpu * MS), int(own * MS)))
        made.rounds.append((pair[0], pair[1]))
    return made


def with_stall() -> Timing:
    stalled = timings(rounds=60)
    stalled.rounds[7] = (Sample(900 * MS, 10 * MS, 10 * MS), stalled.rounds[7][1])
    return stalled


def repeats(repeated_ms: int) -> Timing:
    return msgspec.structs.replace(timings(), repeat_pairs=[(10 * MS, repeated_ms * MS)] * 3)


def drifting(first_ms: float, last_ms: float) -> Timing:
    anchor = timings(rounds=10, wall=first_ms, cpu=first_ms)
    anchor.rounds.extend(timings(rounds=10, wall=last_ms, cpu=last_ms).rounds)
    return anchor


@pytest.mark.parametrize(
    ("subject", "anchor", "elapsed_s", "rules"),
    [
        (timings(), None, 5.0, []),
        (timings(disturbed=3), None, 5.0, []),
        (timings(disturbed=11), None, 5.0, ["core_taken_away"]),
        (with_stall(), None, 5.0, []),  # one long stall does not decide
        (timings(wall=11.5), None, 5.0, ["core_taken_away"]),
        (timings(thread=9.8), None, 5.0, []),
        (timings(thread=9.0), None, 5.0, ["more_than_one_thread"]),
        (timings(wall=9.0), None, 5.0, ["more_than_one_thread"]),  # more CPU than wall time
        (timings(rounds=19), None, 5.0, ["too_few_samples"]),
        (timings(), None, 0.001, ["too_few_samples"]),
        (timings(), drifting(10.0, 12.0), 5.0, ["throttled"]),
        (timings(), drifting(12.0, 10.0), 5.0, []),
        (repeats(7), None, 5.0, []),
        (repeats(5), None, 5.0, ["cached"]),
    ],
)
def test_each_rule_has_its_threshold(
    subject: Timing, anchor: Timing | None, elapsed_s: float, rules: list[str], quick: Protocol
) -> None:
    verdict = judge(subject, anchor or subject, elapsed_s, quick)
    assert [problem.rule for problem in verdict.problems] == rules


def test_pinning_needs_every_core_list_read_back_to_be_the_one_core() -> None:
    assert pinning_problem(["1"], 1) == []
    assert "0-1" in pinning_problem(["1", "0-1"], 1)[0].detail
    assert pinning_problem(["0"], 1)[0].rule == "not_pinned"
    assert pinning_problem([], 1)[0].rule == "not_pinned"


def test_masks_are_compared_with_the_anchor_that_makes_them_in_its_network() -> None:
    run = [
        labels("ours", "network"),
        labels("ours", "selection"),
        labels("rival", "network"),
        labels("rival", "with_masks"),
        labels("rival", "selection"),
        labels("ours", "network", 1),
        labels("ours", "network", 3),
    ]
    assert [anchor_index(run, index) for index in range(len(run))] == [0, 1, 0, 0, 1, 5, 5]
