"""Fresh inputs for timed calls: different in content every time, made outside the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]


def stamped(array: Array, index: int) -> Array:
    """Return a copy of ``array`` that differs from the copy made for any other index.

    One element is changed, at a place and by an amount that follow from the index alone: too little to change the work,
    enough for no cache to recognise the content.

    Args:
        array: any shape with at least one element; float32 or uint8.
        index: number of the input, from 0.
    """
    copy = array.copy()
    flat = copy.reshape(-1)
    place = index % flat.size
    if copy.dtype == np.uint8:
        flat[place] += np.uint8(1 + index // flat.size % 255)
    else:
        flat[place] += np.float32(1e-3) * np.float32(1 + index // flat.size)
    return copy


def fresh_from(pool: Sequence[Array]) -> Callable[[int], Array]:
    """Return a maker of inputs: number ``index`` is a stamped copy of the pool's members in turn."""
    return lambda index: stamped(pool[index % len(pool)], index)


def smooth_image(height_px: int, width_px: int, seed: int) -> NDArray[np.uint8]:
    """Return a seeded RGB picture (height_px, width_px, 3) of large smooth blobs with a little grain.

    Resizing, normalising and a network do the same work on it as on a photograph of that size.
    """
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(30, 225, size=(6, 8, 3))
    rows = np.linspace(0, 5, height_px)
    columns = np.linspace(0, 7, width_px)
    top, left = np.minimum(rows.astype(int), 4), np.minimum(columns.astype(int), 6)
    down, right = (rows - top)[:, None, None], (columns - left)[None, :, None]
    upper = coarse[top][:, left] * (1 - right) + coarse[top][:, left + 1] * right
    lower = coarse[top + 1][:, left] * (1 - right) + coarse[top + 1][:, left + 1] * right
    picture = upper * (1 - down) + lower * down + generator.normal(0, 4, size=(height_px, width_px, 3))
    clipped: NDArray[np.uint8] = np.clip(picture, 0, 255).astype(np.uint8)
    return clipped
