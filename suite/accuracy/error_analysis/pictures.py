"""Pictures of the images and videos whose errors cost most: ground truth beside prediction, every error named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from suite.accuracy.error_analysis.analysis import Analysis, WorstUnit
from suite.accuracy.error_analysis.kinds import MISSED
from suite.accuracy.error_analysis.ladder import Ladder
from suite.datasets.categories import Id
from suite.datasets.coco import CocoDataset, read_detections
from suite.datasets.youtube_vis import YoutubeVisDataset, read_tracks
from suite.drawing.overlay import (
    CROWD_COLOUR,
    Mask,
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


def _title(analysis: Analysis, worst: WorstUnit, what: str, score_threshold: float) -> str:
    errors = ", ".join(f"{amount} {kind.label}" for kind, amount in worst.counts.items() if amount)
    return (
        f"{what} {worst.id}: its errors cost {100 * worst.gain:.2f} points of AP50 ({errors}). "
        f"{LEGEND}. Drawn: scores of at least {score_threshold:g}."
    )


def _drawn(
    analysis: Analysis,
    what: str,
    folder: Path,
    score_threshold: float,
    paint_side: Callable[[Id, Sequence[_Named], bool], Image.Image],
    beside: bool,
) -> list[Path]:
    """Draw every unit of the analysis' list; ``paint_side`` paints one side of the unit with this id."""
    ladder, paths = Ladder(analysis.judged), []
    for number, worst in enumerate(analysis.worst, start=1):
        unit = analysis.unit_ids.index(worst.id)
        truth = paint_side(worst.id, _objects(ladder, unit), True)
        found = paint_side(worst.id, _detections(ladder, unit, score_threshold), False)
        if beside:
            heads = side_by_side([banner("ground truth", truth.width), banner("predicted", found.width)])
            rows = [heads, side_by_side([truth, found])]
        else:
            rows = [banner("ground truth", truth.width), truth, banner("predicted", found.width), found]
        title = banner(_title(analysis, worst, what, score_threshold), rows[0].width)
        path = folder / f"{number:02d}_{what}_{worst.id}.png"
        save_png(stacked([title, *rows]), path)
        paths.append(path)
    return paths


def _label(named: _Named, category: str, score: float | None) -> str:
    words = [category, "" if score is None else f"{score:.2f}", named.word]
    return " ".join(word for word in words if word)


def draw_worst_images(
    analysis: Analysis, annotations: Path, images: Path, results: Path, folder: Path, score_threshold: float
) -> list[Path]:
    """Draw the images of ``analysis.worst``, one PNG each: ground truth beside prediction.

    Args:
        analysis: of this results file.
        annotations: COCO instances file.
        images: where its file names start.
        results: COCO results file.
        folder: where to write; made if absent.
        score_threshold: detections below it are not drawn, 0 to 1.

    Returns:
        The files, the dearest image first.

    Raises:
        DataError: if an image or a file is absent.
        InputError: if one is damaged.
    """
    dataset = CocoDataset.load(annotations, images)
    detections, objects = read_detections(results, dataset), dataset.objects

    def side(image_id: Id, named: Sequence[_Named], truth: bool) -> Image.Image:
        image, shapes = dataset.images[dataset.places[image_id]], []
        codes = (dataset if truth else detections).codes.rles(np.array([item.place for item in named], np.int64))
        for item, code in zip(named, codes, strict=True):
            name = dataset.categories.names[(objects if truth else detections).class_index[item.place]]
            score = None if truth else float(detections.scores[item.place])
            mask: Mask = np.asarray(coco_mask.decode(code), np.bool_)
            shapes.append(Shape(mask, item.colour, _label(item, name, score)))
        return paint(dataset.read(image), shapes, IMAGE_WIDTH_PX)

    return _drawn(analysis, "image", folder, score_threshold, side, beside=True)


def draw_worst_videos(
    analysis: Analysis, annotations: Path, images: Path, results: Path, folder: Path, score_threshold: float
) -> list[Path]:
    """Draw the videos of ``analysis.worst``, one PNG each: strips of frames, ground truth above prediction.

    Args and errors are those of `draw_worst_images`, for YouTube-VIS files and folders of frames.
    """
    dataset = YoutubeVisDataset.load(annotations, images)
    found, names = read_tracks(results, dataset), dataset.categories.names

    def side(video_id: Id, named: Sequence[_Named], truth: bool) -> Image.Image:
        video = dataset.videos[dataset.places[video_id]]
        tracks = [(item, (dataset.masked_tracks if truth else found)[item.place]) for item in named]
        pictures = []
        for frame in evenly_spaced(video.length, SHOWN_FRAMES):
            shapes = []
            for item, track in tracks:
                label = _label(item, names[track.class_index], None if truth else track.score)
                shapes.append(Shape(track.masks.mask(frame, video.height, video.width), item.colour, label))
            pictures.append(paint(dataset.read_frame(video, frame), shapes, FRAME_WIDTH_PX))
        return side_by_side(pictures)

    return _drawn(analysis, "video", folder, score_threshold, side, beside=False)
