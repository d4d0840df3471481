"""COCO as training data: train2017 as pinned, or any file in its format."""

from __future__ import annotations

from suite.datasets.coco import CocoDataset
from suite.datasets.inputs import RealInput, pinned_input
from suite.datasets.pictures import require_pictures
from suite.errors import DataError, InputError
from suite.progress import say
from suite.training.data.batches import FileSource, record_dataset, with_classes
from suite.training.data.pools import coco_pool
from suite.training.recipe import Recipe
from suite.training.source import DataPaths

DATASETS = ("coco",)
TRAIN_PIN, EVALUATION_PIN = "train2017", "val2017"


def _scored(paths: DataPaths) -> RealInput | None:
    """Return what is scored during training: the user's files, or val2017 beside the pinned pictures; else None."""
    named = paths.named("coco", "evaluation_")
    if named is not None:
        return named
    if paths.annotations is not None:
        say("nothing is scored during training: name --evaluation-annotations and --evaluation-images")
        return None
    try:
        return pinned_input("coco", EVALUATION_PIN)
    except DataError as error:
        say(f"nothing is scored during training: {error}")
        return None


def open_source(recipe: Recipe, seed: int, paths: DataPaths) -> FileSource:
    """Read the annotations; pictures are read when they are drawn.

    Raises:
        InputError: if a file is malformed, or has nothing to train on.
        DataError: if data are absent or not as pinned.
    """
    if paths.split_ids is not None:
        raise InputError(f"--split-ids {paths.split_ids}: is for YouTube-VIS recipes; leave it out")
    found = paths.named("coco") or pinned_input("coco", TRAIN_PIN)
    say(f"reading {found.annotations.name}")
    dataset = CocoDataset.load(found.annotations, found.images)
    for note in dataset.notes():
        say(note)
    pool = coco_pool(dataset, found.images)
    if not pool.size:
        raise InputError(f"{found.annotations}: no picture has an instance to train on; is it a file without truth?")
    if not paths.skip_check:
        require_pictures(dataset.picture_files())
    return FileSource(
        with_classes(recipe, dataset.categories),
        seed,
        record_dataset(found, images=len(dataset.images)),
        dataset.categories,
        pool,
        scored=_scored(paths),
    )
