"""What happens in one video of the embedded dataset: objects, their looks and their paths, drawn at random.

A scene is plain integers: lengths in 1/64 pixel, angles in 1/1024 turn, ratios in 1/4096, so that rendering it gives
the same pixels on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from suite.datasets.exact import ONE, TURN, Draws, cosine, sine

UNIT = 64
"""One pixel, in the unit of every length here."""

CATEGORIES = ("disc", "square", "triangle", "star", "cross", "ring")
_HUES_DEGREES, _HUE_SPREAD_DEGREES = (0, 120, 240, 60, 180, 300), 45
"""The middle of each category's range of hues, and how far it reaches into those of its two neighbours."""

_COVERS = (0, 1)
"""Disc and square: what can hide something behind it completely."""

_SLOW, _STEADY, _FAST = (3, 5), (5, 8), (12, 20)
"""Least and largest speed of an object, pixels a frame."""

_EASY_OF_SIX = (1, 3)
"""Which of six videos are easy; as long ones have even numbers, none of them."""

_SEED = 20232
"""With the names of split and video it decides everything, so the splits never share a video."""

HEIGHT_PX, WIDTH_PX = 128, 192

VISIBLE_MIN_PX, VISIBLE_MIN_PERCENT = 32, 6
"""An object with fewer visible pixels, or a smaller share of its full area in that frame, counts as hidden."""

_LONG_EVERY = {"train": 20, "val": 2}
"""One of so many videos of a split is long."""

_RETURNING_PERCENT, _HIDING_PERCENT, _PANNING_PERCENT = 45, 40, 30
"""Look-alikes that leave the picture and come back on its other side; hard videos in which some pass behind something
larger, gone for some frames; videos whose background moves."""

Range = tuple[int, int]
"""Least and largest value."""


@dataclass(frozen=True)
class ShapesConfig:
    """How much of the embedded dataset is generated; the defaults are the pinned set.

    Attributes:
        train_videos: number of training videos.
        val_videos: number of held-out videos.
        train_frames: least and largest number of frames of a short training video.
        val_frames: the same of a short held-out video.
        long_frames: the same of a long video.
    """

    train_videos: int = 400
    val_videos: int = 40
    train_frames: Range = (4, 5)
    val_frames: Range = (6, 8)
    long_frames: Range = (16, 24)

    def videos(self, split: str) -> int:
        """Return the number of videos of a split."""
        return self.train_videos if split == "train" else self.val_videos


class Look(NamedTuple):
    """What an object looks like: index into `CATEGORIES`, hue in degrees, saturation and brightness in percent."""

    category: int
    hue_degrees: int
    saturation_percent: int
    value_percent: int


class Pose(NamedTuple):
    """Where an object is in one frame: centre and radius in 1/64 pixel, angle in 1/1024 turn."""

    x: int
    y: int
    radius: int
    angle: int


class Actor(NamedTuple):
    """One object: its look and its pose in every frame."""

    look: Look
    poses: tuple[Pose, ...]


class Scene(NamedTuple):
    """One video: its objects from back to front and how its background looks and moves.

    Attributes:
        hard: whether look-alikes cross, and more; else a few slow objects of different categories keep apart.
        actors: from back to front; at most four different looks.
        background_key: what the background's noise is drawn from.
        tint_degrees: hue of the faint background colour.
        contrast_percent: spread of the background's grey levels.
        pan: background displacement per frame in whole pixels, (x, y).
    """

    hard: bool
    actors: tuple[Actor, ...]
    background_key: tuple[int | str, ...]
    tint_degrees: int
    contrast_percent: int
    pan: tuple[int, int]


def _bounced(position: int, low: int, high: int) -> int:
    """Return where something is that goes straight on but is thrown back at both ends."""
    span = high - low
    beyond = (position - low) % (2 * span)
    return low + min(beyond, 2 * span - beyond)


def _returned(position: int, low: int, high: int) -> int:
    """Return where something is that leaves at one end and comes back at the other."""
    return low + (position - low) % (high - low)


def _closeness(one: Actor, others: list[Actor]) -> int:
    """Return how much of its time an object spends near others: a sum over frames of how deep it is in each."""
    return sum(
        max(0, a.radius + b.radius - max(abs(a.x - b.x), abs(a.y - b.y)))
        for other in others
        for a, b in zip(one.poses, other.poses, strict=True)
    )


