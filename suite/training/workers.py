"""Parts of iterations drawn one after the other, or ahead by worker processes.

Nothing here waits for a worker without a time-out: one whose disk does not answer would hold up the training for ever,
and a request to stop with it. Batches come through pipes, since shared memory is small in containers.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import active_children, get_context

import numpy as np
import torch
from numpy.typing import NDArray

from suite.distributed import Processes
from suite.errors import DataError, InputError, SuiteError
from suite.files import disk_faults
from suite.signals import STOP_SIGNALS
from suite.training.data.batches import FileSource
from suite.training.parts import Batch

AHEAD = 4
"""Parts that each worker prepares in advance."""
POLL_S = 1.0
PATIENCE_S = 300.0
"""How long no worker may deliver anything."""

Drawn = Batch | SuiteError


@dataclass(frozen=True)
class Parts:
    """This process's parts of all iterations, numbered from 0."""

    source: FileSource
    first_rank: int
    accumulation: int
    parts: int

    def __getitem__(self, number: int) -> Drawn:
        iteration, part = divmod(number, self.accumulation)
        try:
            return self.source.batch(iteration, self.first_rank + part, self.parts)
        except SuiteError as error:
            return error  # and not raised: a worker's exception would arrive with its traceback as text


_parts: list[Parts] = []
"""What a worker process draws from."""


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_S)
    os._exit(1)


def _begin_worker(parts: Parts) -> None:
    """Leave stopping to the training process, whose failure the death of a worker would be; end when it is killed."""
    _parts.append(parts)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(1)  # OpenMP's threads are not forked
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _drawn_by_worker(number: int) -> bytes:
    """Draw as bytes, or torch would send tensors through shared memory; it is also slow at pickling large ones."""
    drawn = _parts[0][number]
    if not isinstance(drawn, Batch):
        return pickle.dumps(drawn)
    return pickle.dumps((drawn.images.permute(0, 2, 3, 1).numpy(), replace(drawn, images=torch.empty(0))))


def _received(content: bytes) -> Drawn:
    """Return what `_drawn_by_worker` has sent."""
    sent: SuiteError | tuple[NDArray[np.float32], Batch] = pickle.loads(content)
    if isinstance(sent, SuiteError):
        return sent
    pixels, drawn = sent
    return replace(drawn, images=torch.from_numpy(pixels).permute(0, 3, 1, 2))


class Workers:
    """Processes that draw parts in order and ahead.

    Args:
        parts: to draw.
        numbers: which of them.
        count: number of processes; DiskError if the system has no place for their semaphores.
    """

    def __init__(self, parts: Parts, numbers: range, count: int) -> None:
        self.count = count
        # Forked, so that the workers share the annotations with this process.
        with disk_faults(f"--workers {count}: their semaphores in /dev/shm (--workers 0 needs none)"):
            self.pool = ProcessPoolExecutor(count, get_context("fork"), _begin_worker, (parts,))
        self.begun = (self.pool.submit(_drawn_by_worker, number) for number in numbers)
        self.pending = deque(islice(self.begun, count * AHEAD))

    def draw(self, stop_requested: Callable[[], int]) -> Drawn | None:
        """Return the next part, or None where a request to stop comes while no worker delivers."""
        started = time.monotonic()
        while True:
            try:
                drawn = _received(self.pending[0].result(POLL_S))
            except TimeoutError:
                waited_s = time.monotonic() - started
                if stop_requested():
                    return None
                if waited_s >= PATIENCE_S:
                    return DataError(
                        f"--workers: no worker has delivered a batch for {waited_s:.0f} s; look whether the disk of "
                        "the pictures answers, then run the same command again"
                    )
            except BrokenProcessPool as error:
                return InputError(
                    f"--workers {self.count}: a worker has ended ({error}); its memory may not have been enough, take "
                    "fewer workers or --workers 0"
                )
            else:
                self.pending.popleft()
                self.pending.extend(islice(self.begun, 1))
                return drawn

    def close(self) -> None:
        """End the workers, stuck or not; they ignore what would end them gently."""
        for child in active_children():
            child.kill()
        self.pool.shutdown(cancel_futures=True)


def batches_of(
    source: FileSource,
    processes: Processes,
    accumulation: int,
    iterations: range,
    workers: int,
    stop_requested: Callable[[], int] = lambda: 0,
    before_end: Callable[[], None] = lambda: None,
) -> Generator[tuple[int, list[Batch]], None, None]:
    """Yield this process's parts of each iteration.

    Args:
        source: the data; its `batch` is pure, so workers change nothing but speed.
        processes: that share every iteration.
        accumulation: parts per process.
        iterations: the iterations still to be done.
        workers: number of worker processes; 0 draws when asked.
        stop_requested: tells whether the training was asked to stop.
        before_end: called where one of the processes has no data, e.g. to save the state.

    Yields:
        Iteration and parts; no parts, and then nothing more, where a request to stop came while workers were stuck.

    Raises:
        SuiteError: of the source, for bad or absent data, or if a worker ends or is stuck.
    """
    parts = Parts(source, processes.rank * accumulation, accumulation, processes.count * accumulation)
    numbers = range(iterations.start * accumulation, iterations.stop * accumulation)
    helped = Workers(parts, numbers, workers) if workers and numbers else None
    one_by_one = iter(numbers)
    try:
        for iteration in iterations:
            found = [helped.draw(stop_requested) if helped else parts[next(one_by_one)] for _ in range(accumulation)]
            whole = [part for part in found if isinstance(part, Batch)]
            if processes.maximum(len(whole) < accumulation):
                before_end()
                if not stop_requested():
                    other = DataError("another process has no data to train on; see its message")
                    raise next((part for part in found if isinstance(part, SuiteError)), other)
                yield iteration, []
                return
            yield iteration, whole
    finally:
        if helped:
            helped.close()
