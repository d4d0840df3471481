"""COCO as training data: train2017 as pinned, or any file in its format."""

from __future__ import annotations

from pathlib import Path

import msgspec

from suite.datasets.categories import Categories
from suite.datasets.coco import CocoDataset
from suite.datasets.inputs import RealInput, named_input, pinned_input
from suite.datasets.pictures import require_pictures
from suite.errors import DataError, InputError
from suite.progress import say
from suite.records.schema import Dataset
from suite.training.data.batches import FileSource
from suite.training.data.pools import coco_pool
from suite.training.evaluation import ImageEvaluation, image_subset
from suite.training.recipe import Recipe
from suite.training.source import DataPaths, Evaluation

DATASETS = ("coco",)
TRAIN_PIN, EVALUATION_PIN = "train2017", "val2017"


def training_input(paths: DataPaths) -> RealInput:
    """Return the training pictures: the user's, or the pinned ones.

    Raises:
        InputError: if only one of annotations and images is named.
        DataError: if they are absent or not as pinned.
    """
    if paths.annotations is None and paths.images is None:
        return pinned_input("coco", TRAIN_PIN)
    if paths.annotations is None or paths.images is None:
        raise InputError("--annotations and --images go together; give both")
    return named_input("coco", paths.annotations, paths.images)


def evaluation_input(paths: DataPaths) -> RealInput | None:
    """Return what is scored during training: the user's files, or val2017 beside the pinned pictures; else None.

    Raises:
        InputError: if only annotations or only images are named.
    """
    if paths.evaluation_annotations is not None and paths.evaluation_images is not None:
        return named_input("coco", paths.evaluation_annotations, paths.evaluation_images)
    if paths.evaluation_annotations is not None or paths.evaluation_images is not None:
        raise InputError("--evaluation-annotations and --evaluation-images go together; give both")
    if paths.annotations is not None:
        say("nothing is scored during training: name --evaluation-annotations and --evaluation-images")
        return None
    try:
        return pinned_input("coco", EVALUATION_PIN)
    except DataError as error:
        say(f"nothing is scored during training: {error}")
        return None


def record_dataset(found: RealInput, images: int | None = None, videos: int | None = None) -> Dataset:
    """Return the identity of an input for records."""
    return Dataset(found.name, found.split, found.digest, found.pinned, images=images, videos=videos)


def with_classes(recipe: Recipe, categories: Categories) -> Recipe:
    """Return a recipe whose model has as many classes as the data have categories; says so where that changes it."""
    if recipe.config().num_classes == len(categories):
        return recipe
    few = ", ".join(categories.names[:6]) + (", ..." if len(categories) > 6 else "")
    say(f"{recipe.model} gets {len(categories)} classes, the categories of the annotations: {few}")
    return msgspec.structs.replace(recipe, num_classes=len(categories))


def open_source(recipe: Recipe, seed: int, paths: DataPaths) -> FileSource:
    """Read the annotations; pictures are read when they are drawn.

    Raises:
        InputError: if a file is malformed, or has nothing to train on.
        DataError: if data are absent or not as pinned.
    """
    if paths.split_ids is not None:
        raise InputError(f"--split-ids {paths.split_ids}: is for YouTube-VIS recipes; leave it out")
    found = training_input(paths)
    say(f"reading {found.annotations.name}")
    dataset = CocoDataset.load(found.annotations, found.images)
    for note in dataset.notes():
        say(note)
    recipe = with_classes(recipe, dataset.categories)
    pool = coco_pool(dataset, found.images)
    if not pool.size:
        raise InputError(f"{found.annotations}: no picture has an instance to train on; is it a file without truth?")
    if not paths.skip_check:
        require_pictures(dataset.picture_files())
    scored = evaluation_input(paths)

    def evaluation(folder: Path) -> Evaluation:
        assert scored is not None
        subset = image_subset(scored.annotations, folder / "evaluation_annotations.json", recipe.evaluation_images)
        images, results = CocoDataset.load(subset, scored.images), folder / "evaluation_results.json"
        return ImageEvaluation(images, subset, results, categories=dataset.categories)

    identity = record_dataset(found, images=len(dataset.images))
    return FileSource(
        recipe, seed, identity, dataset.categories, pool, None, evaluation if scored is not None else None
    )
