"""What the report must know of a model by its name: its published row, its masks and input, and its raw timings.

Ratios are of CPU time, of models timed in the same rounds of one run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from suite.models import ModelEntry, discover
from suite.records.cells import Cell
from suite.records.difference import LEVEL, RESAMPLES, RatioInterval, ratio_of_medians, rounds_of
from suite.records.schema import Run, Series
from suite.records.store import RunFile

MAIN_ENGINE = "onnxruntime"
"""Ratios of this engine are preferred where several engines timed the same models."""


@lru_cache(maxsize=1)
def entries() -> Mapping[str, ModelEntry]:
    """Return every model of the suite by name."""
    return discover()


def display_name(model: str) -> str:
    """Return a model's name for readers; that of one which the suite does not know as it is."""
    entry = entries().get(model)
    return model if entry is None else entry.title


def masks_span(model: str) -> str:
    """Return the span in which a model's masks are made: what methods can be compared in.

    It is the network, except where a method's network stops before the masks.
    """
    entry = entries().get(model)
    return "network" if entry is None else entry.masks_span


def is_primary(cell: Cell) -> bool:
    """Tell whether a cell's input is its model's primary one; any is for a model that the suite does not know."""
    entry = entries().get(cell.model)
    return entry is None or (cell.get("height_px"), cell.get("width_px")) == entry.input_shapes[0]


class Clock(NamedTuple):
    """What was timed: a model, what the clock covered, and the input shape."""

    model: str
    span: str
    height_px: int
    width_px: int

    @property
    def size(self) -> str:
        """Input size, e.g. ``"640x864"``."""
        return f"{self.height_px}x{self.width_px}"


def masks_clock(model: str) -> Clock:
    """Return the clock of a model of the suite at its primary input size, up to its masks."""
    return Clock(model, masks_span(model), *entries()[model].input_shapes[0])


class HostRatio(NamedTuple):
    """A ratio of two medians of CPU time, its interval (timing noise of the run, nothing else), and the run of both."""

    interval: RatioInterval
    run: Run


Timed = dict[Clock, tuple[Run, Series]]
"""What one run timed: clock -> the run and its samples."""


class Timings:
    """The valid image timings of the host in some runs, given oldest first; every ratio is computed once."""

    def __init__(self, runs: Sequence[RunFile]) -> None:
        self.clocked: defaultdict[str, list[Timed]] = defaultdict(list, {MAIN_ENGINE: []})
        """Engine -> what each run timed of the networks that this engine ran, the oldest run first."""
        self.between = cache(self._between)
        """(engine, clock, other clock) -> the one's CPU time over the other's in the engine's latest run that has both
        with the same number of samples, else None."""
        for file in runs:
            of_run: dict[str, Timed] = {}
            for series in file.series:
                fields = series.protocol
                valid = bool(series.rows) and fields.get("valid") is not False and fields.get("device") == "host"
                height, width = fields.get("height_px"), fields.get("width_px")
                of_image = series.name == "latency_samples" and "key_frame_interval" not in fields
                if valid and of_image and isinstance(height, int) and isinstance(width, int):
                    clock = Clock(series.subject.model, str(fields.get("span")), height, width)
                    of_run.setdefault(str(fields.get("runtime")), {})[clock] = (file.run, series)
            for engine, timed in of_run.items():
                self.clocked[engine].append(timed)

    def _between(self, engine: str, above: Clock, below: Clock) -> HostRatio | None:
        for timed in reversed(self.clocked[engine]):
            if above in timed and below in timed:
                (run, first), (_, second) = timed[above], timed[below]
                rounds = rounds_of(first), rounds_of(second)
                if rounds[0].shape == rounds[1].shape:
                    return HostRatio(ratio_of_medians(*rounds, LEVEL, RESAMPLES, seed=0), run)
        return None

    def ratio(self, numerator: str, denominator: str) -> HostRatio | None:
        """Return the ratio of the latest run that timed both models up to their masks, or None where no run did.

        The main engine's runs come before others'.
        """
        above, below = masks_clock(numerator), masks_clock(denominator)
        return next(filter(None, (self.between(engine, above, below) for engine in list(self.clocked))), None)
