"""Where training batches come from: the one interface between the loop and every dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from reference_model.targets import InstanceTargets
from suite.datasets.categories import Categories
from suite.records.schema import Dataset
from suite.training.evaluation import Evaluation
from suite.training.recipe import Recipe


@dataclass(frozen=True)
class Batch:
    """Images and what they should be segmented into.

    Attributes:
        images: (B, 3, H, W) float32, normalised, padded with zeros at the right and the bottom, channels last.
        targets: one entry per image; masks cover the padded input, at its size or evenly reduced.
        valid_size: (B, 2) height and width of each image before padding, in pixels; None: nothing is padded.
        image_ids: the dataset's id of each image, for messages; may be empty.

    In an iteration on pairs the first half holds frames t and the second half, in the same order, frames t + delta of
    the same videos, flipped, scaled and cropped alike, so that both halves of ``valid_size`` are equal.
    """

    images: Tensor
    targets: list[InstanceTargets]
    valid_size: Tensor | None = None
    image_ids: tuple[int | str, ...] = ()

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; images keep their memory format."""
        if self.images.device == device:
            return self
        return self._map(lambda part: part.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """Return the batch in page-locked memory, which a GPU copies from without waiting."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        size = None if self.valid_size is None else change(self.valid_size)
        return Batch(change(self.images), [target.map(change) for target in self.targets], size, self.image_ids)


@dataclass(frozen=True)
class TrainingSource(ABC):
    """The training data of one recipe and seed.

    `batch` is a pure function of recipe, seed and its arguments, so that a resumed run needs no sampler state and
    worker processes may compute any iteration in any order. A source must survive pickling or forking.

    Attributes:
        recipe: how pictures are shown, with as many classes as the data have categories.
        seed: base seed of order and views.
        dataset: what goes on record: name, split, digest and whether it is the pinned one.
        categories: what the classes of the model stand for.
    """

    recipe: Recipe
    seed: int
    dataset: Dataset
    categories: Categories

    @property
    @abstractmethod
    def size(self) -> int:
        """Images, or videos, that one epoch goes through."""

    @abstractmethod
    def batch(self, iteration: int, rank: int, world_size: int) -> Batch:
        """Return one of the equal parts that an iteration's ``recipe.batch_size`` images are divided into.

        Args:
            iteration: from 0.
            rank: number of the part, from 0.
            world_size: number of parts: processes times accumulation steps. The images of all parts together are the
                same, in the same order, for every ``world_size``; in an iteration on pairs (`Recipe.trains_on_pairs`)
                the pairs are divided, so that a part holds frames t of its pairs and then their frames t + delta.
        """

    @abstractmethod
    def evaluation(self, folder: Path) -> Evaluation | None:
        """Return the evaluation during training, or None where there is nothing with ground truth to score.

        Args:
            folder: where annotations of a subset and results files may be kept.
        """
