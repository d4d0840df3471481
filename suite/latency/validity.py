"""VALID or INVALID, with a named reason: the protocol's rules applied to what was observed.

The names and what they mean are in `suite.latency.protocol.RULE_NAMES`. Everything here works on observations alone, so
that host, phone and board runs are judged by the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suite.latency.protocol import RULE_NAMES, Protocol
from suite.latency.timer import Timings

ENVIRONMENTAL = frozenset({"core_taken_away", "throttled"})
"""Rules that other load on the machine breaks; a run that broke only these is worth another attempt."""
CLOCK_READ_NS = 5_000
"""CPU time per sample that is not held against a candidate as another thread's: reading the clocks one after the other
takes a few microseconds."""


@dataclass(frozen=True)
class Problem:
    """One broken rule, with what was seen and what was allowed."""

    rule: str
    detail: str

    def __post_init__(self) -> None:
        """Refuse rules that are not in the catalogue."""
        if self.rule not in RULE_NAMES:
            raise ValueError(f"unknown rule {self.rule!r}; known: {', '.join(RULE_NAMES)}")


@dataclass(frozen=True)
class Verdict:
    """Whether a candidate's samples may be used.

    Attributes:
        problems: all broken rules; empty = VALID.
        disturbed_share: share of samples (0 to 1) whose wall time exceeds CPU time by more than the rule allows; also
            given where the run is valid.
        other_thread_share: share of CPU time (0 to 1) spent outside the calling thread.
        anchor_drift: anchor's median CPU time in the last quarter over that in the first.
    """

    problems: tuple[Problem, ...]
    disturbed_share: float
    other_thread_share: float
    anchor_drift: float

    @property
    def valid(self) -> bool:
        """Whether no rule was broken."""
        return not self.problems

    def summary(self) -> str:
        """Return ``"VALID"`` or ``"INVALID (rule: detail; ...)"``."""
        if self.valid:
            return "VALID"
        return "INVALID (" + "; ".join(f"{problem.rule}: {problem.detail}" for problem in self.problems) + ")"


def _clock(timings: Timings, clock: str) -> NDArray[np.float64]:
    return np.array([[getattr(sample, clock) for sample in pair] for pair in timings.rounds], dtype=np.float64)


def wall_ms(timings: Timings) -> NDArray[np.float64]:
    """Return wall milliseconds per unit, shape (rounds, 2)."""
    return _clock(timings, "wall_ns") / 1e6 / timings.units


def cpu_ms(timings: Timings) -> NDArray[np.float64]:
    """Return CPU milliseconds per unit, all threads of the process, shape (rounds, 2)."""
    return _clock(timings, "cpu_ns") / 1e6 / timings.units


def anchor_drift(anchor: Timings) -> float:
    """Return the anchor's median CPU time in the last quarter of its rounds over that in the first quarter."""
    times = cpu_ms(anchor)
    quarter = max(len(times) // 4, 1)
    return float(np.median(times[-quarter:]) / max(float(np.median(times[:quarter])), 1e-9))


def pinning_problem(affinities: Sequence[str], core: int) -> list[Problem]:
    """Check every core list that was ever read back against the one core asked for."""
    others = sorted(set(affinities) - {str(core)})
    if not affinities:
        return [Problem("not_pinned", "the core list could not be read back")]
    if others:
        return [Problem("not_pinned", f"asked for core {core}, read back {', '.join(others)}")]
    return []


def judge(
    timings: Timings, anchor: Timings, elapsed_s: float, protocol: Protocol, observed: Sequence[Problem] = ()
) -> Verdict:
    """Apply all rules to one candidate's samples.

    Args:
        timings: the candidate's samples.
        anchor: the anchor's samples of the same run (may be the same object).
        elapsed_s: seconds the timed rounds took.
        protocol: counts, durations and thresholds.
        observed: problems that only the backend could see (pinning, precision, outputs).
    """
    rules = protocol.rules
    problems = list(observed)
    wall, cpu, thread = (_clock(timings, name).ravel() for name in ("wall_ns", "cpu_ns", "thread_ns"))
    cpu_safe = np.maximum(cpu, 1.0)

    other_share = float(np.maximum(cpu - thread - CLOCK_READ_NS, 0.0).sum() / cpu_safe.sum())
    cpu_over_wall = float(np.median(cpu / np.maximum(wall, 1.0)))
    if other_share > rules.max_other_thread_share:
        problems.append(
            Problem(
                "more_than_one_thread",
                f"{other_share:.0%} of the CPU time was spent outside the calling thread "
                f"(allowed {rules.max_other_thread_share:.0%})",
            )
        )
    elif cpu_over_wall > rules.max_cpu_over_wall:
        problems.append(
            Problem("more_than_one_thread", f"CPU / wall = {cpu_over_wall:.2f} (allowed {rules.max_cpu_over_wall})")
        )

    stretch = wall / cpu_safe
    disturbed_share = float(np.mean(stretch > rules.max_wall_over_cpu))
    kept = np.argsort(stretch)[: max(1, len(stretch) - int(np.ceil(rules.trimmed_share * len(stretch))))]
    overall = float(wall[kept].sum() / cpu_safe[kept].sum())
    if disturbed_share > rules.max_disturbed_share or overall > rules.max_wall_over_cpu:
        problems.append(
            Problem(
                "core_taken_away",
                f"wall / CPU = {overall:.2f} over the run (allowed {rules.max_wall_over_cpu}), {disturbed_share:.0%} "
                f"of samples above it (allowed {rules.max_disturbed_share:.0%})",
            )
        )

    if len(wall) < protocol.min_samples or elapsed_s < protocol.min_duration_s:
        problems.append(
            Problem(
                "too_few_samples",
                f"{len(wall)} samples in {elapsed_s:.1f} s "
                f"(needs {protocol.min_samples} and {protocol.min_duration_s} s)",
            )
        )

    drift = anchor_drift(anchor)
    if drift > rules.max_anchor_drift:
        problems.append(
            Problem(
                "throttled",
                f"anchor {anchor.name} took {drift:.2f} times as long in the last quarter as in the first "
                f"(allowed {rules.max_anchor_drift})",
            )
        )

    pairs = np.array(timings.repeat_pairs, dtype=np.float64).reshape(-1, 2)
    if len(pairs):
        repeat_ratio = float(np.median(pairs[:, 1]) / max(float(np.median(pairs[:, 0])), 1.0))
        if repeat_ratio < rules.min_repeat_ratio:
            problems.append(
                Problem(
                    "cached",
                    f"a repeated input took {repeat_ratio:.2f} of a fresh one's time "
                    f"(allowed from {rules.min_repeat_ratio})",
                )
            )
    return Verdict(tuple(problems), disturbed_share, other_share, drift)
