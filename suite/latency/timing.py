"""One timing: what was timed, its samples, and what follows from them; the same type from the timer to the record."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from suite.records.difference import RatioInterval

Rule = Literal[
    "not_pinned",
    "more_than_one_thread",
    "core_taken_away",
    "too_few_samples",
    "throttled",
    "precision_not_fp32",
    "outputs_differ",
    "cached",
]
"""Names of the validity rules; docs/latency.md says when each is broken."""


Nanoseconds = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
"""Of one call; eleven days at most."""


class Labels(msgspec.Struct, frozen=True):
    """What times are the times of.

    Attributes:
        model: the model's name.
        span: what the clock covers: ``network``, ``with_masks``, ``selection``, ``preprocess``, ``postprocess`` or
            ``end_to_end``.
        runtime: the engine's name.
        precision: number format of the network, e.g. ``fp32``.
        height_px: height of the network's input.
        width_px: width of the network's input.
        weights_sha256: digest of the checkpoint; None for random weights.
        key_frame_interval: T of kernel reuse, where times are per frame of a video; None for single images.
    """

    model: str
    span: str
    runtime: str
    precision: str
    height_px: int
    width_px: int
    weights_sha256: str | None = None
    key_frame_interval: int | None = None

    @property
    def title(self) -> str:
        """Return a name unique in a run, e.g. ``"mobileinst_topformer_base_512 network"``."""
        video = f" T={self.key_frame_interval}" if self.key_frame_interval else ""
        return f"{self.model} {self.span}{video}"


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """Clock readings of one call, in nanoseconds, for the whole call (not per unit).

    ``wall_ns`` is elapsed time, ``cpu_ns`` CPU time of all threads of the process, ``thread_ns`` of the calling one.
    """

    wall_ns: Nanoseconds
    cpu_ns: Nanoseconds
    thread_ns: Nanoseconds


class Problem(msgspec.Struct, frozen=True):
    """One broken rule, with what was seen and what was allowed."""

    rule: Rule
    detail: str


class Verdict(msgspec.Struct, frozen=True):
    """Whether samples may be used.

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


class Samples(msgspec.Struct, frozen=True, kw_only=True):
    """What a timer gives of one candidate.

    Attributes:
        rounds: one pair of samples per round, in the order they were taken.
        repeat_pairs: CPU nanoseconds of (fresh input, same input again), from the warm-up.
    """

    rounds: list[tuple[Sample, Sample]] = []
    repeat_pairs: list[tuple[Nanoseconds, Nanoseconds]] = []


class Timing(Samples, frozen=True):
    """All samples of one candidate, and what was judged of them.

    Attributes:
        labels: what the times are the times of.
        positions: places of the two samples in a round, counted from 0.
        units: units of work in one call (frames of a video clip); reported times are per unit.
        engine: engine, version and settings.
        problems: broken rules that cannot be seen in the samples, such as pinning, precision and outputs.
        verdict: the rules applied to everything known; None before that (`suite.latency.validity.judged`).
        anchor: title of the candidate that the ratio compares with.
        ratio_cpu: CPU time over the anchor's.
    """

    labels: Labels
    positions: tuple[int, int]
    units: int = 1
    engine: dict[str, str] = {}
    problems: list[Problem] = []
    verdict: Verdict | None = None
    anchor: str = ""
    ratio_cpu: RatioInterval | None = None

    def clock_ns(self, clock: str) -> NDArray[np.float64]:
        """Return one clock (``wall_ns``, ``cpu_ns``, ``thread_ns``) of whole calls, shape (rounds, 2)."""
        return np.array([[getattr(sample, clock) for sample in pair] for pair in self.rounds], dtype=np.float64)

    @property
    def wall_ms(self) -> NDArray[np.float64]:
        """Wall milliseconds per unit, shape (rounds, 2)."""
        return self.clock_ns("wall_ns") / 1e6 / self.units

    @property
    def cpu_ms(self) -> NDArray[np.float64]:
        """CPU milliseconds per unit, all threads of the process, shape (rounds, 2)."""
        return self.clock_ns("cpu_ns") / 1e6 / self.units

    @property
    def samples(self) -> int:
        """Number of samples."""
        return 2 * len(self.rounds)

    @property
    def cpu_median_ms(self) -> float:
        """Median CPU time per unit."""
        return float(np.median(self.cpu_ms))

    @property
    def wall_median_ms(self) -> float:
        """Median wall time per unit."""
        return float(np.median(self.wall_ms))

    def wall_tail_ms(self, percentile: int) -> float:
        """Return the wall time per unit at a percentile: nearest rank, the smallest sample that suffices."""
        return float(np.percentile(self.wall_ms, percentile, method="inverted_cdf"))

    @property
    def valid(self) -> bool:
        """Whether the samples were judged and may be used."""
        return self.verdict is not None and not self.verdict.problems

    @property
    def broken_rules(self) -> tuple[str, ...]:
        """Names of the rules that the verdict found broken, each once."""
        return () if self.verdict is None else tuple(dict.fromkeys(problem.rule for problem in self.verdict.problems))

    @property
    def summary(self) -> str:
        """``"VALID"``, or ``"INVALID (rule: detail; ...)"``."""
        if self.verdict is None or self.valid:
            return "VALID" if self.valid else "not judged"
        return f"INVALID ({'; '.join(f'{problem.rule}: {problem.detail}' for problem in self.verdict.problems)})"

    def to_json(self, percentile: int) -> dict[str, Any]:
        """Return labels, times, verdict and ratio as plain values, without the samples."""
        return {
            **msgspec.to_builtins(self.labels),
            "valid": self.valid,
            "samples": self.samples,
            "wall_median_ms": self.wall_median_ms,
            "wall_tail_ms": self.wall_tail_ms(percentile),
            "cpu_median_ms": self.cpu_median_ms,
            "anchor": self.anchor,
            "engine": self.engine,
            "verdict": msgspec.to_builtins(self.verdict),
            "ratio_cpu": msgspec.to_builtins(self.ratio_cpu),
        }


class MeasuredRun(msgspec.Struct, frozen=True):
    """What a measured process gives back, on this machine or on a device.

    Attributes:
        timings: one per candidate, the anchor first.
        elapsed_s: seconds of timed rounds.
        affinities: core lists read back from all threads during the run.
        niceness: scheduling priority it ran with; 0 is everybody's, below needs an administrator.
        threads: threads alive at its end.
        peak_memory_kib: largest resident memory, all models together.
    """

    timings: list[Timing] = []
    elapsed_s: float = 0.0
    affinities: list[str] = []
    niceness: int = 0
    threads: int = 0
    peak_memory_kib: int = 0
