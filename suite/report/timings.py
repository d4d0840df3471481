"""Raw timing samples of the records, and CPU-time ratios of models timed in the same rounds of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suite.records.difference import LEVEL, RESAMPLES, RatioInterval, ratio_of_medians
from suite.records.schema import Run, Series
from suite.records.store import RunFile
from suite.report.cells import LATENCY_KEYS, Cell, select_cells
from suite.report.models import entries, masks_span

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


class Clock(NamedTuple):
    """What was timed: a model, what the clock covered, and the input shape."""

    model: str
    span: str
    height_px: int
    width_px: int


@dataclass(frozen=True)
class HostRatio:
    """CPU time of one clock over another's, both of one run.

    Attributes:
        interval: ratio of medians with its bootstrap interval over rounds: timing noise of that run, nothing else.
        cpu: the processor.
        cells: the CPU latencies of numerator and denominator in the run that the ratio is of.
    """

    interval: RatioInterval
    cpu: str
    cells: tuple[Cell, ...]


Timed = dict[Clock, tuple[Run, Series]]
"""What one run timed: clock -> the run and its samples."""


class Timings:
    """The valid image timings of the host in some runs; every ratio is computed once.

    Args:
        runs: complete runs, oldest first.
    """

    def __init__(self, runs: Sequence[RunFile]) -> None:
        self._runs = runs
        self._between: dict[tuple[str, Clock, Clock], HostRatio | None] = {}
        self._of_run: dict[str, list[Cell]] = {}

    @cached_property
    def _by_engine(self) -> dict[str, list[Timed]]:
        """Engine -> what its runs timed, the oldest first; the main engine comes first."""
        found: dict[str, dict[str, Timed]] = {MAIN_ENGINE: {}}
        for file in self._runs:
            for series in file.series:
                fields = series.protocol
                valid = bool(series.rows) and fields.get("valid") is not False and fields.get("device") == "host"
                height, width = fields.get("height_px"), fields.get("width_px")
                if series.name != "latency_samples" or not valid or "key_frame_interval" in fields:
                    continue
                if isinstance(height, int) and isinstance(width, int):
                    clock = Clock(series.subject.model, str(fields.get("span")), height, width)
                    runs = found.setdefault(str(fields.get("runtime")), {})
                    runs.setdefault(file.run.run_id, {})[clock] = (file.run, series)
        return {engine: list(runs.values()) for engine, runs in found.items()}

    def clocked(self, engine: str) -> list[Timed]:
        """Return what each run timed of the networks that this engine ran, the oldest run first."""
        return self._by_engine.get(engine, [])

    def between(self, engine: str, above: Clock, below: Clock) -> HostRatio | None:
        """Return the CPU-time ratio of two clocks in the latest run that has both, or None where no run has.

        Args:
            engine: the runtime of both networks.
            above: the numerator.
            below: the denominator.
        """
        key = (engine, above, below)
        if key not in self._between:
            both = [timed for timed in self.clocked(engine) if above in timed and below in timed]
            found = (self._ratio(timed[above], timed[below]) for timed in reversed(both))
            self._between[key] = next((ratio for ratio in found if ratio is not None), None)
        return self._between[key]

    def ratio(self, numerator: str, denominator: str) -> HostRatio | None:
        """Return the ratio of the latest run that timed both models up to their masks, or None where no run did.

        The main engine's runs come before others'.
        """
        above, below = (
            Clock(model, masks_span(model), *entries()[model].input_shapes[0]) for model in (numerator, denominator)
        )
        found = (self.between(engine, above, below) for engine in self._by_engine)
        return next((ratio for ratio in found if ratio is not None), None)

    def _ratio(self, above: tuple[Run, Series], below: tuple[Run, Series]) -> HostRatio | None:
        """Return the ratio of two series of one run, or None where their numbers of samples differ."""
        first, second = rounds_of(above[1]), rounds_of(below[1])
        if first.shape != second.shape:
            return None
        cells = tuple(cell for timed in (above, below) if (cell := self._cell(*timed)) is not None)
        interval = ratio_of_medians(first, second, LEVEL, RESAMPLES, SEED)
        return HostRatio(interval, short_cpu(above[0].machine.cpu), cells)

    def _cell(self, run: Run, series: Series) -> Cell | None:
        """Return the CPU latency that a run states for a series, whatever newer runs say of the same model."""
        wanted = {key: series.protocol.get(key) for key in LATENCY_KEYS}
        if run.run_id not in self._of_run:
            self._of_run[run.run_id] = select_cells([file for file in self._runs if file.run.run_id == run.run_id])[0]
        for cell in self._of_run[run.run_id]:
            if cell.metric == "latency_cpu_ms" and cell.model == series.subject.model and cell.has(wanted):
                return cell
        return None
