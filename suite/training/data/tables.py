"""Annotation files as tables of pictures: COCO's, YouTube-VIS's frames, and COCO's in YouTube-VIS categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from suite.datasets.coco import CocoDataset
from suite.datasets.youtube_vis import Video, YoutubeVisDataset
from suite.training.data.pictures import PictureTable
from suite.training.data.pools import StillPool, VideoPool
from suite.training.data.segments import Segments


@dataclass(frozen=True)
class _Instance:
    """One object on one picture, and its place in the file for messages."""

    label: int
    instance_id: int
    segmentation: Any
    where: str


@dataclass(frozen=True)
class _Picture:
    file_name: str
    picture_id: int
    height: int
    width: int
    instances: Sequence[_Instance]
    crowds: Sequence[_Instance]


def _segments(pictures: Sequence[tuple[_Picture, Sequence[_Instance]]]) -> Segments:
    return Segments.of(
        (instance.segmentation, picture.height, picture.width, instance.where)
        for picture, instances in pictures
        for instance in instances
    )


def _table(folder: Path, pictures: Sequence[_Picture]) -> PictureTable:
    flat = [instance for picture in pictures for instance in picture.instances]
    return PictureTable(
        folder=folder,
        file_names=tuple(picture.file_name for picture in pictures),
        ids=np.array([picture.picture_id for picture in pictures], np.int64),
        sizes=np.array([(picture.height, picture.width) for picture in pictures], np.int32).reshape(-1, 2),
        first_instance=np.cumsum([0, *(len(picture.instances) for picture in pictures)]),
        labels=np.array([instance.label for instance in flat], np.int64),
        instance_ids=np.array([instance.instance_id for instance in flat], np.int64),
        segments=_segments([(picture, picture.instances) for picture in pictures]),
        first_crowd=np.cumsum([0, *(len(picture.crowds) for picture in pictures)]),
        crowds=_segments([(picture, picture.crowds) for picture in pictures]),
    )


def coco_pool(dataset: CocoDataset, folder: Path, classes: Mapping[int, int] | None = None) -> StillPool:
    """Return the pictures of a COCO file; crowds are no instances, their pixels are ignored.

    Args:
        dataset: the annotations.
        folder: where the pictures are.
        classes: COCO class index -> class index of the model; objects and crowds of other classes are background. None
            keeps all.

    Raises:
        InputError: if a segmentation is malformed, with its place.
    """

    def instances(image_id: int, crowd: bool) -> list[_Instance]:
        return [
            _Instance(
                item.class_index if classes is None else classes[item.class_index],
                item.annotation_id,
                item.segmentation,
                f"{dataset.path}: annotation {item.annotation_id}",
            )
            for item in dataset.annotations_of(image_id)
            if bool(item.iscrowd) == crowd and (classes is None or item.class_index in classes)
        ]

    pictures = [
        _Picture(
            image.file_name,
            image.image_id,
            image.height,
            image.width,
            instances(image.image_id, crowd=False),
            instances(image.image_id, crowd=True),
        )
        for image in dataset.images
    ]
    return StillPool.of(_table(folder, pictures))


def video_pool(dataset: YoutubeVisDataset, folder: Path) -> VideoPool:
    """Return the videos of a YouTube-VIS file; every frame's picture carries its video's id, crowds are as in COCO.

    Args:
        dataset: the annotations.
        folder: where the frames are.

    Raises:
        InputError: if a segmentation is malformed, with its place.
    """

    def instances(video: Video, frame: int, crowd: bool) -> list[_Instance]:
        return [
            _Instance(
                track.class_index,
                track.track_id,
                track.segmentations[frame],
                f"{dataset.path}: track {track.track_id} frame {frame}",
            )
            for track in dataset.tracks_of(video.video_id)
            if bool(track.iscrowd) == crowd and track.segmentations[frame] is not None
        ]

    pictures = [
        _Picture(
            name,
            video.video_id,
            video.height,
            video.width,
            instances(video, frame, crowd=False),
            instances(video, frame, crowd=True),
        )
        for video in dataset.videos
        for frame, name in enumerate(video.file_names)
    ]
    return VideoPool(_table(folder, pictures), np.cumsum([0, *(video.length for video in dataset.videos)]))
