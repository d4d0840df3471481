"""Batches from files, a pure function of recipe, seed, iteration and part; and workers that draw them ahead."""

from __future__ import annotations

import functools
import math
import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from suite.datasets.categories import Categories
from suite.datasets.coco import CocoDataset
from suite.datasets.inputs import RealInput
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.distributed import Processes
from suite.errors import InputError, SuiteError
from suite.progress import say
from suite.records import schema
from suite.seeds import derive_seed
from suite.training.data.pictures import common_canvas, place
from suite.training.data.pools import Pool
from suite.training.data.views import View
from suite.training.evaluation import Evaluation
from suite.training.recipe import Recipe
from suite.training.source import Batch, TrainingSource
from suite.training.state import STOP_SIGNALS

Shown = tuple[Pool, View]
AHEAD = 4
"""Parts that each worker prepares in advance."""
SHARED_MEMORY = Path("/dev/shm")


@functools.lru_cache(maxsize=4)
def order_of_epoch(seed: int, epoch: int, standing: bytes, group: int) -> NDArray[np.int64]:
    """Return the order in which one epoch goes through the units, so that an iteration's are shaped alike.

    Pictures of an iteration share one padded size: lying and standing ones together would be padded to a square. As in
    detectron2, on which SparseInst builds, they come in groups of one orientation; what fills no group comes first, to
    fill the iteration that the epoch before began, and last.

    Args:
        seed: base seed.
        epoch: from 0.
        standing: one byte a unit, 1 where it is higher than wide.
        group: units of an iteration; 1 orders by chance alone.

    Returns:
        (len(standing),) a permutation.
    """
    generator = np.random.default_rng(derive_seed(seed, f"training/epoch {epoch}"))
    order = generator.permutation(len(standing))
    if group == 1:
        return order
    tall = np.frombuffer(standing, np.bool_)[order]
    groups: list[NDArray[np.int64]] = []
    rest: list[int] = []
    for alike in (order[tall], order[~tall]):
        filled = len(alike) // group * group
        groups += list(alike[:filled].reshape(-1, group))
        rest += alike[filled:].tolist()
    groups = [groups[place] for place in generator.permutation(len(groups))]
    begun = -epoch * len(order) % group
    while groups and len(rest) < begun:
        rest += groups.pop().tolist()
    return np.concatenate([np.array(rest[:begun], np.int64), *groups, np.array(rest[begun:], np.int64)])


