"""What one slot of a batch is drawn from: the images of a COCO file, or the videos of a YouTube-VIS file."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.datasets.coco import CocoDataset
from suite.datasets.fields import Id, Segmentation
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.training.data.pictures import PictureTable, Segments
from suite.training.data.views import View, draw_view
from suite.training.recipe import Recipe

STILL_SHARE = 0.8
"""Least share of a picture's rows and columns in each of the two views that stand for two frames of a video."""


@dataclass(frozen=True)
class Pool:
    """Units that one view, or a pair of views, can be drawn from: pictures, or videos whose frames are pictures.

    Attributes:
        table: the pictures behind the views, those of a video one after the other.
        first: (U,) number of the first picture of each unit.
        end: (U,) number after its last picture.
        still: whether units are pictures.
    """

    table: PictureTable
    first: NDArray[np.int64]
    end: NDArray[np.int64]
    still: bool

    @property
    def size(self) -> int:
        """Number of units."""
        return len(self.first)

    @functools.cached_property
    def standing(self) -> bytes:
        """One byte a unit: 1 where its first picture is higher than wide."""
        standing: NDArray[np.bool_] = self.table.sizes[self.first, 0] > self.table.sizes[self.first, 1]
        return standing.tobytes()

    def single(self, recipe: Recipe, unit: int, generator: np.random.Generator) -> View:
        """Draw one view of a picture, or of any frame of a video."""
        picture = int(self.first[unit])
        if not self.still:
            picture = int(generator.integers(picture, int(self.end[unit])))
        return draw_view(recipe, picture, self.table.size(picture), generator)

    def pair(self, recipe: Recipe, unit: int, generator: np.random.Generator) -> tuple[View, View]:
        """Draw views of two frames, flipped, scaled and cut to the same size.

        Of a video: the same view of two frames at most ``recipe.pair_gap_frames`` or ``recipe.pair_gap_share`` of the
        video apart, in either order. Of a picture: two cuts, as if a camera had moved, each at a place of its own.
        """
        view = self.single(recipe, unit, generator)
        if self.still:
            share = generator.uniform(STILL_SHARE, 1)
            rows, columns = (max(1, round(side * share)) for side in (view.rows, view.columns))
            both = []
            for _ in range(2):
                top = view.top + int(generator.integers(view.rows - rows + 1))
                left = view.left + int(generator.integers(view.columns - columns + 1))
                gain = 1 + recipe.brightness * generator.uniform(-1, 1)
                both.append(replace(view, top=top, left=left, rows=rows, columns=columns, gain=float(gain)))
            return both[0], both[1]
        start, end = int(self.first[unit]), int(self.end[unit])
        gap = max(recipe.pair_gap_frames, int(recipe.pair_gap_share * (end - start)))
        low, high = max(start, view.picture - gap), min(end, view.picture + gap + 1)
        others = [frame for frame in range(low, high) if frame != view.picture] or [view.picture]
        gain = 1 + recipe.brightness * generator.uniform(-1, 1)
        return view, replace(view, picture=int(generator.choice(others)), gain=float(gain))


@dataclass(frozen=True)
class _Columns:
    """The N objects of P pictures, column by column, in any order.

    Attributes:
        picture: (N,) number of each one's picture.
        labels: (N,) class of the model.
        numbers: (N,) instance numbers, the same in every frame of a video.
        crowd: (N,) whether it marks a crowd.
        segmentations: as in the file.
        where: file and place of each, for messages.
    """

    picture: NDArray[np.int64]
    labels: NDArray[np.int64]
    numbers: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    segmentations: Sequence[Segmentation]
    where: Sequence[str]


def _numbers(ids: Sequence[Id]) -> NDArray[np.int64]:
    """Return ids as numbers that fit a tensor: the ids themselves where they do, else their places."""
    if all(isinstance(number, int) and abs(number) < 2**63 for number in ids):
        return np.array(ids, np.int64)
    return np.arange(len(ids))


