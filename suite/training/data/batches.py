"""Batches from files, a pure function of recipe, seed, iteration and part."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from suite.datasets.categories import Categories
from suite.datasets.inputs import RealInput
from suite.records.schema import Dataset
from suite.seeds import derive_seed
from suite.training.data.pictures import common_canvas, place
from suite.training.data.pools import Pool
from suite.training.data.views import View
from suite.training.parts import Batch
from suite.training.recipe import Recipe

Shown = tuple[Pool, View]


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


@dataclass(frozen=True)
class FileSource:
    """The training data of one recipe and seed, read from files one batch at a time.

    `batch` is a pure function of recipe, seed and its arguments, so that a resumed run needs no sampler state and
    workers may draw any iteration in any order.

    Attributes:
        recipe: how pictures are shown, with as many classes as the data have categories.
        seed: base seed of order and views.
        dataset: what goes on record: name, split, digest and whether it is the pinned one.
        categories: what the classes of the model stand for.
        pool: pictures or videos that an epoch goes through.
        joint: pictures that are mixed in as pairs, or None.
        scored: ground truth that is scored during training, or None.
        identity: what tells all files that are read from others.
    """

    recipe: Recipe
    seed: int
    dataset: Dataset
    categories: Categories
    pool: Pool
    joint: Pool | None = None
    scored: RealInput | None = None
    identity: str = ""

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
        """Return one of the equal parts that an iteration's ``recipe.batch_size`` images are divided into.

        The padded size is that of the whole iteration, so that the parts together are the undivided batch.

        Args:
            iteration: from 0.
            rank: number of the part, from 0.
            world_size: number of parts: processes times accumulation steps. In an iteration on pairs
                (`Recipe.trains_on_pairs`) the pairs are divided: a part holds frames t of its pairs, then t + delta.

        Raises:
            DataError: if a file is absent.
            InputError: if a file is no image or not of the annotated size, or the batch cannot be dealt out.
        """
        whole = [self._shown(iteration, slot) for slot in self.recipe.slots(iteration, 0, 1)]
        divisor = self.recipe.config().size_divisor_px
        canvas = common_canvas([view for shown in whole for _, view in shown], divisor)
        own = [whole[slot] for slot in self.recipe.slots(iteration, rank, world_size)]
        parts = [shown[frame] for frame in range(len(own[0])) for shown in own]
        return Batch(
            images=place([pool.table.read(view) for pool, view in parts], canvas),
            targets=[pool.table.targets(view, canvas) for pool, view in parts],
            valid_size=torch.tensor([[view.height, view.width] for _, view in parts]),
            image_ids=tuple(pool.table.ids[view.picture] for pool, view in parts),
        )