class _Director:
    """Draws the objects of one video."""

    def __init__(self, draws: Draws, frames: int) -> None:
        self.draws, self.frames = draws, frames
        self.size, self.categories = (WIDTH_PX * UNIT, HEIGHT_PX * UNIT), list(range(len(CATEGORIES)))

    def look(self, categories: tuple[int, ...] | None = None) -> Look:
        """Return a look of a category that the video does not have yet."""
        draws = self.draws
        category = draws.choice(categories or self.categories)
        self.categories.remove(category)
        hue_degrees = _HUES_DEGREES[category] + draws.integer(-_HUE_SPREAD_DEGREES, _HUE_SPREAD_DEGREES)
        return Look(category, hue_degrees, draws.integer(65, 95), draws.integer(70, 95))

    def actor(
        self, look: Look, radii_px: Range, speeds: Range, returns: bool = False, via: tuple[int, int] | None = None
    ) -> Actor:
        """Return an object that goes straight on, thrown back by the picture's edges or back on its other side.

        Args:
            look: what it looks like.
            radii_px: least and largest radius.
            speeds: least and largest speed, pixels a frame.
            returns: whether it leaves the picture and comes back.
            via: where it is half-way, 1/64 px; None: anywhere.
        """
        draws = self.draws
        radius, speed = draws.integer(*radii_px) * UNIT, draws.integer(speeds[0] * UNIT, speeds[1] * UNIT)
        growth, spin, angle = draws.integer(-3, 3), draws.integer(-24, 24), draws.integer(0, TURN - 1)
        start = via or (draws.integer(radius, self.size[0] - radius), draws.integer(radius, self.size[1] - radius))
        direction, move = draws.integer(0, TURN - 1), _returned if returns else _bounced
        margin = -3 * radius // 2 if returns else radius * 3 // 4
        poses = []
        for frame in range(self.frames):
            since = frame - self.frames // 2
            x, y = (
                move(at + since * speed * part // ONE, margin, side - margin)
                for at, part, side in zip(start, (cosine(direction), sine(direction)), self.size, strict=True)
            )
            poses.append(
                Pose(x, y, radius * (100 + growth * since * 8 // self.frames) // 100, (angle + spin * frame) % TURN)
            )
        return Actor(look, tuple(poses))

    def apart(
        self, others: list[Actor], tries: int, look: Look, radii_px: Range, speeds: Range, returns: bool = False
    ) -> Actor:
        """Return of so many objects drawn as by `actor` the one that is near the others least."""
        drawn = [self.actor(look, radii_px, speeds, returns) for _ in range(tries)]
        return min(drawn, key=lambda actor: _closeness(actor, others))

    def hard(self) -> list[Actor]:
        """Three to five look-alikes that cross each other's ways; sometimes something large that they pass behind."""
        draws, pace = self.draws, self.draws.choice((_SLOW, _STEADY, _STEADY, _FAST))
        hiding = draws.chance(_HIDING_PERCENT)
        cover = [self.actor(self.look(_COVERS), (30, 34), (0, 1))] if hiding else []
        look, alike = self.look(), list[Actor]()
        hidden = cover[0].poses[self.frames // 2] if cover else None
        if hidden:
            alike.append(self.actor(look, (16, 19), _STEADY, via=(hidden.x, hidden.y)))
        for _ in range(draws.choice((2, 2, 3) if hiding else (3, 3, 4, 5))):
            returns = draws.chance(_RETURNING_PERCENT)
            alike.append(self.apart([*alike, *cover], 8, look, (17, 23), pace, returns))
        others = [self.apart(alike, 6, self.look(), (18, 26), _SLOW)] if not cover and draws.chance(30) else []
        return [*others, *alike, *cover]

    def easy(self) -> list[Actor]:
        """Two to four slow objects of different categories that keep apart."""
        actors: list[Actor] = []
        for _ in range(self.draws.integer(2, 4)):
            actors.append(self.apart(actors, 12, self.look(), (18, 30), _SLOW))
        return actors


def draw_scene(config: ShapesConfig, split: str, number: int) -> Scene:
    """Draw one video.

    Args:
        config: the dataset's options.
        split: ``"train"`` or ``"val"``.
        number: the video's number within the split, from 0.

    Returns:
        The scene; the same arguments always give the same scene, other splits or numbers an unrelated one.
    """
    key = ("shapes", _SEED, split, number)
    draws = Draws(*key)
    frames = config.train_frames if split == "train" else config.val_frames
    if number % _LONG_EVERY[split] == 0:
        frames = config.long_frames
    hard = number % 6 not in _EASY_OF_SIX
    director = _Director(draws, draws.integer(*frames))
    return Scene(
        hard=hard,
        actors=tuple(director.hard() if hard else director.easy()),
        background_key=(*key, "background"),
        tint_degrees=draws.integer(0, 359),
        contrast_percent=draws.integer(40, 100),
        pan=(draws.integer(-2, 2), draws.integer(-1, 1)) if draws.chance(_PANNING_PERCENT) else (0, 0),
    )
