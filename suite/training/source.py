"""Where training batches come from: the one interface between the loop and every dataset."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from reference_model.targets import InstanceTargets
from suite.datasets.categories import Categories
from suite.datasets.inputs import RealInput, named_input
from suite.datasets.official import Task
from suite.errors import InputError
from suite.records.schema import Dataset
from suite.training.evaluation import Evaluation
from suite.training.recipe import Recipe

SOURCES = Path(__file__).parent / "sources"


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


@dataclass(frozen=True)
class DataPaths:
    """Data that the user names instead of the pinned ones; None: as ``datasets.dvc`` and the recipe say.

    Attributes:
        annotations: training annotations.
        images: folder that their file names start from.
        evaluation_annotations: annotations that are scored during training.
        evaluation_images: folder of their images or frames.
        joint_annotations: COCO annotations of the images in joint training.
        joint_images: folder of those images.
        split_ids: list of videos that are held out of training and scored during it (``data split``).
        skip_check: whether not to look at all pictures before the first step.
    """

    annotations: Path | None = None
    images: Path | None = None
    evaluation_annotations: Path | None = None
    evaluation_images: Path | None = None
    joint_annotations: Path | None = None
    joint_images: Path | None = None
    split_ids: Path | None = None
    skip_check: bool = False

    def named(self, task: Task, use: Literal["", "evaluation_", "joint_"] = "") -> RealInput | None:
        """Return the files that the user names for one use, None where there are none.

        Raises:
            InputError: if only annotations or only images are named.
            DataError: if they are absent.
        """
        annotations, images = getattr(self, f"{use}annotations"), getattr(self, f"{use}images")
        if annotations is None and images is None:
            return None
        if annotations is None or images is None:
            option = f"--{use.replace('_', '-')}"
            raise InputError(f"{option}annotations and {option}images go together; give both")
        return named_input(task, annotations, images)


def open_source(recipe: Recipe, seed: int, paths: DataPaths | None = None) -> TrainingSource:
    """Return the training data of a recipe, read by one of the modules of `suite.training.sources`.

    Args:
        recipe: says which dataset, and how its images are shown.
        seed: base seed of order and augmentation.
        paths: the user's files instead of the pinned ones.

    Raises:
        InputError: if no module reads the recipe's dataset, or a file is not what it should be.
        DataError: if data are absent or not as pinned.
    """
    known: list[str] = []
    for found in pkgutil.iter_modules([str(SOURCES)]):
        module = importlib.import_module(f"suite.training.{SOURCES.name}.{found.name}")
        if recipe.dataset in module.DATASETS:
            source: TrainingSource = module.open_source(recipe, seed, paths or DataPaths())
            return source
        known += module.DATASETS
    raise InputError(f"recipe dataset {recipe.dataset!r}: nothing here reads it; known are {', '.join(sorted(known))}")
