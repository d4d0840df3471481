"""The latency ratio of two models timed in the same rounds of one run, from the raw samples of the records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suite.records.difference import RatioInterval, ratio_of_medians
from suite.records.schema import Run, Series
from suite.report.counterparts import is_primary, masks_span
from suite.report.evidence import Evidence
from suite.report.select import LATENCY_KEYS, Cell, select_cells

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
        cells: the CPU latencies of numerator and denominator in the run that the ratio is of.
    """

    value: float
    low: float
    high: float
    cpu: str
    cells: tuple[Cell, ...]


def short_cpu(cpu: str) -> str:
    """Return a processor's name without its family numbers."""
    return cpu.split(" (family")[0].strip()


@dataclass(frozen=True)
class Clock:
    """What was timed: a model, what the clock covered, and the input shape."""

    model: str
    span: str
    height_px: int
    width_px: int


def _is_usable(series: Series, span: str) -> bool:
    fields = series.protocol
    counts = bool(series.rows) and fields.get("valid") is not False
    return counts and fields.get("span") == span and "key_frame_interval" not in fields


def _makes_masks(series: Series) -> bool:
    """Whether a series times a model up to its masks on a host, at its primary shape."""
    fields, model = series.protocol, series.subject.model
    if fields.get("device") != "host":
        return False
    return _is_usable(series, masks_span(model)) and is_primary(model, fields.get("height_px"), fields.get("width_px"))


def cpu_rounds(series: Series) -> NDArray[np.float64]:
    """Return CPU milliseconds, shape (rounds, samples per round); all rounds are cut to the shortest one."""
    number, value = series.columns.index("round"), series.columns.index("cpu_ms")
    by_round: dict[object, list[float]] = {}
    for row in series.rows:
        by_round.setdefault(row[number], []).append(float(row[value] or 0))
    shortest = min(map(len, by_round.values()), default=0)
    return np.array([by_round[key][:shortest] for key in sorted(by_round, key=str)], dtype=np.float64)


def _latest_pair(evidence: Evidence, numerator: str, denominator: str) -> tuple[Run, Series, Series] | None:
    by_run: dict[tuple[str, object], dict[str, tuple[Run, Series]]] = {}
    for run, series in evidence.series("latency_samples"):
        if _makes_masks(series):
            # A model timed at several input shapes lists its primary one first.
            by_run.setdefault((run.run_id, series.protocol.get("runtime")), {}).setdefault(
                series.subject.model, (run, series)
            )
    newest = sorted(by_run, key=lambda key: key[1] == MAIN_ENGINE)
    for models in (by_run[key] for key in reversed(newest)):
        if numerator in models and denominator in models:
            return models[numerator][0], models[numerator][1], models[denominator][1]
    return None


def _timed_cell(evidence: Evidence, run: Run, series: Series) -> Cell | None:
    """Return the CPU latency that a run states for a series, whatever newer runs say of the same model."""
    files = [file for file in evidence.runs if file.run.run_id == run.run_id]
    for cell in select_cells(files)[0]:
        same = all(cell.get(key) == series.protocol.get(key) for key in LATENCY_KEYS)
        if cell.metric == "latency_cpu_ms" and cell.model == series.subject.model and same:
            return cell
    return None


def host_ratio(evidence: Evidence, numerator: str, denominator: str) -> HostRatio | None:
    """Return the ratio of the latest run that timed both up to their masks validly, or None where no run did.

    Args:
        evidence: claims and records.
        numerator: model name.
        denominator: model name.
    """
    pair = _latest_pair(evidence, numerator, denominator)
    if pair is None:
        return None
    run, above, below = pair
    first, second = cpu_rounds(above), cpu_rounds(below)
    if first.shape != second.shape:
        return None
    ratio = ratio_of_medians(first, second, LEVEL, RESAMPLES, SEED)
    cells = tuple(_timed_cell(evidence, run, series) for series in (above, below))
    return HostRatio(
        ratio.value, ratio.low, ratio.high, short_cpu(run.machine.cpu), tuple(cell for cell in cells if cell)
    )


def clocked(evidence: Evidence, engine: str) -> dict[str, dict[Clock, Series]]:
    """Return the valid image timings of every run on the host, oldest run first.

    Args:
        evidence: claims and records.
        engine: the runtime of the networks.
    """
    runs: dict[str, dict[Clock, Series]] = {}
    for run, series in evidence.series("latency_samples"):
        fields = series.protocol
        height, width = fields.get("height_px"), fields.get("width_px")
        if fields.get("runtime") != engine or not isinstance(height, int) or not isinstance(width, int):
            continue
        if fields.get("device") == "host" and _is_usable(series, str(fields.get("span"))):
            clock = Clock(series.subject.model, str(fields.get("span")), height, width)
            runs.setdefault(run.run_id, {})[clock] = series
    return runs


def clock_ratio(runs: dict[str, dict[Clock, Series]], above: Clock, below: Clock) -> RatioInterval | None:
    """Return the CPU-time ratio of two clocks in the latest run that has both, or None where no run has.

    Args:
        runs: as `clocked` returns them.
        above: the numerator.
        below: the denominator.
    """
    for series in reversed(list(runs.values())):
        if above in series and below in series:
            first, second = cpu_rounds(series[above]), cpu_rounds(series[below])
            if first.shape == second.shape:
                return ratio_of_medians(first, second, LEVEL, RESAMPLES, SEED)
    return None
