"""From raw timings to judged results with ratios: the same for this machine, a phone and a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from suite.latency.job import Labels
from suite.latency.protocol import Protocol
from suite.latency.report import SpanResult
from suite.latency.statistics import nearest_rank
from suite.latency.timer import Timings
from suite.latency.validity import Problem, cpu_ms, judge, wall_ms
from suite.records.difference import ratio_of_medians
from suite.seeds import derive_seed

MASK_SPANS = ("network", "with_masks")


@dataclass(frozen=True)
class Observed:
    """What is known of one candidate after a run.

    Attributes:
        labels: what its times are the times of.
        timing: its samples.
        problems: rules that the run is known to have broken, besides what the samples tell.
        engine: engine, version and settings.
    """

    labels: Labels
    timing: Timings
    problems: Sequence[Problem]
    engine: Mapping[str, str]


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


def judged_results(observed: Sequence[Observed], elapsed_s: float, protocol: Protocol) -> list[SpanResult]:
    """Apply the rules to every candidate and compare it with its anchor.

    Args:
        observed: the candidates; the first is the anchor whose drift is watched.
        elapsed_s: seconds of timed rounds.
        protocol: counts, thresholds and how intervals are made.
    """
    labels = [item.labels for item in observed]
    timings = [item.timing for item in observed]
    results = []
    for index, item in enumerate(observed):
        anchor = anchor_index(labels, index)
        ratios = {}
        for clock, times in (("cpu", cpu_ms), ("wall", wall_ms)):
            ratios[clock] = ratio_of_medians(
                times(item.timing),
                times(timings[anchor]),
                protocol.interval_level,
                protocol.bootstrap_resamples,
                derive_seed(0, f"latency/{item.labels.title}/{labels[anchor].title}/{clock}"),
            )
        wall, cpu = wall_ms(item.timing), cpu_ms(item.timing)
        results.append(
            SpanResult(
                labels=item.labels,
                verdict=judge(item.timing, timings[0], elapsed_s, protocol, item.problems),
                samples=wall.size,
                wall_median_ms=float(np.median(wall)),
                wall_tail_ms=nearest_rank(wall, protocol.percentile),
                cpu_median_ms=float(np.median(cpu)),
                anchor=labels[anchor].title,
                ratio_cpu=ratios["cpu"],
                ratio_wall=ratios["wall"],
                engine=dict(item.engine),
                positions=item.timing.positions,
                wall_ms=tuple(map(tuple, wall.tolist())),
                cpu_ms=tuple(map(tuple, cpu.tolist())),
            )
        )
    return results
