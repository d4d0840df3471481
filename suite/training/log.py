"""The log of a run: a CSV file, and TensorBoard's event files where its package is installed."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from suite.files import disk_faults, write_text
from suite.progress import say

LOG_ROWS = 5000
"""About so many rows has the CSV of a whole run: enough to zoom in, small enough to open anywhere."""


class TrainingLog:
    """Appends one row each few iterations; a resumed run first drops the rows after its iteration.

    A row also ends where `add` is told so, e.g. where a state is saved: continued from there, no iteration is missing.

    Args:
        folder: of the run; holds ``log.csv`` and ``tensorboard/``.
        columns: names of the values, after ``iteration``.
        iterations: of the whole run; a row averages over as many as make about `LOG_ROWS` rows.
        done: iterations already finished.
        tensorboard: whether to write event files, if the package is there.
    """

    def __init__(
        self, folder: Path, columns: Sequence[str], iterations: int, done: int = 0, tensorboard: bool = True
    ) -> None:
        self.path, self.columns = folder / "log.csv", ["iteration", *columns]
        self.interval = max(1, math.ceil(iterations / LOG_ROWS))
        self._sums: dict[str, list[float]] = {}
        kept = []
        if self.path.exists() and done:
            with self.path.open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
            # A kill may have cut the last row short.
            kept = [row for row in rows if (row["iteration"] or "").isdigit() and int(row["iteration"]) <= done]
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        write_text(self.path, text.getvalue())
        self._board = _event_writer(folder / "tensorboard", done) if tensorboard else None

    def add(self, iteration: int, values: Mapping[str, float | None], ends_row: bool = False) -> None:
        """Take in the values of one finished iteration.

        Args:
            iteration: from 1.
            values: by column; None is left out.
            ends_row: whether to write a row now, even if it holds fewer iterations than the interval.
        """
        for name, value in values.items():
            if value is not None:
                self._sums.setdefault(name, []).append(value)
        if iteration % self.interval and not ends_row:
            return
        means = {name: sum(found) / len(found) for name, found in self._sums.items()}
        self._sums = {}
        with disk_faults(str(self.path)), self.path.open("a", newline="", encoding="utf-8") as stream:
            row = {"iteration": iteration, **{name: f"{value:.6g}" for name, value in means.items()}}
            csv.DictWriter(stream, self.columns, extrasaction="ignore", lineterminator="\n").writerow(row)
        if self._board is not None:
            for name, value in means.items():
                self._board.add_scalar(name, value, iteration)

    def close(self) -> None:
        """Write what TensorBoard still holds."""
        if self._board is not None:
            self._board.close()


def _event_writer(folder: Path, done: int) -> Any | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        say("no TensorBoard files: the package tensorboard is not installed; log.csv has the same values")
        return None
    return SummaryWriter(str(folder), purge_step=done + 1 if done else None)
