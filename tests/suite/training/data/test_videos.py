"""Pairs of frames from real videos, alone and mixed with pictures of the same categories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from suite.datasets.categories import COCO_TO_YOUTUBE_VIS
from suite.datasets.coco import CocoDataset
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.training.recipe import Recipe, Resizing, load_recipe
from suite.training.sources import DataPaths, open_source
from tests.suite.training.tiny import square_pool


def recipe(**changes: Any) -> Recipe:
    """Return a recipe of pairs from the first iteration on."""
    plain = {
        "model": "mobileinst_topformer_base_360",
        "dataset": "youtube-vis-2019",
        "batch_size": 8,
        "image_stage_fraction": 0.0,
        "evaluation_images": 2,
        "resizing": Resizing(short_sides_px=(96, 128), long_side_px=256),
    }
    return msgspec.structs.replace(load_recipe("shapes"), **(plain | changes))


@pytest.fixture
def paths(shared_data: Path) -> DataPaths:
    videos, coco = shared_data / "ytvis_mini", shared_data / "coco_mini"
    return DataPaths(
        annotations=videos / "train.json",
        images=videos / "train" / "JPEGImages",
        joint_annotations=coco / "annotations" / "instances_train2017.json",
        joint_images=coco / "train2017",
    )


def test_a_pair_is_two_frames_of_one_video_shown_alike(paths: DataPaths) -> None:
    source = open_source(recipe(), 0, paths)
    dataset = YoutubeVisDataset.load(paths.annotations or Path(), paths.images)
    tracks = {
        video.video_id: {track.track_id for track in dataset.tracks_of(video.video_id)} for video in dataset.videos
    }
    matched = 0
    for iteration in range(4):
        batch = source.batch(iteration, 0, 1)
        assert len(batch.targets) == 8
        assert batch.valid_size is not None
        assert torch.equal(batch.valid_size[:4], batch.valid_size[4:])
        assert batch.image_ids[:4] == batch.image_ids[4:]
        for video, first, later in zip(batch.image_ids, batch.targets[:4], batch.targets[4:], strict=False):
            now, then = set(first.instance_ids.tolist()), set(later.instance_ids.tolist())
            assert now | then <= tracks[video]
            matched += len(now & then)
    assert matched > 8


@pytest.mark.parametrize(("share", "reach"), [(0.0, 1), (0.5, 2), (1.0, 3)])
def test_the_frames_of_a_pair_are_as_far_apart_as_the_recipe_allows(share: float, reach: int) -> None:
    allowed, generator = recipe(pair_gap_frames=1, pair_gap_share=share), np.random.default_rng(0)
    pairs = [square_pool(False).pair(allowed, 1, generator) for _ in range(64)]
    assert {abs(first.picture - later.picture) for first, later in pairs} == set(range(1, reach + 1))
    assert all(4 <= view.picture < 8 for pair in pairs for view in pair)


def test_pictures_of_known_categories_are_mixed_in(paths: DataPaths) -> None:
    source = open_source(recipe(joint_dataset="coco", joint_share=0.5), 0, paths)
    coco = CocoDataset.load(paths.joint_annotations or Path())
    videos = YoutubeVisDataset.load(paths.annotations or Path())
    still_ids = {image.image_id for image in coco.images} - {video.video_id for video in videos.videos}
    seen = 0
    for iteration in range(8):
        batch = source.batch(iteration, 0, 1)
        for key, target in zip(batch.image_ids, batch.targets, strict=True):
            if key in still_ids:
                seen += 1
                by_id = {coco.objects.ids[row]: int(coco.objects.class_index[row]) for row in coco.rows_of(key)}
                for label, instance in zip(target.labels.tolist(), target.instance_ids.tolist(), strict=True):
                    coco_id = coco.categories.ids[by_id[instance]]
                    assert videos.categories.ids[label] == COCO_TO_YOUTUBE_VIS["youtube-vis-2019"][coco_id]
    assert 16 < seen < 48
