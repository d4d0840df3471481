"""Draw predicted masks of a few images below their ground truth.

What is shown is chosen by a rule that never looks at the results, and the rule is part of the caption.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from suite.drawing.overlay import (
    COLOURS,
    CROWD_COLOUR,
    Shape,
    banner,
    evenly_spaced,
    paint,
    save_png,
    side_by_side,
    stacked,
)

if TYPE_CHECKING:
    from suite.datasets.coco import CocoDataset

SHOWN_IMAGES = 8
IMAGES_PER_ROW = 4
IMAGE_WIDTH_PX = 360
IMAGE_HEIGHT_PX = 270


def _framed(pixels: NDArray[np.uint8], shapes: list[Shape]) -> Image.Image:
    """Paint an image as large as the frame of `IMAGE_WIDTH_PX` x `IMAGE_HEIGHT_PX` allows, centred between white."""
    height, width = pixels.shape[:2]
    picture = paint(pixels, shapes, min(IMAGE_WIDTH_PX, max(1, IMAGE_HEIGHT_PX * width // height)))
    frame = Image.new("RGB", (IMAGE_WIDTH_PX, picture.height), (255, 255, 255))
    frame.paste(picture, ((IMAGE_WIDTH_PX - picture.width) // 2, 0))
    return frame


def draw_detections(dataset: CocoDataset, results_path: Path, out_path: Path, score_threshold: float = 0.3) -> str:
    """Draw ground truth above predictions for `SHOWN_IMAGES` images, in the colours of the categories.

    Args:
        dataset: images and ground truth; its image folder must be known.
        results_path: COCO results file (``.json`` or ``.json.gz``).
        out_path: PNG to write.
        score_threshold: predictions below it are not drawn, 0 to 1.

    Returns:
        The caption, which states the rule of choice and the threshold.

    Raises:
        DataError: if the results file or an image is absent.
        InputError: if the results file is damaged or for other images.
    """
    from suite.datasets.coco import grouped, read_detections  # The report draws in an environment without pycocotools.

    found, objects, names = read_detections(results_path, dataset), dataset.objects, dataset.categories.names
    predicted = grouped(found.image, len(dataset.images))
    images = [dataset.images[place] for place in evenly_spaced(len(dataset.images), SHOWN_IMAGES)]
    truths, predictions = [], []
    for image in images:
        pixels, shapes = dataset.read(image), []
        for row in dataset.rows_of(image.image_id):
            index, crowd = int(objects.class_index[row]), bool(objects.crowd[row])
            colour = CROWD_COLOUR if crowd else COLOURS[index % len(COLOURS)]
            shapes.append(Shape(dataset.codes.mask(row), colour, names[index] + (" (crowd)" if crowd else "")))
        truths.append(_framed(pixels, shapes))
        rows = predicted[dataset.places[image.image_id]]
        rows = rows[found.scores[rows] >= score_threshold]
        shapes = []
        for row in rows[np.argsort(found.scores[rows], kind="stable")].tolist():
            index = int(found.class_index[row])
            label = f"{names[index]} {found.scores[row]:.2f}"
            shapes.append(Shape(found.codes.mask(row), COLOURS[index % len(COLOURS)], label))
        predictions.append(_framed(pixels, shapes))
    strips: list[Image.Image] = []
    width = min(len(images), IMAGES_PER_ROW) * (IMAGE_WIDTH_PX + 4) - 4
    for start in range(0, len(images), IMAGES_PER_ROW):
        stop = start + IMAGES_PER_ROW
        strips += [banner("ground truth", width), side_by_side(truths[start:stop])]
        strips += [banner("predicted", width), side_by_side(predictions[start:stop])]
    caption = f"Ground truth and predicted masks with scores of at least {score_threshold:g}; shown: "
    caption += f"{len(images)} of {len(dataset.images)} images, evenly spaced in the file's order."
    save_png(stacked(strips), out_path)
    return caption
