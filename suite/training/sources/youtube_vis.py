"""YouTube-VIS 2019 and 2021 as training data, alone or joint with COCO pictures of the same categories."""

from __future__ import annotations

from dataclasses import replace

from suite.datasets.categories import COCO_TO_YOUTUBE_VIS_2019, COCO_TO_YOUTUBE_VIS_2021
from suite.datasets.coco import CocoDataset
from suite.datasets.inputs import only_part, pinned_input
from suite.datasets.local_split import LOCAL_TRAIN
from suite.datasets.pictures import require_pictures
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.errors import InputError
from suite.progress import say
from suite.training.data.batches import FileSource, record_dataset, with_classes
from suite.training.data.pools import Pool, coco_pool, video_pool
from suite.training.recipe import Recipe
from suite.training.source import DataPaths

PINS = {"youtube-vis-2019": "youtube_vis_2019_train", "youtube-vis-2021": "youtube_vis_2021_train"}
JOINT_MAPS = {"youtube-vis-2019": COCO_TO_YOUTUBE_VIS_2019, "youtube-vis-2021": COCO_TO_YOUTUBE_VIS_2021}
DATASETS = tuple(PINS)


def _joint_pool(recipe: Recipe, paths: DataPaths, videos: YoutubeVisDataset) -> Pool:
    """Return COCO's pictures of the categories that the videos have too."""
    if recipe.joint_dataset != "coco":
        raise InputError(f"joint_dataset {recipe.joint_dataset!r}: known is coco")
    if videos.categories.ids != tuple(range(1, 41)):
        raise InputError(
            f"{videos.path}: joint training mixes COCO images in by the 40 categories of {recipe.dataset}, which this "
            "file does not have; take the recipe without joint_dataset"
        )
    found = paths.named("coco", "joint_") or pinned_input("coco", "train2017")
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
    found = paths.named("youtube-vis") or pinned_input("youtube-vis", PINS[recipe.dataset])
    say(f"reading {found.annotations.name}")
    dataset = YoutubeVisDataset.load(found.annotations, found.images)
    recipe = with_classes(recipe, dataset.categories)
    scored = paths.named("youtube-vis", "evaluation_")  # no official split but train has public ground truth
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
    return FileSource(
        recipe,
        seed,
        record_dataset(found, videos=len(dataset.videos)),
        dataset.categories,
        pool,
        joint=_joint_pool(recipe, paths, dataset) if recipe.joint_dataset else None,
        scored=scored,
    )
