"""Parts of iterations drawn one after the other, or ahead by worker processes or threads.

Nothing here waits for a worker without a time-out: one whose disk does not answer would hold up the training for ever,
and a request to stop with it.
"""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
import signal
import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import islice
from multiprocessing.pool import ThreadPool
from pathlib import Path

from torch.utils.data import DataLoader, Dataset

from suite.distributed import Processes
from suite.errors import DataError, InputError, SuiteError
from suite.progress import say
from suite.training.batch import Batch
from suite.training.data.batches import FileSource
from suite.training.state import STOP_SIGNALS

AHEAD = 4
"""Parts that each worker prepares in advance."""
SHARED_MEMORY = Path("/dev/shm")
SIZES_DIFFER = 2
"""Later batches may have larger pictures than the first, whose size is measured."""
POLL_S = 1.0
PATIENCE_S = 300.0
"""How long no worker may deliver anything."""

Drawn = Batch | SuiteError
Draw = Callable[[], Drawn]
"""Returns the next part, or raises TimeoutError after `POLL_S`."""
Close = Callable[[], None]
"""Ends the workers, stuck or not."""


@dataclass(frozen=True)
class Parts(Dataset[Drawn]):
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
            # Returned and not raised: a worker's exception would arrive with its traceback as text.
            return error


def _ignore_stop_requests(worker: int) -> None:
    """Leave stopping to the training process: schedulers signal the workers too, whose death would be its failure."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _has_room(part: Drawn, workers: int) -> bool:
    """Tell whether the batches of worker processes fit into the shared memory; say what they need where not."""
    if isinstance(part, SuiteError) or not SHARED_MEMORY.is_dir():
        return True
    needed = len(pickle.dumps(part)) * workers * AHEAD * SIZES_DIFFER
    free = shutil.disk_usage(SHARED_MEMORY).free
    if free < needed:
        say(
            f"--workers {workers}: processes need {needed >> 20} MiB in {SHARED_MEMORY}, which has {free >> 20} MiB "
            "free; threads are taken instead, which are slower (enlarge it for processes, Docker: --shm-size)"
        )
    return free >= needed


def _by_processes(parts: Parts, numbers: range, workers: int, pinned: bool) -> tuple[Draw, Close]:
    loader: DataLoader[Drawn] = DataLoader(
        parts,
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        collate_fn=lambda part: part,
        worker_init_fn=_ignore_stop_requests,
        pin_memory=pinned,
        prefetch_factor=AHEAD,
        timeout=POLL_S,
    )
    drawn = iter(loader)
    # PyTorch would raise an exception anywhere in the training the moment a worker dies; `next` notices it soon enough.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def draw() -> Drawn:
        try:
            part: Drawn = next(drawn)
            return part
        except RuntimeError as error:
            if "timed out" in str(error):
                raise TimeoutError from None
            return InputError(
                f"--workers {workers}: a worker has ended ({error}); its memory may not have been enough, take fewer "
                "workers or --workers 0"
            )

    def close() -> None:
        for child in multiprocessing.active_children():  # they ignore what would end them gently
            child.kill()

    return draw, close


def _by_threads(parts: Parts, numbers: range, workers: int, pinned: bool) -> tuple[Draw, Close]:
    pool = ThreadPool(workers)
    begun = (pool.apply_async(parts.__getitem__, (number,)) for number in numbers)
    pending = deque(islice(begun, workers * AHEAD))

    def draw() -> Drawn:
        pending[0].wait(POLL_S)
        if not pending[0].ready():
            raise TimeoutError
        part = pending.popleft().get()
        pending.extend(islice(begun, 1))
        return part.pin_memory() if pinned and isinstance(part, Batch) else part

    return draw, pool.terminate


def _patiently(draw: Draw, stop_requested: Callable[[], int]) -> Drawn | None:
    """Return the next part, or None where a request to stop comes while nothing does."""
    started = time.monotonic()
    while True:
        try:
            return draw()
        except TimeoutError:
            waited_s = time.monotonic() - started
            if stop_requested():
                return None
            if waited_s >= PATIENCE_S:
                return DataError(
                    f"--workers: no worker has delivered a batch for {waited_s:.0f} s; look whether the disk of the "
                    "pictures answers, then run the same command again"
                )


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
        workers: number of worker processes, or threads where the shared memory is too small; 0 draws when asked.
        stop_requested: tells whether the training was asked to stop.
        before_end: called where one of the processes has no data, e.g. to save the state.

    Yields:
        Iteration and parts; no parts, and then nothing more, where a request to stop came while workers were stuck.

    Raises:
        SuiteError: of the source, for bad or absent data, or if a worker ends or is stuck.
    """
    parts = Parts(source, processes.rank * accumulation, accumulation, processes.count * accumulation)
    numbers = range(iterations.start * accumulation, iterations.stop * accumulation)
    one_by_one = iter(numbers)
    draw: Draw = lambda: parts[next(one_by_one)]  # noqa: E731
    close: Close = lambda: None  # noqa: E731
    if workers and numbers:
        by = _by_processes if _has_room(parts[numbers.start], workers) else _by_threads
        draw, close = by(parts, numbers, workers, processes.device.type == "cuda")
    try:
        for iteration in iterations:
            found = [_patiently(draw, stop_requested) for _ in range(accumulation)]
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
        close()
