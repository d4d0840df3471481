"""Batches ahead of time: worker processes draw the coming iterations while the model computes."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, Dataset

from suite.errors import SuiteError
from suite.training.interrupts import STOP_SIGNALS
from suite.training.processes import Processes
from suite.training.source import Batch, TrainingSource

AHEAD = 4
"""Parts that each worker prepares in advance."""


@dataclass(frozen=True)
class _Parts(Dataset[Batch | SuiteError]):
    """This process's parts of all iterations, numbered from 0."""

    source: TrainingSource
    first_rank: int
    accumulation: int
    parts: int

    def __getitem__(self, number: int) -> Batch | SuiteError:
        iteration, part = divmod(number, self.accumulation)
        try:
            return self.source.batch(iteration, self.first_rank + part, self.parts)
        except SuiteError as error:
            # Returned and not raised: a worker's exception would arrive with its traceback as text.
            return error


def _unchanged(batch: Any) -> Any:
    return batch


def _ignore_stop_requests(worker: int) -> None:
    """Leave stopping to the training process: schedulers signal the workers too, whose death would be its failure."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def batches_of(
    source: TrainingSource, processes: Processes, accumulation: int, iterations: range, workers: int
) -> Iterator[tuple[int, list[Batch]]]:
    """Yield this process's parts of each iteration.

    Args:
        source: the data; its `batch` is pure, so workers change nothing but speed.
        processes: that share every iteration.
        accumulation: parts per process.
        iterations: the iterations still to be done.
        workers: number of worker processes; 0 draws when asked.

    Raises:
        SuiteError: of the source, for bad or absent data.
    """
    parts = _Parts(source, processes.rank * accumulation, accumulation, processes.count * accumulation)
    numbers = range(iterations.start * accumulation, iterations.stop * accumulation)
    drawn: Iterator[Batch | SuiteError] = (parts[number] for number in numbers)
    if workers:
        loader: DataLoader[Batch | SuiteError] = DataLoader(
            parts,
            batch_size=None,
            sampler=numbers,
            num_workers=workers,
            collate_fn=_unchanged,
            worker_init_fn=_ignore_stop_requests,
            pin_memory=processes.device.type == "cuda",
            prefetch_factor=AHEAD,
            persistent_workers=True,
        )
        drawn = iter(loader)
    for iteration in iterations:
        found: list[Batch] = []
        for _ in range(accumulation):
            batch = next(drawn)
            if isinstance(batch, SuiteError):
                raise batch
            found.append(batch)
        yield iteration, found