def units_before(recipe: Recipe, iteration: int) -> int:
    """Return how many units all earlier iterations drew; one on pairs draws half as many as one on pictures."""
    stage = math.ceil(recipe.image_stage_fraction * recipe.iterations) if recipe.query_passing else iteration
    singles = min(iteration, stage)
    return singles * recipe.batch_size + (iteration - singles) * (recipe.batch_size // 2)


def record_dataset(found: RealInput, images: int | None = None, videos: int | None = None) -> schema.Dataset:
    """Return the identity of an input for records."""
    return schema.Dataset(found.name, found.split, found.digest, found.pinned, images=images, videos=videos)


def with_classes(recipe: Recipe, categories: Categories) -> Recipe:
    """Return a recipe whose model has as many classes as the data have categories; says so where that changes it."""
    if recipe.config().num_classes == len(categories):
        return recipe
    few = ", ".join(categories.names[:6]) + (", ..." if len(categories) > 6 else "")
    say(f"{recipe.model} gets {len(categories)} classes, the categories of the annotations: {few}")
    return msgspec.structs.replace(recipe, num_classes=len(categories))


@dataclass(frozen=True)
class FileSource(TrainingSource):
    """Training data read from files, one batch at a time.

    Attributes:
        pool: pictures or videos that an epoch goes through.
        joint: pictures that are mixed in as pairs, or None.
        scored: ground truth that is scored during training, or None.
    """

    pool: Pool
    joint: Pool | None = None
    scored: RealInput | None = None

    @property
    def size(self) -> int:
        """Pictures or videos in one epoch."""
        return self.pool.size

    def evaluation(self, folder: Path) -> Evaluation | None:
        """Return the evaluation during training, or None where nothing can be scored."""
        if self.scored is None:
            return None
        task, annotations, images = self.scored.task, self.scored.annotations, self.scored.images
        among = self.scored.part.video_ids if self.scored.part else None
        kind = CocoDataset if task == "coco" else YoutubeVisDataset
        count = self.recipe.evaluation_images
        return Evaluation.of(kind, annotations, images, folder, count, self.categories, among)

    def _shown(self, iteration: int, slot: int) -> tuple[Shown, ...]:
        """Return the views of one slot: one, or the two of a pair."""
        generator = np.random.default_rng(derive_seed(self.seed, f"training/iteration {iteration} slot {slot}"))
        epoch, rank = divmod(units_before(self.recipe, iteration) + slot, self.pool.size)
        group = 1 if self.recipe.query_passing else self.recipe.batch_size
        pool, unit = self.pool, int(order_of_epoch(self.seed, epoch, self.pool.standing, group)[rank])
        if not self.recipe.trains_on_pairs(iteration):
            return ((pool, pool.single(self.recipe, unit, generator)),)
        if self.joint is not None and generator.random() < self.recipe.joint_share:
            pool, unit = self.joint, int(generator.integers(self.joint.size))
        first, later = pool.pair(self.recipe, unit, generator)
        return (pool, first), (pool, later)

    def batch(self, iteration: int, rank: int, world_size: int) -> Batch:
        """Return one part of an iteration.

        The padded size is that of the whole iteration, so that the parts together are the undivided batch.

        Raises:
            DataError: if a file is absent.
            InputError: if a file is no image or not of the annotated size, or the batch cannot be dealt out.
        """
        whole = [self._shown(iteration, slot) for slot in self.recipe.slots(iteration, 0, 1)]
        divisor = self.recipe.config().size_divisor_px
        canvas = common_canvas([view for shown in whole for _, view in shown], divisor)
        own = [whole[slot] for slot in self.recipe.slots(iteration, rank, world_size)]
        return _compose([shown[frame] for frame in range(len(own[0])) for shown in own], canvas)


def _compose(shown: Sequence[Shown], canvas: tuple[int, int]) -> Batch:
    pictures = [pool.table.read(view) for pool, view in shown]
    return Batch(
        images=place(pictures, canvas),
        targets=[pool.table.targets(view, canvas) for pool, view in shown],
        valid_size=torch.tensor([[view.height, view.width] for _, view in shown]),
        image_ids=tuple(pool.table.ids[view.picture] for pool, view in shown),
    )


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


def _require_shared_memory(part: Batch | SuiteError, workers: int) -> None:
    """Refuse workers whose batches do not fit into the shared memory: they would wait for ever."""
    if isinstance(part, SuiteError) or not SHARED_MEMORY.is_dir():
        return
    tensors = [part.images, *(item for target in part.targets for item in target if item is not None)]
    needed = sum(item.numel() * item.element_size() for item in tensors) * workers * AHEAD
    free = shutil.disk_usage(SHARED_MEMORY).free
    if free < needed:
        raise InputError(
            f"--workers {workers}: needs {needed >> 20} MiB in {SHARED_MEMORY}, which has {free >> 20} MiB free; take "
            "fewer workers or --workers 0, or enlarge it (Docker: --shm-size)"
        )


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
        SuiteError: of the source, for bad or absent data, or if the shared memory is too small for the workers.
    """
    parts = _Parts(source, processes.rank * accumulation, accumulation, processes.count * accumulation)
    numbers = range(iterations.start * accumulation, iterations.stop * accumulation)
    drawn: Iterator[Batch | SuiteError] = (parts[number] for number in numbers)
    if workers and numbers:
        _require_shared_memory(parts[numbers.start], workers)
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
