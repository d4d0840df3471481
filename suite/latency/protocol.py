"""The measuring protocol as data: how often, how long, in which order, and when a run counts.

A protocol is one table of a device file (``suite/latency/devices/*.toml``); the code has no defaults of its own. The
timer (`suite.latency.timer`) follows it without knowing any model, and `suite.latency.validity` applies its rules.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Positive = Annotated[int, msgspec.Meta(gt=0)]

RULE_NAMES: dict[str, str] = {
    "not_pinned": "a thread of the measured process was allowed on another core, before, during or after the run",
    "more_than_one_thread": "a second thread did part of the work",
    "core_taken_away": "the core spent its time elsewhere: wall time exceeds CPU time",
    "too_few_samples": "fewer samples, or a shorter run, than the protocol asks for",
    "throttled": "the anchor ran slower in the last quarter of the run than in the first",
    "precision_not_fp32": "the graph or the session computes in something other than fp32 (an fp16 row: than fp16)",
    "outputs_differ": "the timed artifact is not the scored one: its digest or its outputs differ",
    "cached": "the same input repeated is suspiciously faster than fresh ones",
}


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of the validity rules.

    Attributes:
        max_other_thread_share: share of CPU time (0 to 1) that may be spent outside the calling thread.
        max_cpu_over_wall: CPU time over wall time; above 1 more than one core worked.
        max_wall_over_cpu: wall time over CPU time; a sample above it was disturbed.
        max_disturbed_share: share of samples (0 to 1) that may be disturbed.
        trimmed_share: share of samples (0 to 1), the most disturbed ones, left out of the whole run's wall over CPU, so
            that one long stall does not decide.
        max_anchor_drift: anchor's median CPU time in the last quarter over that in the first.
        min_repeat_ratio: median CPU time of a repeated input over that of a fresh one.
        max_output_difference: largest absolute difference to the reference outputs, over the reference's largest
            magnitude.
    """

    max_other_thread_share: float
    max_cpu_over_wall: float
    max_wall_over_cpu: float
    max_disturbed_share: float
    trimmed_share: float
    max_anchor_drift: float
    min_repeat_ratio: float
    max_output_difference: float


class Protocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a latency run is made.

    Attributes:
        name: e.g. ``"host-standard"``.
        warm_up_groups: groups of three runs per candidate before the first round: two fresh inputs, then the second of
            them again. The last two runs of a group serve the ``cached`` rule.
        min_samples: samples per candidate that a run needs; each round gives two.
        min_duration_s: seconds of timed rounds that a run needs.
        max_duration_s: after this many seconds of timed rounds no new round starts.
        percentile: the tail percentile reported beside the median (nearest rank).
        input_pool: number of different base inputs that the fresh inputs are made of.
        bootstrap_resamples: resamples behind every interval of a ratio.
        interval_level: coverage of the interval, e.g. 0.95.
        niceness: scheduling priority asked for (-20 first, 19 last); taken where the system permits it, and what was
            got is reported.
        attempts: how often a run is made at most, where only the machine's other load spoils it.
        rules: thresholds of the validity rules.
    """

    name: str
    warm_up_groups: Positive
    min_samples: Positive
    min_duration_s: Annotated[float, msgspec.Meta(ge=0)]
    max_duration_s: Annotated[float, msgspec.Meta(gt=0)]
    percentile: Annotated[int, msgspec.Meta(ge=50, le=100)]
    input_pool: Positive
    bootstrap_resamples: Positive
    interval_level: Annotated[float, msgspec.Meta(gt=0, lt=1)]
    niceness: Annotated[int, msgspec.Meta(ge=-20, le=19)]
    attempts: Positive
    rules: Rules

    def __post_init__(self) -> None:
        """Refuse durations that no run could keep.

        Raises:
            ValueError: naming the field.
        """
        if self.min_duration_s > self.max_duration_s:
            raise ValueError(
                f"min_duration_s must lie between 0 and max_duration_s ({self.max_duration_s}), "
                f"got {self.min_duration_s}"
            )

    def with_samples(self, count: int | None) -> Protocol:
        """Return the protocol for so many samples per candidate, whatever they take; itself for None."""
        if count is None:
            return self
        return msgspec.structs.replace(
            self, name=f"{self.name}-{count}-pairs", min_samples=count, min_duration_s=0.0, max_duration_s=3600.0
        )
