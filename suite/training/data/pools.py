"""What one slot of a batch is drawn from: the images of a COCO file, or the videos of a YouTube-VIS file."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suite.datasets.annotations import Segmentation
from suite.datasets.categories import Id
from suite.datasets.coco import CocoDataset
from suite.datasets.masks import Place, compress
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.errors import InputError
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
        height, width = self.table.sizes[picture].tolist()
        return draw_view(recipe, picture, (height, width), generator)

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


def _numbers(ids: Sequence[Id]) -> NDArray[np.int64]:
    """Return ids as numbers that fit a tensor: the ids themselves where they do, else their places."""
    if all(isinstance(number, int) and abs(number) < 2**63 for number in ids):
        return np.array(ids, np.int64)
    return np.arange(len(ids))


def _table(
    dataset: CocoDataset | YoutubeVisDataset,
    ids: Sequence[Id],
    picture: NDArray[np.int64],
    labels: NDArray[np.int64],
    numbers: NDArray[np.int64],
    crowd: NDArray[np.bool_],
    segmentation: Callable[[int], Segmentation],
    where: Place,
) -> PictureTable:
    """Return the table of a dataset's P pictures with N objects in any order.

    ``ids`` has the id of each picture; ``picture``, ``labels``, ``numbers`` and ``crowd``, of shape (N,), are the
    columns of the table; ``segmentation`` gives an object's segmentation as in the file, ``where`` its place there.

    Raises:
        InputError: if there is no instance, or a segmentation is malformed, with its place.
    """
    order, files = np.argsort(picture, kind="stable"), dataset.picture_files()
    sizes, shapes = [size for _, size in files], list(map(segmentation, order.tolist()))
    codes = compress(shapes, sizes, picture[order], dataset.path, lambda row: where(order[row]))
    table = PictureTable(
        files=tuple(str(path) for path, _ in files),
        ids=np.array(ids, np.object_),
        sizes=np.array(sizes, np.int32).reshape(-1, 2),
        first=np.searchsorted(picture[order], np.arange(len(files) + 1)),
        labels=labels[order],
        instance_ids=numbers[order],
        crowd=crowd[order] | (codes.areas_px == 0),  # a mask without pixels is nothing to find, nor background
        segments=Segments.of(codes),
    )
    if not table.counts().any():
        raise InputError(f"{dataset.path}: has no instance to train on; is it a file without truth?")
    return table


def coco_pool(dataset: CocoDataset, classes: Mapping[int, int] | None = None) -> Pool:
    """Return the pictures of a COCO file that have an instance; the others would teach nothing but background.

    Args:
        dataset: the annotations, with their image folder.
        classes: COCO class index -> class index of the model; objects and crowds of other classes are background. None
            keeps all.

    Raises:
        InputError: if a segmentation is malformed, with its place, or there is no instance.
    """
    objects = dataset.objects
    known = classes if classes is not None else {index: index for index in range(len(dataset.categories))}
    rows = np.flatnonzero(np.isin(objects.class_index, list(known)))
    label_of = np.array([known.get(index, -1) for index in range(len(dataset.categories))], np.int64)
    table = _table(
        dataset,
        list(dataset.places),
        objects.image[rows],
        label_of[objects.class_index[rows]],
        _numbers(objects.ids)[rows],
        objects.crowd[rows],
        lambda place: objects.segmentations[rows[place]],
        lambda place: dataset.mask_place(rows[place]),
    )
    pictures = np.flatnonzero(table.counts() > 0)
    return Pool(table, pictures, pictures + 1, still=True)


def video_pool(dataset: YoutubeVisDataset) -> Pool:
    """Return the videos of a YouTube-VIS file; every frame's picture carries its video's id, crowds are as in COCO.

    The annotations need their frame folder; errors as in `coco_pool`.
    """
    first, tracks = np.cumsum([0, *(video.length for video in dataset.videos)]), dataset.tracks
    seen = [
        (place, frame)
        for place, track in enumerate(tracks)
        for frame, segmentation in enumerate(track.segmentations)
        if segmentation is not None
    ]
    of_track = np.array([place for place, _ in seen], np.int64)
    starts = np.array([first[dataset.places[track.video_id]] for track in tracks], np.int64)

    table = _table(
        dataset,
        [video.video_id for video, _ in dataset.frames],
        starts[of_track] + np.array([frame for _, frame in seen], np.int64),
        np.array([track.class_index for track in tracks], np.int64)[of_track],
        _numbers([track.track_id for track in tracks])[of_track],
        np.array([track.crowd for track in tracks], np.bool_)[of_track],
        lambda row: tracks[of_track[row]].segmentations[seen[row][1]],
        lambda row: f"annotations[{tracks[of_track[row]].place}].segmentations[{seen[row][1]}]",
    )
    return Pool(table, first[:-1], first[1:], still=False)
