"""Raw timing samples of the records, and CPU-time ratios of models timed in the same rounds of one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suite.records.difference import LEVEL, RESAMPLES, RatioInterval, ratio_of_medians
from suite.records.schema import Run, Series
from suite.records.store import RunFile
from suite.report.cells import LATENCY_KEYS, Cell, select_cells
from suite.report.models import is_primary, masks_span

MAIN_ENGINE = "onnxruntime"
"""Ratios of this engine are preferred where several engines timed the same models."""
SEED = 0


def short_cpu(cpu: str) -> str:
    """Return a processor's name without its family numbers."""
    return cpu.split(" (family")[0].strip()


def rounds_of(series: Series, column: str = "cpu_ms") -> NDArray[np.float64]:
    """Return milliseconds, shape (rounds, samples per round); all rounds are cut to the shortest one."""
    number, value = series.columns.index("round"), series.columns.index(column)
    by_round: dict[object, list[float]] = {}
    for row in series.rows:
        by_round.setdefault(row[number], []).append(float(row[value] or 0))
    shortest = min(map(len, by_round.values()), default=0)
    return np.array([by_round[key][:shortest] for key in sorted(by_round, key=str)], dtype=np.float64)


@dataclass(frozen=True)
class Clock:
    """What was timed: a model, what the clock covered, and the input shape."""

    model: str
    span: str
    height_px: int
    width_px: int


@dataclass(frozen=True)
class HostRatio:
    """CPU time of one model over another's, both up to their masks.

    Attributes:
        interval: ratio of medians with its bootstrap interval over rounds: timing noise of that run, nothing else.
        cpu: the processor.
        cells: the CPU latencies of numerator and denominator in the run that the ratio is of.
    """

    interval: RatioInterval
    cpu: str
    cells: tuple[Cell, ...]


class Timings:
    """The valid image timings of the host in some runs; every ratio is computed once.

    Args:
        runs: complete runs, oldest first.
    """

    def __init__(self, runs: Sequence[RunFile]) -> None:
        self._runs = runs
        self._ratios: dict[tuple[str, str], HostRatio | None] = {}
        self._clocked: dict[str, dict[str, dict[Clock, Series]]] = {}
        self._between: dict[tuple[str, Clock, Clock], RatioInterval | None] = {}

    def _usable(self) -> Iterator[tuple[Run, Series]]:
        for file in self._runs:
            for series in file.series:
                fields = series.protocol
                valid = bool(series.rows) and fields.get("valid") is not False and fields.get("device") == "host"
                if series.name == "latency_samples" and valid and "key_frame_interval" not in fields:
                    yield file.run, series

    def clocked(self, engine: str) -> dict[str, dict[Clock, Series]]:
        """Return run id -> clock -> samples of the networks that this engine ran, oldest run first."""
        if engine not in self._clocked:
            runs: dict[str, dict[Clock, Series]] = {}
            for run, series in self._usable():
                fields = series.protocol
                height, width = fields.get("height_px"), fields.get("width_px")
                if fields.get("runtime") == engine and isinstance(height, int) and isinstance(width, int):
                    clock = Clock(series.subject.model, str(fields.get("span")), height, width)
                    runs.setdefault(run.run_id, {})[clock] = series
            self._clocked[engine] = runs
        return self._clocked[engine]

    def between(self, engine: str, above: Clock, below: Clock) -> RatioInterval | None:
        """Return the CPU-time ratio of two clocks in the latest run that has both, or None where no run has.

        Args:
            engine: the runtime of both networks.
            above: the numerator.
            below: the denominator.
        """
        key = (engine, above, below)
        if key not in self._between:
            both = [series for series in self.clocked(engine).values() if above in series and below in series]
            found = (_ratio(series[above], series[below]) for series in reversed(both))
            self._between[key] = next((ratio for ratio in found if ratio is not None), None)
        return self._between[key]

    def ratio(self, numerator: str, denominator: str) -> HostRatio | None:
        """Return the ratio of the latest run that timed both models up to their masks, or None where no run did."""
        key = (numerator, denominator)
        if key not in self._ratios:
            self._ratios[key] = self._latest(numerator, denominator)
        return self._ratios[key]

    def _latest(self, numerator: str, denominator: str) -> HostRatio | None:
        by_run: dict[tuple[str, object], dict[str, tuple[Run, Series]]] = {}
        for run, series in self._usable():
            fields, model = series.protocol, series.subject.model
            if fields.get("span") == masks_span(model) and is_primary(
                model, fields.get("height_px"), fields.get("width_px")
            ):
                # A model timed at several input shapes lists its primary one first.
                by_run.setdefault((run.run_id, fields.get("runtime")), {}).setdefault(model, (run, series))
        newest = sorted(by_run, key=lambda key: key[1] == MAIN_ENGINE)
        for models in (by_run[key] for key in reversed(newest)):
            if numerator in models and denominator in models:
                (run, above), (_, below) = models[numerator], models[denominator]
                ratio = _ratio(above, below)
                if ratio is None:
                    return None
                cells = tuple(cell for series in (above, below) if (cell := self._cell(run, series)) is not None)
                return HostRatio(ratio, short_cpu(run.machine.cpu), cells)
        return None

    def _cell(self, run: Run, series: Series) -> Cell | None:
        """Return the CPU latency that a run states for a series, whatever newer runs say of the same model."""
        wanted = {key: series.protocol.get(key) for key in LATENCY_KEYS}
        for cell in select_cells([file for file in self._runs if file.run.run_id == run.run_id])[0]:
            if cell.metric == "latency_cpu_ms" and cell.model == series.subject.model and cell.has(wanted):
                return cell
        return None


def _ratio(above: Series, below: Series) -> RatioInterval | None:
    """Return the ratio of two series of one run, or None where their numbers of samples differ."""
    first, second = rounds_of(above), rounds_of(below)
    return ratio_of_medians(first, second, LEVEL, RESAMPLES, SEED) if first.shape == second.shape else None
