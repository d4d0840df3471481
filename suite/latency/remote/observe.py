"""What the runner's answers show besides times: the core kept, the frequency held, the settings asked for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from suite.latency.device import Blocks
from suite.latency.remote.answer import Answer
from suite.latency.remote.engine import Engine
from suite.latency.timer import Sample, Timings, round_order
from suite.latency.validity import Problem, pinning_problem


def pinning_problems(answers: Sequence[Answer], core: int) -> list[Problem]:
    """Check every core list and every core number that was read back."""
    lists = {item for answer in answers for line in answer.rounds for item in line.affinities}
    problems = pinning_problem(sorted(lists), core)
    visited: set[int] = set()
    for answer in answers:
        for warm in answer.warm_up:
            visited |= {warm.core_before, warm.core_after}
        for sample in answer.samples:
            visited |= {sample.core_before, sample.core_after}
    if not problems and visited != {core}:
        others = ", ".join(map(str, sorted(visited - {core})))
        problems.append(Problem("not_pinned", f"asked for core {core}, a run was seen on core {others}"))
    return problems


def frequency_problems(answers: Sequence[Answer], built_khz: int | None, blocks: Blocks) -> list[Problem]:
    """Judge throttling by the core's frequency and by the calibration loop around every block.

    Args:
        answers: of all blocks.
        built_khz: highest frequency of the core as built; the runner's own reading where None.
        blocks: thresholds.
    """
    problems = []
    built = built_khz or next((item.header.built_khz for item in answers if item.header.built_khz), None)
    seen = [line.khz for answer in answers for line in answer.samples if line.khz is not None]
    if built and seen:
        slow = sum(value < blocks.min_frequency_share * built for value in seen) / len(seen)
        if slow > blocks.max_slow_share:
            problems.append(
                Problem(
                    "throttled",
                    f"{slow:.0%} of samples ran below {blocks.min_frequency_share:.0%} of {built // 1000} MHz "
                    f"(slowest {min(seen) // 1000} MHz; allowed {blocks.max_slow_share:.0%})",
                )
            )
    for answer in answers:
        permitted = answer.header.permitted_khz
        if built and permitted and permitted < blocks.min_frequency_share * built:
            problems.append(
                Problem("throttled", f"the core was capped at {permitted // 1000} of {built // 1000} MHz in a block")
            )
            break
    loops = [spin.cpu_ns / spin.steps for answer in answers for spin in answer.spins]
    ratio = max(loops) / min(loops)
    if ratio > blocks.max_calibration_ratio:
        problems.append(
            Problem(
                "throttled",
                f"the calibration loop took {ratio:.2f} times its shortest (allowed {blocks.max_calibration_ratio})",
            )
        )
    return problems


def flag_problems(answers: Sequence[Answer], engine: Engine) -> list[Problem]:
    """Check the settings that the runner reports in every block."""
    problems: list[Problem] = []
    for answer in answers:
        if answer.header.runner != engine.name:
            problems.append(
                Problem("precision_not_fp32", f"the runner is built on {answer.header.runner}, not {engine.name}")
            )
        problems += engine.flag_problems(answer.header.flags)
    return list(dict.fromkeys(problems))


def combined_timings(answers: Sequence[Answer], titles: Sequence[str]) -> list[Timings]:
    """Put the blocks' samples together, one `Timings` per candidate.

    Args:
        answers: of all blocks, in order.
        titles: of the candidates, in the plan's order.
    """
    order = round_order(len(titles))
    timings = []
    for number, title in enumerate(titles):
        first, second = (place for place, candidate in enumerate(order) if candidate == number)
        timing = Timings(title, 1, (first, second))
        for answer in answers:
            own = [
                Sample(line.wall_ns, line.cpu_ns, line.thread_ns) for line in answer.samples if line.candidate == number
            ]
            timing.rounds += list(zip(own[::2], own[1::2], strict=True))
            warm = [line for line in answer.warm_up if line.candidate == number]
            timing.repeat_pairs += [
                (before.cpu_ns, line.cpu_ns) for before, line in itertools.pairwise(warm) if line.repeat
            ]
        timings.append(timing)
    return timings
