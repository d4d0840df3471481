"""The training data that a recipe names: COCO, YouTube-VIS or the embedded set, pinned or the user's files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from suite.datasets import embedded
from suite.datasets.annotations import AnnotationsFile
from suite.datasets.categories import COCO_TO_YOUTUBE_VIS, Categories
from suite.datasets.coco import CocoDataset
from suite.datasets.inputs import RealInput, named_input, only_part, pinned_input
from suite.datasets.local_split import LOCAL_TRAIN
from suite.datasets.pictures import require_pictures
from suite.datasets.pins import Task
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.errors import DataError, InputError
from suite.progress import say
from suite.records.schema import Dataset
from suite.training.data.batches import FileSource
from suite.training.data.pools import Pool, coco_pool, video_pool
from suite.training.recipe import Recipe

COCO_PIN, COCO_EVALUATION_PIN = "train2017", "val2017"
VIDEO_PINS = {"youtube-vis-2019": "youtube_vis_2019_train", "youtube-vis-2021": "youtube_vis_2021_train"}


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


def _with_classes(recipe: Recipe, categories: Categories) -> Recipe:
    """Return a recipe whose model has as many classes as the data have categories; says so where that changes it."""
    if recipe.config().num_classes == len(categories):
        return recipe
    few = ", ".join(categories.names[:6]) + (", ..." if len(categories) > 6 else "")
    say(f"{recipe.model} gets {len(categories)} classes, the categories of the annotations: {few}")
    return msgspec.structs.replace(recipe, num_classes=len(categories))


def _scored_images(paths: DataPaths) -> RealInput | None:
    """Return what is scored during training: the user's files, or val2017 beside the pinned pictures; else None."""
    named = paths.named("coco", "evaluation_")
    if named is not None:
        return named
    try:
        if paths.annotations is None:
            return pinned_input("coco", COCO_EVALUATION_PIN)
        problem = "name --evaluation-annotations and --evaluation-images"
    except DataError as error:
        problem = str(error)
    say(f"nothing is scored during training: {problem}")
    return None


def _identity(scored: RealInput | None, *trained: AnnotationsFile) -> str:
    """Return what tells all files of a run from others: a run goes on with no other pictures."""
    parts = [dataset.digest() for dataset in trained]
    if scored is not None and not scored.pinned:
        kind = CocoDataset if scored.task == "coco" else YoutubeVisDataset
        parts.append(kind.load(scored.annotations, scored.images, truth=False).digest())
    return " ".join([*parts, scored.digest if scored else ""])


def _read_coco(found: RealInput) -> CocoDataset:
    say(f"reading {found.annotations.name}")
    return CocoDataset.load(found.annotations, found.images)


def _joint_pool(recipe: Recipe, paths: DataPaths, videos: YoutubeVisDataset) -> tuple[Pool, CocoDataset]:
    """Return COCO's pictures of the categories that the videos have too, and all of the file."""
    if recipe.joint_dataset != "coco":
        raise InputError(f"joint_dataset {recipe.joint_dataset!r}: known is coco")
    if videos.categories.ids != tuple(range(1, 41)):
        raise InputError(
            f"{videos.path}: joint training mixes COCO images in by the 40 categories of {recipe.dataset}, which this "
            "file does not have; take the recipe without joint_dataset"
        )
    found = paths.named("coco", "joint_") or pinned_input("coco", COCO_PIN)
    coco = _read_coco(found)
    place = {dataset_id: index for index, dataset_id in enumerate(videos.categories.ids)}
    classes = {
        index: place[target]
        for index, coco_id in enumerate(coco.categories.ids)
        if isinstance(coco_id, int) and (target := COCO_TO_YOUTUBE_VIS[recipe.dataset].get(coco_id, -1)) in place
    }
    return coco_pool(coco, classes), coco


def _open_coco(recipe: Recipe, seed: int, paths: DataPaths) -> FileSource:
    if paths.split_ids is not None:
        raise InputError(f"--split-ids {paths.split_ids}: is for YouTube-VIS recipes; leave it out")
    found = paths.named("coco") or pinned_input("coco", COCO_PIN)
    dataset = _read_coco(found)
    for note in dataset.notes():
        say(note)
    pool = coco_pool(dataset)
    if not paths.skip_check:
        require_pictures(dataset.picture_files())
    described = Dataset(found.name, found.split, found.digest, found.pinned, images=len(dataset.images))
    recipe, scored = _with_classes(recipe, dataset.categories), _scored_images(paths)
    identity = _identity(scored, dataset)
    return FileSource(recipe, seed, described, dataset.categories, pool, scored=scored, identity=identity)


def _open_videos(recipe: Recipe, seed: int, paths: DataPaths, found: RealInput, scored: RealInput | None) -> FileSource:
    """Read the annotations; frames are read when they are drawn."""
    say(f"reading {found.annotations.name}")
    dataset = YoutubeVisDataset.load(found.annotations, found.images)
    recipe = _with_classes(recipe, dataset.categories)
    if paths.split_ids is not None:
        held_out = only_part(found, paths.split_ids)
        assert held_out.part is not None
        dataset = dataset.without(held_out.part.video_ids, held_out.digest)
        if not dataset.videos:
            raise InputError(
                f"{paths.split_ids}: holds out every video of {dataset.path.name}; none is left to train on"
            )
        scored = scored or held_out
        found = replace(held_out, split=LOCAL_TRAIN, part=None)
    if scored is None:
        say("nothing is scored during training: hold videos out with --split-ids, or name --evaluation-annotations")
    pool = video_pool(dataset)
    if not paths.skip_check:
        require_pictures(dataset.picture_files())
    joint, mixed_in = _joint_pool(recipe, paths, dataset) if recipe.joint_dataset else (None, None)
    amount = {"images": sum(video.length for video in dataset.videos), "videos": len(dataset.videos)}
    described = Dataset(found.name, found.split, found.digest, found.pinned, **amount)
    identity = _identity(scored, *filter(None, (dataset, mixed_in)))
    return FileSource(recipe, seed, described, dataset.categories, pool, joint, scored, identity)


def open_source(recipe: Recipe, seed: int, paths: DataPaths | None = None) -> FileSource:
    """Return the training data of a recipe.

    Args:
        recipe: says which dataset, and how its images are shown.
        seed: base seed of order and augmentation.
        paths: the user's files instead of the pinned ones.

    Raises:
        InputError: if nothing here reads the recipe's dataset, a file is malformed, or it has nothing to train on.
        DataError: if data are absent or not as pinned.
    """
    paths = paths or DataPaths()
    if recipe.dataset == "coco":
        return _open_coco(recipe, seed, paths)
    if recipe.dataset in VIDEO_PINS:
        found = paths.named("youtube-vis") or pinned_input("youtube-vis", VIDEO_PINS[recipe.dataset])
        # No official split but train has public ground truth.
        return _open_videos(recipe, seed, paths, found, paths.named("youtube-vis", "evaluation_"))
    if recipe.dataset != embedded.NAME:
        known = ", ".join(["coco", embedded.NAME, *VIDEO_PINS])
        raise InputError(f"recipe dataset {recipe.dataset!r}: nothing here reads it; known are {known}")
    if replace(paths, skip_check=False) != DataPaths():
        raise InputError("dataset 'shapes' is generated; leave --annotations, --images and the like away")
    embedded.ensure()
    checked = DataPaths(skip_check=True)  # by its digest
    return _open_videos(recipe, seed, checked, embedded.data("youtube-vis", "train"), embedded.data("coco", "val"))
