"""What happens in one video of the embedded dataset: objects, their looks and their paths, drawn at random.

A scene is plain integers: lengths in 1/64 pixel, angles in 1/1024 turn, ratios in 1/4096, so that rendering it gives
the same pixels on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from suite.datasets.exact import ONE, TURN, Draws, cosine, sine

UNIT = 64
"""One pixel, in the unit of every length here."""

CATEGORIES = ("disc", "square", "triangle", "star", "cross", "ring")
HUES_DEGREES = (0, 60, 120, 180, 240, 300)
"""The middle of each category's own hue range."""

HUE_SPREAD_DEGREES = 18
TEXTURES = ("stripes", "checks", "dots", "lattice", "halves")
_OPAQUE_CATEGORIES = (0, 1)
"""Disc and square: what can hide something behind it completely."""


@dataclass(frozen=True)
class ShapesConfig:
    """Everything that decides the embedded dataset; the defaults are the pinned set.

    Attributes:
        seed: base seed; a split and a video number are added to it, so the splits never share a video.
        train_videos: number of training videos.
        val_videos: number of held-out videos.
        train_frames: frames in each training video.
        val_frames: frames in each held-out video.
        height_px: frame height.
        width_px: frame width.
        crossing_percent: videos in which two look-alikes of one category cross.
        hiding_percent: videos that are to show an object pass behind a larger one, gone for some frames; fewer do,
            since beside two look-alikes there must be room for two more objects.
        panning_percent: videos whose background moves.
        visible_min_px: an object with fewer visible pixels counts as hidden.
        visible_min_percent: the same, as a share of its full area in that frame.
    """

    seed: int = 20231
    train_videos: int = 300
    val_videos: int = 48
    train_frames: int = 6
    val_frames: int = 8
    height_px: int = 128
    width_px: int = 192
    crossing_percent: int = 55
    hiding_percent: int = 40
    panning_percent: int = 30
    visible_min_px: int = 32
    visible_min_percent: int = 6

    def videos(self, split: str) -> int:
        """Return the number of videos of a split."""
        return self.train_videos if split == "train" else self.val_videos

    def frames(self, split: str) -> int:
        """Return the number of frames in each video of a split."""
        return self.train_frames if split == "train" else self.val_frames


@dataclass(frozen=True)
class Look:
    """What an object looks like.

    Attributes:
        category: index into `CATEGORIES`.
        hue_degrees: hue of every shade of it.
        saturation_percent: saturation of its base shade.
        value_percent: brightness of its base shade.
        texture: one of `TEXTURES`.
        period: texture period as a share of the radius, in 1/4096.
    """

    category: int
    hue_degrees: int
    saturation_percent: int
    value_percent: int
    texture: str
    period: int


@dataclass(frozen=True)
class Pose:
    """Where an object is in one frame: centre and radius in 1/64 pixel, angle in 1/1024 turn."""

    x: int
    y: int
    radius: int
    angle: int


@dataclass(frozen=True)
class Actor:
    """One object: its look and its pose in every frame."""

    look: Look
    poses: tuple[Pose, ...]


@dataclass(frozen=True)
class Scene:
    """One video: its objects from back to front and how its background looks and moves.

    Attributes:
        actors: from back to front.
        background_key: what the background's noise is drawn from.
        tint_degrees: hue of the faint background colour.
        contrast_percent: spread of the background's grey levels.
        pan: background displacement per frame in whole pixels, (x, y).
    """

    actors: tuple[Actor, ...]
    background_key: tuple[int | str, ...]
    tint_degrees: int
    contrast_percent: int
    pan: tuple[int, int]


