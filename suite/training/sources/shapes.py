"""The embedded dataset as training data: videos, scored by mask AP on held-out frames."""

from __future__ import annotations

from dataclasses import replace

from suite.datasets import embedded
from suite.errors import InputError
from suite.progress import say
from suite.training.data.batches import FileSource, record_dataset
from suite.training.data.pools import video_pool
from suite.training.recipe import Recipe
from suite.training.source import DataPaths

DATASETS = (embedded.NAME,)


def open_source(recipe: Recipe, seed: int, paths: DataPaths) -> FileSource:
    """Return the pinned embedded dataset; it is generated, so no paths can be named.

    Raises:
        InputError: if the user names files.
        DataError: if the dataset's digest is not the pinned one.
    """
    if replace(paths, skip_check=False) != DataPaths():
        raise InputError("dataset 'shapes' is generated; leave --annotations, --images and the like away")
    embedded.ensure()
    say("reading the training videos")
    found, dataset = embedded.data("youtube-vis", "train"), embedded.videos("train")
    images, videos = sum(video.length for video in dataset.videos), len(dataset.videos)
    return FileSource(
        recipe,
        seed,
        record_dataset(found, images, videos),
        dataset.categories,
        video_pool(dataset, found.images),
        scored=embedded.data("coco", "val"),
    )
