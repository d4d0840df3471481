"""Renders a scene of the embedded dataset into palette frames and visible masks, in integer arithmetic throughout."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suite.datasets.exact import ONE, TURN, Draws, cosine, rgb, sine
from suite.datasets.shapes_scene import CATEGORIES, UNIT, Look, Pose, Scene, ShapesConfig

Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

BACKGROUND_LEVELS = 6
_RIM, _DARK, _BASE, _LIGHT = range(4)
_SHADES = 4
_RIM_WIDTH = 3 * UNIT // 2
_MAX_PAN_PX = 3
_OCTAVES = ((32, 5), (14, 3))
"""Cell size in pixels and weight of each layer of the background's noise."""


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


def palette(scene: Scene) -> NDArray[np.uint8]:
    """Return the scene's colours, (N, 3) uint8: grey background levels, then four shades per actor."""
    colours = []
    for level in range(BACKGROUND_LEVELS):
        spread = (2 * level - BACKGROUND_LEVELS + 1) * 28 * scene.contrast_percent // (100 * (BACKGROUND_LEVELS - 1))
        colours.append(rgb(scene.tint_degrees, 10, 50 + spread))
    for actor in scene.actors:
        look = actor.look
        colours += [
            rgb(look.hue_degrees, look.saturation_percent, look.value_percent * 40 // 100),
            rgb(look.hue_degrees, look.saturation_percent, look.value_percent * 72 // 100),
            rgb(look.hue_degrees, look.saturation_percent, look.value_percent),
            rgb(look.hue_degrees, look.saturation_percent * 55 // 100, min(100, look.value_percent * 112 // 100)),
        ]
    return np.array(colours, np.uint8)


def _noise(draws: Draws, height: int, width: int, cell_px: int) -> Integers:
    """Return (H, W) values in [0, 255 * cell_px**2]: random values on a grid, blended linearly in between."""
    rows, columns = height // cell_px + 2, width // cell_px + 2
    words = [draws.word() for _ in range((rows * columns + 7) // 8)]
    raw = b"".join(word.to_bytes(8, "little") for word in words)
    grid = np.frombuffer(raw, np.uint8)[: rows * columns].reshape(rows, columns).astype(np.int64)
    row, down = np.divmod(np.arange(height), cell_px)
    column, right = np.divmod(np.arange(width), cell_px)
    across = grid[:, column] * (cell_px - right) + grid[:, column + 1] * right
    blended: Integers = across[row] * (cell_px - down)[:, None] + across[row + 1] * down[:, None]
    return blended


def background(scene: Scene, height: int, width: int) -> NDArray[np.uint8]:
    """Return (H, W) palette indices of layered value noise, in `BACKGROUND_LEVELS` about equally frequent levels."""
    draws = Draws(*scene.background_key)
    total = np.zeros((height, width), np.int64)
    for cell_px, weight in _OCTAVES:
        total += _noise(draws, height, width, cell_px) * weight * 256 // (cell_px * cell_px)
    ordered = np.sort(total, axis=None)
    edges = ordered[[ordered.size * level // BACKGROUND_LEVELS for level in range(1, BACKGROUND_LEVELS)]]
    return np.searchsorted(edges, total, side="right").astype(np.uint8)


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


def shade(look: Look, u: Integers, v: Integers, radius: int) -> NDArray[np.uint8]:
    """Return the shade (dark, base or light) of each point of an object, from its texture."""
    period = max(radius * look.period // ONE, 4 * UNIT)
    if look.texture == "stripes":
        cell = u // (period // 2) % 2
    elif look.texture == "checks":
        cell = (u // (period // 2) + v // (period // 2)) % 2
    elif look.texture == "dots":
        cell = ((u % period - period // 2) ** 2 + (v % period - period // 2) ** 2 <= (period * 3 // 10) ** 2) * 2
    elif look.texture == "lattice":
        cell = ((u % period < period // 4) | (v % period < period // 4)) * 2
    else:
        cell = (u > 0) * 1 + (v > radius // 4) * 1
    return np.asarray(_DARK + cell, np.uint8)


def _paint(indices: NDArray[np.uint8], owners: NDArray[np.uint8], number: int, look: Look, pose: Pose) -> int:
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
    shades = np.where(inner, shade(look, u, v, pose.radius), _RIM)
    window = (slice(top, bottom), slice(left, right))
    first_colour = BACKGROUND_LEVELS + _SHADES * number
    indices[window] = np.where(inside, first_colour + shades, indices[window])
    owners[window] = np.where(inside, number + 1, owners[window])
    return int(np.count_nonzero(inside))


def render(scene: Scene, config: ShapesConfig) -> Iterator[Frame]:
    """Render every frame of a scene.

    Args:
        scene: what happens.
        config: frame size.

    Yields:
        The frames in order.
    """
    frames = len(scene.actors[0].poses)
    height, width, margin = config.height_px, config.width_px, _MAX_PAN_PX * frames
    ground = background(scene, height + 2 * margin, width + 2 * margin)
    for frame in range(frames):
        top, left = margin + scene.pan[1] * frame, margin + scene.pan[0] * frame
        indices = ground[top : top + height, left : left + width].copy()
        owners = np.zeros((height, width), np.uint8)
        areas = [_paint(indices, owners, k, a.look, a.poses[frame]) for k, a in enumerate(scene.actors)]
        yield Frame(indices, owners, tuple(areas))
