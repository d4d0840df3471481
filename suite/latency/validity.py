"""VALID or INVALID, with a named reason, and the ratio to the anchor: the protocol's rules applied to timings.

Everything here works on observations alone, so that host, phone and board runs are judged by the same code.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from suite.latency.device import Protocol
from suite.latency.timing import Labels, MeasuredRun, Problem, Timing, Verdict
from suite.records.difference import ratio_of_medians
from suite.seeds import derive_seed

ENVIRONMENTAL = frozenset({"core_taken_away", "throttled"})
"""Rules that other load on the machine breaks; a run that broke only these is worth another attempt."""
CLOCK_READ_NS = 5_000
"""CPU time per sample that is not held against a candidate as another thread's: reading the clocks one after the other
takes a few microseconds."""
MASK_SPANS = ("network", "with_masks")


def pinning_problem(affinities: Sequence[str], core: int) -> list[Problem]:
    """Check every core list that was ever read back against the one core asked for."""
    others = sorted(set(affinities) - {str(core)})
    if not affinities:
        return [Problem("not_pinned", "the core list could not be read back")]
    if others:
        return [Problem("not_pinned", f"asked for core {core}, read back {', '.join(others)}")]
    return []


def judge(timing: Timing, anchor: Timing, elapsed_s: float, protocol: Protocol) -> Verdict:
    """Apply all rules to one candidate's samples.

    Args:
        timing: the candidate's samples, and the problems that only whoever made the run could see.
        anchor: the anchor's samples of the same run (may be the same object).
        elapsed_s: seconds the timed rounds took.
        protocol: counts, durations and thresholds.
    """
    rules = protocol.rules
    wall, cpu, thread = (timing.clock_ns(name).ravel() for name in ("wall_ns", "cpu_ns", "thread_ns"))
    cpu_safe = np.maximum(cpu, 1.0)
    other_share = float(np.maximum(cpu - thread - CLOCK_READ_NS, 0.0).sum() / cpu_safe.sum())
    cpu_over_wall = float(np.median(cpu / np.maximum(wall, 1.0)))
    stretch = wall / cpu_safe
    disturbed_share = float(np.mean(stretch > rules.max_wall_over_cpu))
    kept = np.argsort(stretch)[: max(1, len(stretch) - int(np.ceil(rules.trimmed_share * len(stretch))))]
    overall = float(wall[kept].sum() / cpu_safe[kept].sum())
    quarter = max(len(anchor.rounds) // 4, 1)
    drift = float(np.median(anchor.cpu_ms[-quarter:]) / max(float(np.median(anchor.cpu_ms[:quarter])), 1e-9))
    pairs = np.array(timing.repeat_pairs or [(1, 1)], dtype=np.float64)
    repeat_ratio = float(np.median(pairs[:, 1]) / max(float(np.median(pairs[:, 0])), 1.0))

    problems = list(timing.problems)
    if other_share > rules.max_other_thread_share:
        seen = f"{other_share:.0%} of the CPU time was spent outside the calling thread"
        problems.append(Problem("more_than_one_thread", f"{seen} (allowed {rules.max_other_thread_share:.0%})"))
    elif cpu_over_wall > rules.max_cpu_over_wall:
        seen = f"CPU / wall = {cpu_over_wall:.2f} (allowed {rules.max_cpu_over_wall})"
        problems.append(Problem("more_than_one_thread", seen))
    if disturbed_share > rules.max_disturbed_share or overall > rules.max_wall_over_cpu:
        seen = f"wall / CPU = {overall:.2f} over the run (allowed {rules.max_wall_over_cpu}), {disturbed_share:.0%} "
        seen += f"of samples above it (allowed {rules.max_disturbed_share:.0%})"
        problems.append(Problem("core_taken_away", seen))
    if len(wall) < protocol.min_samples or elapsed_s < protocol.min_duration_s:
        needed = f"(needs {protocol.min_samples} and {protocol.min_duration_s} s)"
        problems.append(Problem("too_few_samples", f"{len(wall)} samples in {elapsed_s:.1f} s {needed}"))
    if drift > rules.max_anchor_drift:
        seen = f"anchor {anchor.labels.title} took {drift:.2f} times as long in the last quarter as in the first"
        problems.append(Problem("throttled", f"{seen} (allowed {rules.max_anchor_drift})"))
    if repeat_ratio < rules.min_repeat_ratio:
        seen = f"a repeated input took {repeat_ratio:.2f} of a fresh one's time (allowed from {rules.min_repeat_ratio})"
        problems.append(Problem("cached", seen))
    return Verdict(tuple(problems), disturbed_share, other_share, drift)


def anchor_index(labels: Sequence[Labels], index: int) -> int:
    """Return whose times a candidate is compared with.

    That is the first candidate of the same span, where a network that makes masks and one extended to make them are the
    same span; for a video, the same model's shortest reuse interval, so that the ratio is what reuse saves.
    """
    own = labels[index]
    if own.key_frame_interval is not None:
        same = [
            place
            for place, other in enumerate(labels)
            if (other.model, other.span) == (own.model, own.span) and other.key_frame_interval is not None
        ]
        return min(same, key=lambda place: labels[place].key_frame_interval or 0)
    spans = MASK_SPANS if own.span in MASK_SPANS else (own.span,)
    same = [place for place, other in enumerate(labels) if other.span in spans and other.key_frame_interval is None]
    return same[0]


def judged(run: MeasuredRun, core: int, protocol: Protocol) -> MeasuredRun:
    """Apply the rules to every candidate of a run on ``core`` and compare it with its anchor.

    The first timing is the anchor whose drift is watched.
    """
    pinning = pinning_problem(run.affinities, core)
    labels = [timing.labels for timing in run.timings]
    results = []
    for index, timing in enumerate(run.timings):
        anchor = run.timings[anchor_index(labels, index)]
        seed = derive_seed(0, f"latency/{timing.labels.title}/{anchor.labels.title}/cpu")
        level, resamples = protocol.interval_level, protocol.bootstrap_resamples
        seen = msgspec.structs.replace(timing, problems=[*pinning, *timing.problems])
        results.append(
            msgspec.structs.replace(
                seen,
                verdict=judge(seen, run.timings[0], run.elapsed_s, protocol),
                anchor=anchor.labels.title,
                ratio_cpu=ratio_of_medians(timing.cpu_ms, anchor.cpu_ms, level, resamples, seed),
            )
        )
    return msgspec.structs.replace(run, timings=results)
