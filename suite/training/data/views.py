"""What is shown of a picture and how: a rectangle of it, its size in the network's input, flips and brightness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from reference_model.images import resized_size
from reference_model.targets import MASK_STRIDE
from suite.training.recipe import Recipe, Resizing

Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True)
class View:
    """One picture as it goes into a batch; all sizes in pixels.

    Attributes:
        picture: number of the picture in its table; ``picture_height`` and ``picture_width`` are those of the file.
        top: first row of the rectangle that is shown; ``left`` its first column, ``rows`` and ``columns`` its size.
        height: to which it is resized, as ``width``.
        flip_horizontal: whether left and right are exchanged; ``flip_vertical``: top and bottom.
        gain: factor on the intensities.
    """

    picture: int
    picture_height: int
    picture_width: int
    top: int
    left: int
    rows: int
    columns: int
    height: int
    width: int
    flip_horizontal: bool
    flip_vertical: bool
    gain: float

    def cut(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the shown rectangle of an array of the picture's size, as a view of it."""
        return pixels[self.top : self.top + self.rows, self.left : self.left + self.columns]

    def flipped(self, pixels: NDArray[Pixel]) -> NDArray[Pixel]:
        """Return an array of rows and columns with the view's flips, as a view of it."""
        steps = (slice(None, None, -1 if flip else 1) for flip in (self.flip_vertical, self.flip_horizontal))
        return pixels[tuple(steps)]


def _rectangle(size: tuple[int, int], resizing: Resizing, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """Return top, left, rows and columns of a random part, its size drawn at one of the crop's own scales."""
    height, width = size
    short = int(generator.choice(resizing.crop_short_sides_px))
    scale = short / min(height, width)
    low, high = resizing.crop_sides_px
    rows, columns = (
        min(side, max(1, round(int(generator.integers(low, high + 1)) / scale))) for side in (height, width)
    )
    top, left = (int(generator.integers(free + 1)) for free in (height - rows, width - columns))
    return top, left, rows, columns


def draw_view(recipe: Recipe, picture: int, size: tuple[int, int], generator: np.random.Generator) -> View:
    """Draw how a picture is shown.

    Args:
        recipe: gives resizing, flips and brightness; without resizing the picture keeps its size, with it both sides
            become multiples of 4.
        picture: number of the picture.
        size: its height and width in pixels.
        generator: source of chance; the same state gives the same view.
    """
    rectangle, resizing = (0, 0, *size), recipe.resizing
    flips = generator.random(2) < (recipe.horizontal_flip, recipe.vertical_flip)
    gain = 1 + recipe.brightness * generator.uniform(-1, 1)
    shown = size
    if resizing is not None:
        if generator.random() < resizing.crop_probability:
            rectangle = _rectangle(size, resizing, generator)
        short = int(generator.choice(resizing.short_sides_px))
        height, width = resized_size(rectangle[2], rectangle[3], short, resizing.long_side_px)
        # Whole pixels of the loss, so that masks made at its size are where those of full size would be.
        shown = (max(1, round(height / MASK_STRIDE)) * MASK_STRIDE, max(1, round(width / MASK_STRIDE)) * MASK_STRIDE)
    return View(picture, *size, *rectangle, *shown, bool(flips[0]), bool(flips[1]), float(gain))