def _table(
    folder: Path, names: Sequence[str], ids: Sequence[Id], sizes: Sequence[tuple[int, int]], columns: _Columns
) -> PictureTable:
    """Return the table of pictures; crowds are no instances, their pixels are ignored."""
    order = np.argsort(columns.picture, kind="stable")
    instances, crowds = order[~columns.crowd[order]], order[columns.crowd[order]]

    def bounds(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(columns.picture[rows], np.arange(len(names) + 1))

    def segments(rows: NDArray[np.int64]) -> Segments:
        return Segments.of(
            (columns.segmentations[row], *sizes[columns.picture[row]], columns.where[row]) for row in rows.tolist()
        )

    return PictureTable(
        folder=folder,
        file_names=tuple(names),
        ids=np.array(ids, np.object_),
        sizes=np.array(sizes, np.int32).reshape(-1, 2),
        first_instance=bounds(instances),
        labels=columns.labels[instances],
        instance_ids=columns.numbers[instances],
        segments=segments(instances),
        first_crowd=bounds(crowds),
        crowds=segments(crowds),
    )


def coco_pool(dataset: CocoDataset, folder: Path, classes: Mapping[int, int] | None = None) -> Pool:
    """Return the pictures of a COCO file that have an instance; the others would teach nothing but background.

    Args:
        dataset: the annotations.
        folder: where the pictures are.
        classes: COCO class index -> class index of the model; objects and crowds of other classes are background. None
            keeps all.

    Raises:
        InputError: if a segmentation is malformed, with its place.
    """
    objects = dataset.objects
    known = classes if classes is not None else {index: index for index in range(len(dataset.categories))}
    rows = np.flatnonzero(np.isin(objects.class_index, list(known)))
    label_of = np.array([known.get(index, -1) for index in range(len(dataset.categories))], np.int64)
    columns = _Columns(
        picture=objects.image[rows],
        labels=label_of[objects.class_index[rows]],
        numbers=_numbers(objects.ids)[rows],
        crowd=objects.crowd[rows],
        segmentations=[objects.segmentations[row] for row in rows.tolist()],
        where=[f"{dataset.path}: annotations[{place}]" for place in objects.places[rows].tolist()],
    )
    table = _table(
        folder,
        [image.file_name or "" for image in dataset.images],
        [image.image_id for image in dataset.images],
        [(image.height, image.width) for image in dataset.images],
        columns,
    )
    pictures = np.flatnonzero(table.counts() > 0)
    return Pool(table, pictures, pictures + 1, still=True)


def video_pool(dataset: YoutubeVisDataset, folder: Path) -> Pool:
    """Return the videos of a YouTube-VIS file; every frame's picture carries its video's id, crowds are as in COCO.

    Args:
        dataset: the annotations.
        folder: where the frames are.

    Raises:
        InputError: if a segmentation is malformed, with its place.
    """
    first = np.cumsum([0, *(video.length for video in dataset.videos)])
    numbers = _numbers([track.track_id for track in dataset.tracks])
    seen = [
        (int(first[dataset.places[track.video_id]]) + frame, place, frame)
        for place, track in enumerate(dataset.tracks)
        for frame, segmentation in enumerate(track.segmentations)
        if segmentation is not None
    ]
    of_track = np.array([place for _, place, _ in seen], np.int64)
    columns = _Columns(
        picture=np.array([picture for picture, _, _ in seen], np.int64),
        labels=np.array([track.class_index for track in dataset.tracks], np.int64)[of_track],
        numbers=numbers[of_track],
        crowd=np.array([track.crowd for track in dataset.tracks], np.bool_)[of_track],
        segmentations=[dataset.tracks[place].segmentations[frame] for _, place, frame in seen],
        where=[
            f"{dataset.path}: annotations[{dataset.tracks[place].place}].segmentations[{frame}]"
            for _, place, frame in seen
        ],
    )
    frames = [(video, name) for video in dataset.videos for name in video.file_names]
    table = _table(
        folder,
        [name for _, name in frames],
        [video.video_id for video, _ in frames],
        [(video.height, video.width) for video, _ in frames],
        columns,
    )
    return Pool(table, first[:-1], first[1:], still=False)
