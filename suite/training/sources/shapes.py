"""The embedded dataset as training data: every frame and mask in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.datasets import embedded
from suite.datasets.coco import CocoDataset
from suite.errors import InputError
from suite.progress import say
from suite.records.schema import Dataset
from suite.training.evaluation import ImageEvaluation, image_subset
from suite.training.recipe import Recipe
from suite.training.samples import VideoSample, draw_batch, load_videos
from suite.training.source import Batch, DataPaths, Evaluation

DATASETS = ("shapes",)


@dataclass(frozen=True)
class ShapesSource:
    """Videos in memory, shown by `draw_batch`.

    Attributes:
        recipe: gives batch size, flips, brightness and pairs.
        videos: the training videos.
        seed: base seed.
        dataset: the identity on record.
    """

    recipe: Recipe
    videos: Sequence[VideoSample]
    seed: int
    dataset: Dataset

    @property
    def size(self) -> int:
        """Number of videos; each is seen once per epoch."""
        return len(self.videos)

    def batch(self, iteration: int, rank: int, world_size: int) -> Batch:
        """Return one part of an iteration; see `TrainingSource`."""
        return draw_batch(self.recipe, self.videos, self.seed, iteration, rank, world_size)

    def evaluation(self, folder: Path) -> Evaluation:
        """Return mask AP on some held-out frames, evenly spread over the videos."""
        annotations = image_subset(
            embedded.annotations_path("instances", "val"),
            folder / "evaluation_annotations.json",
            self.recipe.evaluation_images,
        )
        dataset = CocoDataset.load(annotations, embedded.frames("val"))
        return ImageEvaluation(dataset, annotations, folder / "evaluation_results.json")


def open_source(recipe: Recipe, seed: int, paths: DataPaths) -> ShapesSource:
    """Return the pinned embedded dataset; it is generated, so no paths can be named.

    Raises:
        InputError: if the user names files.
        DataError: if the dataset's digest is not the pinned one.
    """
    if paths != DataPaths():
        raise InputError("dataset 'shapes' is generated; leave --annotations, --images and the like away")
    digest = embedded.ensure()
    say("reading the training videos")
    videos = load_videos(embedded.videos("train"))
    described = Dataset(
        name="shapes",
        split="train",
        digest=digest,
        pinned=True,
        images=len(embedded.images("train").images),
        videos=len(videos),
    )
    return ShapesSource(recipe, videos, seed, described)
