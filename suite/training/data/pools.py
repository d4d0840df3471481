"""What one slot of a batch is drawn from: pictures, or videos whose frames are pictures."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from suite.training.data.pictures import PictureTable
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