class _Director:
    """Draws the objects of one video."""

    def __init__(self, draws: Draws, config: ShapesConfig, frames: int) -> None:
        self.draws, self.config, self.frames = draws, config, frames
        self.middle = frames - 1  # in half frames

    def look(self, category: int | None = None) -> Look:
        draws = self.draws
        category = draws.integer(0, len(CATEGORIES) - 1) if category is None else category
        return Look(
            category=category,
            hue_degrees=HUES_DEGREES[category] + draws.integer(-HUE_SPREAD_DEGREES, HUE_SPREAD_DEGREES),
            saturation_percent=draws.integer(65, 95),
            value_percent=draws.integer(62, 92),
            texture=draws.choice(TEXTURES),
            period=draws.integer(ONE * 3 // 8, ONE * 7 // 8),
        )

    def alike(self, look: Look) -> Look:
        """Return a look of the same category and nearly the same hue; half of them have the same texture too."""
        other = self.look(look.category)
        same = look if self.draws.chance(50) else other
        hue_degrees = look.hue_degrees + self.draws.integer(-4, 4)
        value_percent = look.value_percent + self.draws.integer(-4, 4)
        texture, period = same.texture, same.period
        return replace(look, hue_degrees=hue_degrees, value_percent=value_percent, texture=texture, period=period)

    def actor(
        self, look: Look, radius_px: int, meet: tuple[int, int], half_frame: int, speed: int, direction: int
    ) -> Actor:
        """Return an object that is at ``meet`` (1/64 px) at a time in half frames, at ``speed`` 1/64 px a frame."""
        draws = self.draws
        growth, spin, angle = draws.integer(-5, 5), draws.integer(-48, 48), draws.integer(0, TURN - 1)
        bend = draws.integer(-UNIT // 2, UNIT // 2)
        velocity = (speed * cosine(direction) // ONE, speed * sine(direction) // ONE)
        poses = []
        for frame in range(self.frames):
            since = 2 * frame - half_frame
            sideways = bend * since * since // 4
            x = meet[0] + velocity[0] * since // 2 - sideways * sine(direction) // ONE
            y = meet[1] + velocity[1] * since // 2 + sideways * cosine(direction) // ONE
            radius = radius_px * UNIT * (200 + growth * (2 * frame - self.middle)) // 200
            poses.append(Pose(x, y, radius, (angle + spin * frame) % TURN))
        return Actor(look, tuple(poses))

    def place(self, margin_px: int) -> tuple[int, int]:
        """Return a random point at least ``margin_px`` inside the frame, in 1/64 px."""
        config = self.config
        return (
            self.draws.integer(margin_px * UNIT, (config.width_px - margin_px) * UNIT),
            self.draws.integer(margin_px * UNIT, (config.height_px - margin_px) * UNIT),
        )

    def crossing(self) -> list[Actor]:
        """Two look-alikes that meet near the middle of the video and go on, so that they swap sides."""
        draws = self.draws
        first = self.look()
        meet, half_frame = self.place(40), self.middle + draws.integer(-3, 3)
        direction = draws.integer(0, TURN - 1)
        actors = []
        for look, heading in ((first, direction), (self.alike(first), direction + TURN // 2 + draws.integer(-90, 90))):
            offset = (meet[0] + draws.integer(-6, 6) * UNIT, meet[1] + draws.integer(-6, 6) * UNIT)
            speed = draws.integer(5 * UNIT, 14 * UNIT)
            actors.append(self.actor(look, draws.integer(17, 26), offset, half_frame, speed, heading))
        return actors

    def hiding(self) -> list[Actor]:
        """A small object that passes behind a large slow one; the large one comes last, in front."""
        draws = self.draws
        meet, half_frame = self.place(40), self.middle + draws.integer(-3, 3)
        small, large = self.look(), self.look(draws.choice(_OPAQUE_CATEGORIES))
        actors = []
        for look, radii_px, speeds in ((small, (14, 17), (8 * UNIT, 13 * UNIT)), (large, (33, 38), (0, 2 * UNIT))):
            radius_px, speed, direction = draws.integer(*radii_px), draws.integer(*speeds), draws.integer(0, TURN - 1)
            actors.append(self.actor(look, radius_px, meet, half_frame, speed, direction))
        return actors

    def wandering(self, others: list[Actor]) -> Actor:
        """An object that stays, enters, leaves or rushes through; half-way it keeps its distance from the others."""
        draws, config = self.draws, self.config
        half_frame = self.middle
        taken = [actor.poses[half_frame // 2] for actor in others]
        candidates = [self.place(20) for _ in range(8)]
        meet = max(candidates, key=lambda at: min([abs(at[0] - p.x) + abs(at[1] - p.y) for p in taken], default=0))
        radius_px, kind = draws.integer(16, 34), draws.integer(0, 99)
        # The nearer side: an object headed there leaves soon; headed away from it, it has come from there.
        outward = 0 if meet[0] * 2 > config.width_px * UNIT else TURN // 2
        if kind < 45:
            speed, direction = draws.integer(0, 5 * UNIT), draws.integer(0, TURN - 1)
        elif kind < 80:
            turned = draws.choice((0, TURN // 2))
            speed, direction = draws.integer(7 * UNIT, 14 * UNIT), outward + turned + draws.integer(-80, 80)
        else:
            speed, direction = draws.integer(16 * UNIT, 28 * UNIT), draws.integer(0, TURN - 1)
        return self.actor(self.look(), radius_px, meet, half_frame, speed, direction)


def draw_scene(config: ShapesConfig, split: str, number: int) -> Scene:
    """Draw one video.

    Args:
        config: the dataset's options.
        split: ``"train"`` or ``"val"``.
        number: the video's number within the split, from 0.

    Returns:
        The scene; the same arguments always give the same scene, other splits or numbers an unrelated one.
    """
    key = ("shapes", config.seed, split, number)
    draws = Draws(*key)
    director = _Director(draws, config, config.frames(split))
    wanted = draws.choice((2, 2, 2, 3, 3, 3, 3, 4, 4, 5))
    crossing, hiding = draws.chance(config.crossing_percent), draws.chance(config.hiding_percent)
    behind = director.crossing() if crossing else []
    pair = director.hiding() if hiding and (not crossing or wanted >= 4) else []
    actors = behind + pair
    while len(actors) < wanted:
        newcomer = director.wandering(actors)
        # Anywhere in depth, except between a hidden object and what hides it.
        depth = draws.integer(0, len(behind)) if pair or draws.chance(50) else len(actors)
        actors.insert(depth, newcomer)
    pan = (draws.integer(-3, 3), draws.integer(-2, 2)) if draws.chance(config.panning_percent) else (0, 0)
    return Scene(
        actors=tuple(actors),
        background_key=(*key, "background"),
        tint_degrees=draws.integer(0, 359),
        contrast_percent=draws.integer(40, 100),
        pan=pan,
    )
