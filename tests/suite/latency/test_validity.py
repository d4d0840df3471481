"""The rules on observations made by hand: what is still valid, and where each threshold lies."""

from __future__ import annotations

import msgspec
import pytest

from suite.latency.protocol import Protocol
from suite.latency.timing import Labels, Problem, Sample, Timing, Verdict
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


def judged(subject: Timing, protocol: Protocol, anchor: Timing | None = None, elapsed_s: float = 5.0) -> Verdict:
    return judge(subject, anchor or subject, elapsed_s, protocol)


def test_steady_samples_of_one_thread_are_valid(quick: Protocol) -> None:
    verdict = judged(timings(), quick)
    assert verdict.valid
    assert verdict.anchor_drift == 1.0


def test_a_few_disturbed_samples_are_reported_and_forgiven_many_are_not(quick: Protocol) -> None:
    few, many = judged(timings(disturbed=3), quick), judged(timings(disturbed=11), quick)
    assert few.valid
    assert few.disturbed_share == 3 / 40
    assert [problem.rule for problem in many.problems] == ["core_taken_away"]
    assert many.disturbed_share == 11 / 40


def test_one_long_stall_does_not_decide_but_a_tenth_of_the_time_does(quick: Protocol) -> None:
    stalled = timings(rounds=60)
    stalled.rounds[7] = (Sample(900 * MS, 10 * MS, 10 * MS), stalled.rounds[7][1])
    assert judged(stalled, quick).valid
    assert not judged(timings(wall=11.5), quick).valid


def test_work_outside_the_calling_thread_is_a_second_thread(quick: Protocol) -> None:
    assert judged(timings(thread=9.8), quick).valid
    problems = judged(timings(thread=9.0), quick).problems
    assert [problem.rule for problem in problems] == ["more_than_one_thread"]
    assert "10%" in problems[0].detail


def test_more_cpu_than_wall_time_is_a_second_core(quick: Protocol) -> None:
    assert [problem.rule for problem in judged(timings(wall=9.0), quick).problems] == ["more_than_one_thread"]


def test_samples_and_seconds_are_both_needed(quick: Protocol) -> None:
    assert [problem.rule for problem in judged(timings(rounds=19), quick).problems] == ["too_few_samples"]
    assert [problem.rule for problem in judged(timings(), quick, elapsed_s=0.001).problems] == ["too_few_samples"]


def test_an_anchor_slower_at_the_end_spoils_the_others(quick: Protocol) -> None:
    anchor = timings(rounds=10)
    anchor.rounds.extend(timings(rounds=10, wall=12.0, cpu=12.0).rounds)
    verdict = judged(timings(), quick, anchor)
    assert [problem.rule for problem in verdict.problems] == ["throttled"]
    assert verdict.anchor_drift == pytest.approx(1.2)
    faster = timings(rounds=10, wall=12.0, cpu=12.0)
    faster.rounds.extend(timings(rounds=10).rounds)
    assert judged(timings(), quick, faster).valid


def test_a_repeated_input_may_be_a_little_faster_but_not_much(quick: Protocol) -> None:
    assert judged(msgspec.structs.replace(timings(), repeat_pairs=[(10 * MS, 7 * MS)] * 3), quick).valid
    remembered = msgspec.structs.replace(timings(), repeat_pairs=[(10 * MS, 5 * MS)] * 3)
    assert [problem.rule for problem in judged(remembered, quick).problems] == ["cached"]


def test_what_the_backend_saw_comes_first(quick: Protocol) -> None:
    seen = Problem("precision_not_fp32", "weights of type FLOAT16")
    verdict = judge(msgspec.structs.replace(timings(rounds=1), problems=[seen]), timings(), 5.0, quick)
    assert [problem.rule for problem in verdict.problems] == ["precision_not_fp32", "too_few_samples"]
    assert seen.detail in verdict.summary()


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
