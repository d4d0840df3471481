"""What one slot of a batch is drawn from: the images of a COCO file, or the videos of a YouTube-VIS file."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from suite.datasets.coco import CocoDataset
from suite.datasets.youtube_vis import Video, YoutubeVisDataset
from suite.training.data.pictures import PictureTable, Segments
from suite.training.data.views import View, draw_view
from suite.training.recipe import Recipe

STILL_SHARE = 0.8
"""Least share of a picture's rows and columns in each of the two views that stand for two frames of a video."""


class Pool(Protocol):
    """Units (pictures or videos) that one view, or a pair of views, can be drawn from."""

    @property
    def table(self) -> PictureTable:
        """The pictures behind the views."""

    @property
    def size(self) -> int:
        """Number of units."""

    @property
    def standing(self) -> bytes:
        """One byte a unit: 1 where it is higher than wide."""

    def single(self, recipe: Recipe, unit: int, generator: np.random.Generator) -> View:
        """Draw one view of a unit."""

    def pair(self, recipe: Recipe, unit: int, generator: np.random.Generator) -> tuple[View, View]:
        """Draw views of two frames, flipped, scaled and cut to the same size."""


def _standing(table: PictureTable, pictures: NDArray[np.int64]) -> bytes:
    standing: NDArray[np.bool_] = table.sizes[pictures, 0] > table.sizes[pictures, 1]
    return standing.tobytes()


@dataclass(frozen=True)
class StillPool:
    """Pictures that show at least one instance.

    Attributes:
        table: all pictures.
        pictures: numbers of those that are drawn from.
    """

    table: PictureTable
    pictures: NDArray[np.int64]

    @classmethod
    def of(cls, table: PictureTable) -> StillPool:
        """Return the pictures of a table that have an instance; the others would teach nothing but background."""
        return cls(table, np.flatnonzero(table.counts() > 0))

    @property
    def size(self) -> int:
        """Number of pictures."""
        return len(self.pictures)

    @functools.cached_property
    def standing(self) -> bytes:
        """One byte a picture: 1 where it is higher than wide."""
        return _standing(self.table, self.pictures)

    def single(self, recipe: Recipe, unit: int, generator: np.random.Generator) -> View:
        """Draw one view of a picture."""
        picture = int(self.pictures[unit])
        return draw_view(recipe, picture, self.table.size(picture), generator)

    def pair(self, recipe: Recipe, unit: int, generator: np.random.Generator) -> tuple[View, View]:
        """Draw two cuts of one picture, as if a camera had moved: same size, each at a place of its own."""
        whole = self.single(recipe, unit, generator)
        share = generator.uniform(STILL_SHARE, 1)
        rows, columns = (max(1, round(side * share)) for side in (whole.rows, whole.columns))
        both = []
        for _ in range(2):
            top = whole.top + int(generator.integers(whole.rows - rows + 1))
            left = whole.left + int(generator.integers(whole.columns - columns + 1))
            gain = 1 + recipe.brightness * generator.uniform(-1, 1)
            both.append(replace(whole, top=top, left=left, rows=rows, columns=columns, gain=float(gain)))
        return both[0], both[1]


@dataclass(frozen=True)
class VideoPool:
    """Videos of a table whose pictures are their frames.

    Attributes:
        table: the frames of all videos, one video after the other.
        first_frame: (V + 1,) number of the first frame of each video.
    """

    table: PictureTable
    first_frame: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Number of videos."""
        return len(self.first_frame) - 1

    @functools.cached_property
    def standing(self) -> bytes:
        """One byte a video: 1 where its first frame is higher than wide."""
        return _standing(self.table, self.first_frame[:-1])

    def _frames(self, unit: int) -> tuple[int, int]:
        return int(self.first_frame[unit]), int(self.first_frame[unit + 1])

    def single(self, recipe: Recipe, unit: int, generator: np.random.Generator) -> View:
        """Draw one view of any frame of a video."""
        frame = int(generator.integers(*self._frames(unit)))
        return draw_view(recipe, frame, self.table.size(frame), generator)

    def pair(self, recipe: Recipe, unit: int, generator: np.random.Generator) -> tuple[View, View]:
        """Draw the same view of two frames at most ``recipe.pair_gap_frames`` apart, in either order."""
        start, end = self._frames(unit)
        view = self.single(recipe, unit, generator)
        low, high = (
            max(start, view.picture - recipe.pair_gap_frames),
            min(end, view.picture + recipe.pair_gap_frames + 1),
        )
        others = [frame for frame in range(low, high) if frame != view.picture] or [view.picture]
        gain = 1 + recipe.brightness * generator.uniform(-1, 1)
        return view, replace(view, picture=int(generator.choice(others)), gain=float(gain))


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
