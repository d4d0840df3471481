"""Pictures of the images and videos whose errors cost most: ground truth beside prediction, every error named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from suite.accuracy.error_analysis.analysis import Analysis
from suite.accuracy.error_analysis.kinds import MISSED
from suite.accuracy.error_analysis.ladder import Ladder
from suite.datasets.categories import Id
from suite.datasets.coco import CocoDataset, Detections
from suite.datasets.youtube_vis import MaskedTrack, YoutubeVisDataset
from suite.drawing.overlay import (
    CROWD_COLOUR,
    Shape,
    banner,
    evenly_spaced,
    paint,
    save_png,
    side_by_side,
    stacked,
)

RIGHT, WRONG, LOST, PLAIN = (0, 158, 115), (213, 94, 0), (204, 121, 167), (86, 180, 233)
"""Green is a hit, vermilion an error, purple an object that was not found, blue one that was."""

IMAGE_WIDTH_PX = 480
FRAME_WIDTH_PX = 300
SHOWN_FRAMES = 4
LEGEND = "green: hit; red: error, by kind; blue: found; purple: not found; grey: crowd or not counted"


@dataclass(frozen=True)
class _Named:
    """A detection or object by its place in its file, with the colour and the word that say what became of it."""

    place: int
    colour: tuple[int, int, int]
    word: str


def _objects(ladder: Ladder, unit: int) -> list[_Named]:
    named = []
    for row in np.flatnonzero(ladder.objects.unit == unit).tolist():
        word, colour = "", PLAIN
        if not ladder.counted[row]:
            colour, word = CROWD_COLOUR, "not counted"
        elif ladder.lost[row]:
            colour, word = LOST, MISSED.label if ladder.missed[row] else "not found"
        named.append(_Named(row, colour, word))
    return named


def _detections(ladder: Ladder, unit: int, score_threshold: float) -> list[_Named]:
    """Return the detections of a unit by rising score, so that the best are painted last."""
    judged, found, named = ladder.judged, ladder.detections, []
    for row in np.flatnonzero((found.unit == unit) & (found.score >= score_threshold))[::-1].tolist():
        colour, word = CROWD_COLOUR, "not counted"
        if ladder.wrong[row]:
            colour, word = WRONG, judged.kinds[judged.kind[row]].label
        elif ladder.hit[row]:
            colour, word = RIGHT, ""
        named.append(_Named(int(found.place[row]), colour, word))
    return named


Side = Callable[[Id, Sequence[_Named], bool], Image.Image]
"""Paints some objects (True) or detections of the image or video with this id."""


def _label(named: _Named, category: str, score: float | None) -> str:
    words = [category, "" if score is None else f"{score:.2f}", named.word]
    return " ".join(word for word in words if word)


def _image_side(dataset: CocoDataset, detections: Detections) -> Side:
    def side(image_id: Id, named: Sequence[_Named], truth: bool) -> Image.Image:
        image, shapes = dataset.images[dataset.places[image_id]], []
        for item in named:
            name = dataset.categories.names[(dataset.objects if truth else detections).class_index[item.place]]
            label = _label(item, name, None if truth else float(detections.scores[item.place]))
            shapes.append(Shape((dataset if truth else detections).codes.mask(item.place), item.colour, label))
        return paint(dataset.read(image), shapes, IMAGE_WIDTH_PX)

    return side


def _video_side(dataset: YoutubeVisDataset, found: Sequence[MaskedTrack]) -> Side:
    def side(video_id: Id, named: Sequence[_Named], truth: bool) -> Image.Image:
        video, pictures = dataset.videos[dataset.places[video_id]], []
        for frame in evenly_spaced(video.length, SHOWN_FRAMES):
            shapes = []
            for item in named:
                track = (dataset.masked_tracks if truth else found)[item.place]
                label = _label(item, dataset.categories.names[track.class_index], None if truth else track.score)
                shapes.append(Shape(track.masks.mask(frame, video.height, video.width), item.colour, label))
            pictures.append(paint(dataset.read_frame(video, frame), shapes, FRAME_WIDTH_PX))
        return side_by_side(pictures)

    return side


def draw_worst(analysis: Analysis, folder: Path, score_threshold: float) -> list[Path]:
    """Draw the images or videos of ``analysis.worst``, one PNG each: images side by side, videos as strips of frames.

    Args:
        analysis: of data whose image folder is known.
        folder: where to write; made if absent.
        score_threshold: detections below it are not drawn, 0 to 1.

    Returns:
        The files, the dearest first.

    Raises:
        DataError: if an image is absent.
        InputError: if one is damaged.
    """
    dataset, found = analysis.dataset, analysis.found
    ladder, paths, ids = Ladder(analysis.judged), [], sorted(dataset.places)
    if isinstance(dataset, CocoDataset) and isinstance(found, Detections):
        what, side = "image", _image_side(dataset, found)
    else:
        assert isinstance(dataset, YoutubeVisDataset)
        assert isinstance(found, tuple)
        what, side = "video", _video_side(dataset, found)
    for number, worst in enumerate(analysis.worst, start=1):
        unit = ids.index(worst.id)
        truth = side(worst.id, _objects(ladder, unit), True)
        predicted = side(worst.id, _detections(ladder, unit, score_threshold), False)
        rows = [banner("ground truth", truth.width), truth, banner("predicted", predicted.width), predicted]
        if what == "image":
            rows = [side_by_side([rows[0], rows[2]]), side_by_side([truth, predicted])]
        title = (
            f"{what} {worst.id}: its errors cost {100 * worst.gain:.2f} points of AP50 ({worst.errors}). "
            f"{LEGEND}. Drawn: scores of at least {score_threshold:g}."
        )
        paths.append(folder / f"{number:02d}_{what}_{worst.id}.png")
        save_png(stacked([banner(title, rows[0].width), *rows]), paths[-1])
    return paths
