"""Pictures of the images and videos whose errors cost most: ground truth beside prediction, every error named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from suite.accuracy.error_analysis.analysis import Analysis
from suite.accuracy.error_analysis.kinds import MISSED
from suite.accuracy.error_analysis.ladder import Ladder
from suite.datasets.categories import Id
from suite.datasets.coco import CocoDataset, Detections
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
    """A detection or object by its place in its file, with the colour and the label that say what became of it."""

    place: int
    colour: tuple[int, int, int]
    label: str


def _objects(ladder: Ladder, unit: int, names: tuple[str, ...]) -> list[_Named]:
    named = []
    for row in np.flatnonzero(ladder.objects.unit == unit).tolist():
        word, colour = "", PLAIN
        if not ladder.counted[row]:
            colour, word = CROWD_COLOUR, " not counted"
        elif ladder.lost[row]:
            colour, word = LOST, f" {MISSED.label}" if ladder.missed[row] else " not found"
        named.append(_Named(row, colour, names[ladder.objects.category[row]] + word))
    return named


def _detections(ladder: Ladder, unit: int, names: tuple[str, ...], score_threshold: float) -> list[_Named]:
    """Return the detections of a unit by rising score, so that the best are painted last."""
    judged, found, named = ladder.judged, ladder.detections, []
    for row in np.flatnonzero((found.unit == unit) & (found.score >= score_threshold))[::-1].tolist():
        colour, word = CROWD_COLOUR, " not counted"
        if ladder.wrong[row]:
            colour, word = WRONG, f" {judged.kinds[judged.kind[row]].label}"
        elif ladder.hit[row]:
            colour, word = RIGHT, ""
        label = f"{names[found.category[row]]} {found.score[row]:.2f}{word}"
        named.append(_Named(int(found.place[row]), colour, label))
    return named


def _painted(analysis: Analysis, unit_id: Id, named: list[_Named], truth: bool) -> Image.Image:
    """Paint some objects or detections of an image, or of frames of a video side by side."""
    dataset, found = analysis.dataset, analysis.found
    if isinstance(dataset, CocoDataset):
        assert isinstance(found, Detections)
        image, codes = dataset.images[dataset.places[unit_id]], (dataset if truth else found).codes
        shapes = [Shape(codes.mask(item.place), item.colour, item.label) for item in named]
        return paint(dataset.read(image), shapes, IMAGE_WIDTH_PX)
    assert isinstance(found, tuple)
    video, tracks, pictures = dataset.videos[dataset.places[unit_id]], dataset.masked_tracks if truth else found, []
    for frame in evenly_spaced(video.length, SHOWN_FRAMES):
        masks = [tracks[item.place].masks.mask(frame, video.height, video.width) for item in named]
        shapes = [Shape(mask, item.colour, item.label) for mask, item in zip(masks, named, strict=True)]
        pictures.append(paint(dataset.read_frame(video, frame), shapes, FRAME_WIDTH_PX))
    return side_by_side(pictures)


def draw_worst(analysis: Analysis, folder: Path, score_threshold: float) -> list[Path]:
    """Draw the images or videos of ``analysis.worst``, one PNG each: images side by side, videos as strips of frames.

    Args:
        analysis: of data whose image folder is known; reading its pictures may raise DataError or InputError.
        folder: where to write; made if absent.
        score_threshold: detections below it are not drawn, 0 to 1.

    Returns:
        The files, the dearest first.
    """
    ladder, paths, ids = Ladder(analysis.judged), [], sorted(analysis.dataset.places)
    what, names = "image" if analysis.score.task == "coco" else "video", analysis.dataset.categories.names
    for number, worst in enumerate(analysis.worst, start=1):
        unit = ids.index(worst.id)
        truth = _painted(analysis, worst.id, _objects(ladder, unit, names), True)
        predicted = _painted(analysis, worst.id, _detections(ladder, unit, names, score_threshold), False)
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
