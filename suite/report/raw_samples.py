"""Raw numbers behind measurements: bootstrap draws of an AP and timing samples by round, looked up in their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from suite.accuracy.record_lines import DRAWS
from suite.records.difference import Draws, Number
from suite.records.schema import Scalar, Series
from suite.records.store import RunFile
from suite.report.select import LATENCY_KEYS, Cell, Sample

TIMING_COLUMNS = {"latency_cpu_ms": "cpu_ms", "latency_wall_ms": "wall_ms"}


def _holds(series: Series, wanted: Mapping[str, Scalar]) -> bool:
    return all(series.protocol.get(key) == value for key, value in wanted.items())


class RawSamples:
    """The series of some runs.

    Args:
        runs: complete runs.
    """

    def __init__(self, runs: Sequence[RunFile]) -> None:
        self._series = {file.run.run_id: file.series for file in runs}

    def _of(self, sample: Sample, name: str) -> list[Series]:
        subject = sample.measurement.subject
        return [
            series
            for series in self._series.get(sample.run.run_id, ())
            if series.name == name and series.subject == subject
        ]

    def draws(self, sample: Sample) -> Draws | None:
        """Return the bootstrap draws of an AP, or None where its record holds none."""
        item = sample.measurement
        for series in self._of(sample, DRAWS):
            if series.columns == [item.metric] and series.dataset == item.dataset and _holds(series, item.protocol):
                seed = series.protocol.get("draw_seed")
                units = "videos" if item.metric.startswith("video_") else "images"
                values = np.array([float(row[0] or 0) for row in series.rows], dtype=np.float64)
                return Draws(values, seed if isinstance(seed, int) else None, units)
        return None

    def rounds(self, sample: Sample) -> NDArray[np.float64] | None:
        """Return milliseconds of a latency, shape (rounds, samples per round), or None where there are none."""
        item = sample.measurement
        column = TIMING_COLUMNS.get(item.metric)
        if column is None:
            return None
        wanted = {key: item.protocol.get(key) for key in LATENCY_KEYS}
        for series in self._of(sample, "latency_samples"):
            if _holds(series, wanted) and {"round", column} <= set(series.columns):
                number, value = series.columns.index("round"), series.columns.index(column)
                by_round: dict[object, list[float]] = {}
                for row in series.rows:
                    by_round.setdefault(row[number], []).append(float(row[value] or 0))
                shortest = min(map(len, by_round.values()), default=0)
                if shortest:
                    return np.array([values[:shortest] for values in by_round.values()], dtype=np.float64)
        return None

    def numbers(self, cell: Cell) -> list[Number]:
        """Return a cell's samples, oldest first, with the noise on record of each."""
        return [
            Number(
                sample.value,
                sample.seed,
                sample.measurement.interval,
                self.draws(sample),
                self.rounds(sample),
                sample.run.run_id,
            )
            for sample in sorted(cell.samples, key=lambda item: item.run.started_utc)
        ]
