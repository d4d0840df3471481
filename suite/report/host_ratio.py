"""The latency ratio of two models timed in the same rounds of one run, from the raw samples of the records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suite.latency.statistics import ratio_of_medians
from suite.records.schema import Run, Series
from suite.report.evidence import Evidence
from suite.report.select import Cell

MAIN_ENGINE = "onnxruntime"
"""Ratios of this engine are preferred where several engines timed the same models."""

RESAMPLES = 2000
LEVEL = 0.95
SEED = 0


@dataclass(frozen=True)
class HostRatio:
    """CPU time of one model over another's.

    Attributes:
        value: ratio of medians.
        low: lower end of the bootstrap interval over rounds: timing noise of that run, nothing else.
        high: its upper end.
        cpu: the processor.
        cells: the CPU latencies of numerator and denominator.
    """

    value: float
    low: float
    high: float
    cpu: str
    cells: tuple[Cell, ...]


def short_cpu(cpu: str) -> str:
    """Return a processor's name without its family numbers."""
    return cpu.split(" (family")[0].strip()


def _is_network(series: Series) -> bool:
    fields = series.protocol
    return fields.get("span") == "network" and "key_frame_interval" not in fields and fields.get("valid") is not False


def _rounds(series: Series) -> NDArray[np.float64]:
    """Return CPU milliseconds, shape (rounds, samples per round)."""
    number, value = series.columns.index("round"), series.columns.index("cpu_ms")
    by_round: dict[object, list[float]] = {}
    for row in series.rows:
        by_round.setdefault(row[number], []).append(float(row[value] or 0))
    return np.array([by_round[key] for key in sorted(by_round, key=str)], dtype=np.float64)


def _latest_pair(evidence: Evidence, numerator: str, denominator: str) -> tuple[Run, Series, Series] | None:
    by_run: dict[tuple[str, object], dict[str, tuple[Run, Series]]] = {}
    for run, series in evidence.series("latency_samples"):
        if _is_network(series):
            # A model timed at several input shapes lists its primary one first.
            by_run.setdefault((run.run_id, series.protocol.get("runtime")), {}).setdefault(
                series.subject.model, (run, series)
            )
    newest = sorted(by_run, key=lambda key: key[1] == MAIN_ENGINE)
    for models in (by_run[key] for key in reversed(newest)):
        if numerator in models and denominator in models:
            return models[numerator][0], models[numerator][1], models[denominator][1]
    return None


def host_ratio(evidence: Evidence, numerator: str, denominator: str) -> HostRatio | None:
    """Return the ratio of the latest run that timed both networks validly, or None where no run did.

    Args:
        evidence: claims and records.
        numerator: model name.
        denominator: model name.
    """
    pair = _latest_pair(evidence, numerator, denominator)
    if pair is None:
        return None
    run, above, below = pair
    first, second = _rounds(above), _rounds(below)
    if first.shape != second.shape:
        return None
    ratio = ratio_of_medians(first, second, LEVEL, RESAMPLES, SEED)
    cells = tuple(
        cell
        for name in (numerator, denominator)
        for cell in evidence.find(
            "latency_cpu_ms",
            name,
            {"span": "network", "key_frame_interval": None, "runtime": above.protocol.get("runtime")},
        )[-1:]
    )
    return HostRatio(ratio.value, ratio.low, ratio.high, short_cpu(run.machine.cpu), cells)
