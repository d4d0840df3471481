"""YouTube-VIS 2019 and 2021 as training data, alone or joint with COCO pictures of the same categories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from suite.datasets.categories import COCO_TO_YOUTUBE_VIS_2019, COCO_TO_YOUTUBE_VIS_2021
from suite.datasets.coco import CocoDataset
from suite.datasets.inputs import RealInput, named_input, only_part, pinned_input
from suite.datasets.local_split import LOCAL_TRAIN
from suite.datasets.pictures import require_pictures
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.errors import InputError
from suite.progress import say
from suite.training.data.batches import FileSource
from suite.training.data.pools import StillPool, coco_pool, video_pool
from suite.training.evaluation import VideoEvaluation, video_subset
from suite.training.recipe import Recipe
from suite.training.source import DataPaths, Evaluation
from suite.training.sources.coco import record_dataset, training_input, with_classes

PINS = {"youtube-vis-2019": "youtube_vis_2019_train", "youtube-vis-2021": "youtube_vis_2021_train"}
JOINT_MAPS = {"youtube-vis-2019": COCO_TO_YOUTUBE_VIS_2019, "youtube-vis-2021": COCO_TO_YOUTUBE_VIS_2021}
DATASETS = tuple(PINS)
JOINT_DATASETS = ("coco",)


def _videos_input(recipe: Recipe, paths: DataPaths) -> RealInput:
    if paths.annotations is None and paths.images is None:
        return pinned_input("youtube-vis", PINS[recipe.dataset])
    if paths.annotations is None or paths.images is None:
        raise InputError("--annotations and --images go together; give both")
    return named_input("youtube-vis", paths.annotations, paths.images)


def _evaluation_input(paths: DataPaths) -> RealInput | None:
    """Return what the user names to score; no official YouTube-VIS split but train has public ground truth."""
    if (paths.evaluation_annotations is None) != (paths.evaluation_images is None):
        raise InputError("--evaluation-annotations and --evaluation-images go together; give both")
    if paths.evaluation_annotations is None or paths.evaluation_images is None:
        return None
    return named_input("youtube-vis", paths.evaluation_annotations, paths.evaluation_images)


def _joint_pool(recipe: Recipe, paths: DataPaths, videos: YoutubeVisDataset) -> StillPool:
    """Return COCO's pictures of the categories that the videos have too."""
    if recipe.joint_dataset not in JOINT_DATASETS:
        raise InputError(f"joint_dataset {recipe.joint_dataset!r}: known are {', '.join(JOINT_DATASETS)}")
    if videos.categories.ids != tuple(range(1, 41)):
        raise InputError(
            f"{videos.path}: joint training mixes COCO images in by the 40 categories of {recipe.dataset}, which this "
            "file does not have; take the recipe without joint_dataset"
        )
    found = training_input(DataPaths(annotations=paths.joint_annotations, images=paths.joint_images))
    say(f"reading {found.annotations.name} for joint training")
    coco = CocoDataset.load(found.annotations, found.images)
    place = {dataset_id: index for index, dataset_id in enumerate(videos.categories.ids)}
    classes = {
        index: place[target]
        for index, coco_id in enumerate(coco.categories.ids)
        if isinstance(coco_id, int) and (target := JOINT_MAPS[recipe.dataset].get(coco_id, -1)) in place
    }
    pool = coco_pool(coco, found.images, classes)
    if not pool.size:
        raise InputError(f"{found.annotations}: no picture has an instance of the categories of {videos.path.name}")
    return pool


def open_source(recipe: Recipe, seed: int, paths: DataPaths) -> FileSource:
    """Read the annotations; frames are read when they are drawn.

    Raises:
        InputError: if a file is malformed, or has nothing to train on.
        DataError: if data are absent or not as pinned.
    """
    found = _videos_input(recipe, paths)
    say(f"reading {found.annotations.name}")
    dataset = YoutubeVisDataset.load(found.annotations, found.images)
    recipe = with_classes(recipe, dataset.categories)
    scored = _evaluation_input(paths)
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
    pool = video_pool(dataset, found.images)
    if not pool.table.counts().any():
        raise InputError(f"{found.annotations}: no frame has an instance to train on; is it a file without truth?")
    if not paths.skip_check:
        require_pictures(dataset.picture_files())

    def evaluation(folder: Path) -> Evaluation:
        assert scored is not None
        ids = scored.part.video_ids if scored.part else None
        file = folder / "evaluation_annotations.json"
        subset = video_subset(scored.annotations, file, recipe.evaluation_images, ids)
        videos, results = YoutubeVisDataset.load(subset, scored.images), folder / "evaluation_results.json"
        return VideoEvaluation(videos, subset, results, categories=dataset.categories)

    return FileSource(
        recipe,
        seed,
        record_dataset(found, videos=len(dataset.videos)),
        dataset.categories,
        pool,
        _joint_pool(recipe, paths, dataset) if recipe.joint_dataset else None,
        evaluation if scored is not None else None,
    )
