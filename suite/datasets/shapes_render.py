"""Renders a scene of the embedded dataset into palette frames and visible masks, in integer arithmetic throughout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suite.datasets.exact import ONE, TURN, Draws, cosine, rgb, sine
from suite.datasets.shapes_scene import CATEGORIES, HEIGHT_PX, UNIT, WIDTH_PX, Look, Pose, Scene

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

BACKGROUND_LEVELS = 4
_RIM, _DARK, _LIGHT = range(3)
_SHADES = 3
_RIM_WIDTH = 3 * UNIT // 2
_MAX_PAN_PX = 2
_CELL_PX = 64
"""Distance of the random values that the background is blended from."""


class Frame(NamedTuple):
    """One rendered frame.

    Attributes:
        indices: (H, W) uint8 palette indices.
        owners: (H, W) uint8: 0 background, k + 1 where the k-th actor is visible.
        full_areas_px: per actor, its area inside the frame if nothing hid it.
    """

    indices: NDArray[np.uint8]
    owners: NDArray[np.uint8]
    full_areas_px: tuple[int, ...]


def looks(scene: Scene) -> list[Look]:
    """Return the different looks of a scene's objects."""
    return list(dict.fromkeys(actor.look for actor in scene.actors))


def palette(scene: Scene) -> NDArray[np.uint8]:
    """Return the scene's colours, (N, 3) uint8: grey background levels, then rim, dark and light of every look."""
    colours = []
    for level in range(BACKGROUND_LEVELS):
        spread = (2 * level - BACKGROUND_LEVELS + 1) * 28 * scene.contrast_percent // (100 * (BACKGROUND_LEVELS - 1))
        colours.append(rgb(scene.tint_degrees, 10, 50 + spread))
    for _, hue_degrees, saturation_percent, value_percent in looks(scene):
        colours += [
            rgb(hue_degrees, saturation_percent, value_percent * 30 // 100),
            rgb(hue_degrees, saturation_percent, value_percent * 45 // 100),
            rgb(hue_degrees, saturation_percent * 60 // 100, value_percent),
        ]
    return np.array(colours, np.uint8)


def background(scene: Scene, height: int, width: int) -> NDArray[np.uint8]:
    """Return (H, W) palette indices: random values on a grid, blended linearly, in about equally frequent levels."""
    draws, cell = Draws(*scene.background_key), _CELL_PX
    grid = np.array([[draws.integer(0, 255) for _ in range(width // cell + 2)] for _ in range(height // cell + 2)])
    row, down = np.divmod(np.arange(height), cell)
    column, right = np.divmod(np.arange(width), cell)
    across = grid[:, column] * (cell - right) + grid[:, column + 1] * right
    blended = across[row] * (cell - down)[:, None] + across[row + 1] * down[:, None]
    ordered = np.sort(blended, axis=None)
    edges = ordered[[ordered.size * level // BACKGROUND_LEVELS for level in range(1, BACKGROUND_LEVELS)]]
    levels: NDArray[np.uint8] = np.searchsorted(edges, blended, side="right").astype(np.uint8)
    return levels


def _along(u: Integers, v: Integers, angle: int) -> Integers:
    """Return the length of (u, v) along a direction."""
    return (u * cosine(angle) + v * sine(angle)) // ONE


def covers(category: str, u: Integers, v: Integers, radius: int, inset: int) -> Mask:
    """Say which points a shape covers.

    Args:
        category: one of `CATEGORIES`.
        u: first coordinate in the shape's own frame, in 1/64 pixel.
        v: second coordinate.
        radius: the shape's radius, in 1/64 pixel.
        inset: how far inside its outline a point must be, in 1/64 pixel.

    Returns:
        A boolean array as large as ``u``.
    """
    if category == "disc":
        return u * u + v * v <= (radius - inset) ** 2
    if category == "ring":
        square = u * u + v * v
        return (square <= (radius - inset) ** 2) & (square >= (radius * 2 // 5 + inset) ** 2)
    if category == "square":
        return np.maximum(np.abs(u), np.abs(v)) <= radius * 7 // 8 - inset
    if category == "triangle":
        reach = radius * 5 // 8 - inset
        return (v <= reach) & (_along(u, v, TURN * 7 // 12) <= reach) & (_along(u, v, TURN * 11 // 12) <= reach)
    if category == "cross":
        wide, narrow = radius - inset, radius * 2 // 5 - inset
        across, along = np.abs(u), np.abs(v)
        return ((across <= wide) & (along <= narrow)) | ((across <= narrow) & (along <= wide))
    # A star: inside at least four of the five lines that extend a pentagon's sides, its tips cut off by a circle.
    reach = radius * 2 // 5 - inset
    inside = sum((_along(u, v, TURN * k // 5) <= reach).astype(np.int64) for k in range(5))
    return (inside >= 4) & (u * u + v * v <= (radius * 9 // 8 - inset) ** 2)


def light(category: str, u: Integers, v: Integers, radius: int) -> Mask:
    """Say which points of an object are light, the others are dark: the coarse texture of its category.

    Args and returns: as `covers`.
    """
    textures: dict[str, Mask] = {"disc": u > 0, "square": u * v > 0, "triangle": v // (radius // 3) % 2 == 0}
    return textures.get(category, np.ones(u.shape, np.bool_))


def _paint(
    indices: NDArray[np.uint8], owners: NDArray[np.uint8], number: int, first_colour: int, look: Look, pose: Pose
) -> int:
    """Paint one object over what is there and return its area inside the frame, in pixels."""
    height, width = indices.shape
    reach = pose.radius * 9 // 8 + UNIT
    left, right = max((pose.x - reach) // UNIT, 0), min((pose.x + reach) // UNIT + 1, width)
    top, bottom = max((pose.y - reach) // UNIT, 0), min((pose.y + reach) // UNIT + 1, height)
    if left >= right or top >= bottom:
        return 0
    dx = (np.arange(left, right) * UNIT + UNIT // 2 - pose.x)[None, :]
    dy = (np.arange(top, bottom) * UNIT + UNIT // 2 - pose.y)[:, None]
    u = (dx * cosine(pose.angle) + dy * sine(pose.angle)) // ONE
    v = (dy * cosine(pose.angle) - dx * sine(pose.angle)) // ONE
    category = CATEGORIES[look.category]
    inside = covers(category, u, v, pose.radius, 0)
    inner = covers(category, u, v, pose.radius, _RIM_WIDTH)
    shades = np.where(inner, np.where(light(category, u, v, pose.radius), _LIGHT, _DARK), _RIM)
    window = (slice(top, bottom), slice(left, right))
    indices[window] = np.where(inside, first_colour + shades, indices[window])
    owners[window] = np.where(inside, number + 1, owners[window])
    return int(np.count_nonzero(inside))


def render(scene: Scene) -> Iterator[Frame]:
    """Yield every frame of a scene, in order."""
    frames, order = len(scene.actors[0].poses), looks(scene)
    margin = _MAX_PAN_PX * frames
    ground = background(scene, HEIGHT_PX + 2 * margin, WIDTH_PX + 2 * margin)
    for frame in range(frames):
        top, left = margin + scene.pan[1] * frame, margin + scene.pan[0] * frame
        indices = ground[top : top + HEIGHT_PX, left : left + WIDTH_PX].copy()
        owners = np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8)
        areas = [
            _paint(indices, owners, k, BACKGROUND_LEVELS + _SHADES * order.index(a.look), a.look, a.poses[frame])
            for k, a in enumerate(scene.actors)
        ]
        yield Frame(indices, owners, tuple(areas))
