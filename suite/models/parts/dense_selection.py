"""How YOLACT, SOLOv2 and CondInst choose detections among thousands of places, on synthetic scores; NumPy only.

Boxes and masks are fixed and seeded; confident places come in runs of neighbours that see the same object, so that
there are duplicates to suppress.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suite.models.parts.selection import Floats, Selection, blob_logits, sigmoid, synthetic_logits
from suite.models.parts.suppression import fast_nms, greedy_nms, matrix_nms

KEPT = 100
YOLACT_STRIDES_PX = (8, 16, 32, 64, 128)
YOLACT_SCALES_PX = (24, 48, 96, 192, 384)
YOLACT_RATIOS = (1.0, 0.5, 2.0)
YOLACT_VARIANCES = (0.1, 0.2)
"""Of centre and size: what a box's deltas are multiplied with before they move an anchor (as in SSD)."""
SOLOV2_GRIDS = (40, 36, 24, 16, 12)
SOLOV2_STRIDES_PX = (8, 8, 16, 32, 32)
SOLOV2_CANDIDATES = 500
FCOS_STRIDES_PX = (8, 16, 32, 64, 128)
FCOS_LEVEL_CANDIDATES = 1000


def _level_sizes(height_px: int, width_px: int, levels: int) -> list[tuple[int, int]]:
    """Return (height, width) of the levels from stride 8 on, each half of the one before, rounded up."""
    return [(-(-height_px // 2**power), -(-width_px // 2**power)) for power in range(3, 3 + levels)]


def _cell_centres(height: int, width: int, stride_px: float) -> Floats:
    """Return x and y of the centres of a level's cells (height * width, 2), row by row."""
    rows, columns = np.divmod(np.arange(height * width, dtype=np.float32), np.float32(width))
    return (np.stack([columns, rows], axis=1) + np.float32(0.5)) * np.float32(stride_px)


def yolact_anchors(height_px: int, width_px: int) -> Floats:
    """Return YOLACT's anchors (cells * 3, 4) as centre x, centre y, width, height in pixels.

    The authors make every anchor square, the width's: their released weights were trained like that.
    """
    anchors = []
    sizes = _level_sizes(height_px, width_px, len(YOLACT_SCALES_PX))
    for (height, width), stride_px, scale_px in zip(sizes, YOLACT_STRIDES_PX, YOLACT_SCALES_PX, strict=True):
        centres = np.repeat(_cell_centres(height, width, stride_px), len(YOLACT_RATIOS), axis=0)
        sides = np.tile(scale_px * np.sqrt(YOLACT_RATIOS), height * width).astype(np.float32)
        anchors.append(np.concatenate([centres, sides[:, None], sides[:, None]], axis=1))
    return np.concatenate(anchors)


def yolact_selection(num_classes: int, height_px: int, width_px: int, seed: int) -> Selection:
    """Return YOLACT's selection.

    Softmax, foreground above 0.05, boxes decoded, Fast NMS on the 200 best of each class at IoU 0.5, 100 best overall.

    Args:
        num_classes: categories without background.
        height_px: of the input.
        width_px: of the input.
        seed: of scores and boxes.
    """
    anchors = yolact_anchors(height_px, width_px)
    deltas = np.random.default_rng(seed).normal(0, 0.3, anchors.shape).astype(np.float32)

    def decode(kept: NDArray[np.intp]) -> Floats:
        centre = anchors[kept, :2] + deltas[kept, :2] * np.float32(YOLACT_VARIANCES[0]) * anchors[kept, 2:]
        half = anchors[kept, 2:] * np.exp(deltas[kept, 2:] * np.float32(YOLACT_VARIANCES[1])) / 2
        return np.concatenate([centre - half, centre + half], axis=1)

    def run(logits: Floats) -> object:
        exponents = np.exp(logits - logits.max(1, keepdims=True))
        probability = (exponents / exponents.sum(1, keepdims=True))[:, 1:]
        kept = np.flatnonzero(probability.max(1) > 0.05)
        scores, boxes = probability[kept].T, decode(kept)  # (classes, candidates), (candidates, 4)
        order = np.argsort(-scores, axis=1)[:, :200]
        ranked = np.take_along_axis(scores, order, axis=1)
        category, rank = np.nonzero(fast_nms(boxes[order], 0.5))
        best = np.argsort(-ranked[category, rank])[:KEPT]
        category, rank = category[best], rank[best]
        chosen = order[category, rank]
        return category, ranked[category, rank], boxes[chosen], kept[chosen]

    maps = synthetic_logits(len(anchors), 1 + num_classes, seed, neighbours=9, background=0)
    return Selection(run, maps, "softmax, threshold, box decoding, Fast NMS, top 100; not the cropping of masks")


def window_maxima(scores: Floats) -> Floats:
    """Return the largest score of each 2x2 window of a grid that ends at a cell, for all of SOLOv2's grids.

    Args:
        scores: (cells, classes), grid by grid and row by row.

    Returns:
        The same shape.
    """
    maxima, start = [], 0
    for grid in SOLOV2_GRIDS:
        cells = scores[start : start + grid**2].reshape(grid, grid, -1)
        start += grid**2
        cells = np.maximum(cells, np.pad(cells, ((1, 0), (0, 0), (0, 0)))[:-1])
        cells = np.maximum(cells, np.pad(cells, ((0, 0), (1, 0), (0, 0)))[:, :-1])
        maxima.append(cells.reshape(grid**2, -1))
    return np.concatenate(maxima)


def solov2_selection(num_classes: int, height_px: int, width_px: int, seed: int) -> Selection:
    """Return SOLOv2's selection, mask products left out.

    Score above 0.1 and the largest of its 2x2 window, area of the binary mask above the level's stride, score times
    mean foreground probability, Matrix NMS on the 500 best, 0.05, 100 best.

    Args:
        num_classes: categories.
        height_px: of the input.
        width_px: of the input.
        seed: of scores and masks.
    """
    cells = [grid**2 for grid in SOLOV2_GRIDS]
    least_area = np.repeat(SOLOV2_STRIDES_PX, cells)
    bank = sigmoid(blob_logits(SOLOV2_CANDIDATES, height_px // 4, width_px // 4, seed).clip(-30, 30))
    bank = bank.reshape(SOLOV2_CANDIDATES, -1)

    def run(scores_and_maxima: Floats) -> object:
        scores, maxima = scores_and_maxima
        cell, category = np.nonzero((scores > 0.1) & (scores == maxima))
        probability = bank[np.arange(len(cell)) % SOLOV2_CANDIDATES]
        masks = probability > 0.5
        area = masks.sum(1)
        large = area > least_area[cell]
        cell, category, masks, area = cell[large], category[large], masks[large], area[large]
        certainty = scores[cell, category] * (probability[large] * masks).sum(1) / area
        order = np.argsort(-certainty)[:SOLOV2_CANDIDATES]
        decayed = matrix_nms(masks[order].astype(np.float32), certainty[order], category[order])
        best = np.argsort(-decayed)[:KEPT]
        best = best[decayed[best] >= 0.05]
        return category[order][best], decayed[best], order[best]

    scores = [sigmoid(logits) for logits in synthetic_logits(sum(cells), num_classes, seed, neighbours=5)]
    maps = tuple(np.stack([score, window_maxima(score)]) for score in scores)
    covers = "point NMS, binary masks of about 300 candidates, mask score, Matrix NMS, top 100; not their mask products"
    return Selection(run, maps, covers)


def condinst_selection(num_classes: int, height_px: int, width_px: int, seed: int) -> Selection:
    """Return CondInst's and CrossVIS's selection.

    Class times centre-ness above 0.05, the 1000 best of each level, class-wise NMS at IoU 0.6, 100 best, square root.

    Args:
        num_classes: categories.
        height_px: of the input.
        width_px: of the input.
        seed: of scores and boxes.
    """
    generator = np.random.default_rng(seed)
    sizes = _level_sizes(height_px, width_px, len(FCOS_STRIDES_PX))
    counts = [height * width for height, width in sizes]
    centres = np.concatenate(
        [_cell_centres(*size, stride_px) for size, stride_px in zip(sizes, FCOS_STRIDES_PX, strict=True)]
    )
    object_px = np.repeat(FCOS_STRIDES_PX, counts)[:, None] * 4
    sides_px = (object_px * generator.uniform(0.8, 1.2, (len(centres), 4))).astype(np.float32)
    centerness = sigmoid(generator.normal(1, 0.5, (len(centres), 1)).astype(np.float32))
    ends = np.cumsum(counts)

    def run(logits: Floats) -> object:
        scores = sigmoid(logits) * centerness
        places, categories = [], []
        for start, end in zip(ends - counts, ends, strict=True):
            place, category = np.nonzero(scores[start:end] > 0.05)
            if len(place) > FCOS_LEVEL_CANDIDATES:
                best = np.argpartition(-scores[start + place, category], FCOS_LEVEL_CANDIDATES)[:FCOS_LEVEL_CANDIDATES]
                place, category = place[best], category[best]
            places.append(place + start)
            categories.append(category)
        place, category = np.concatenate(places), np.concatenate(categories)
        boxes = np.concatenate(
            [centres[place] - sides_px[place, :2], centres[place] + sides_px[place, 2:]], axis=1, dtype=np.float32
        ).clip(0, np.float32(max(height_px, width_px)))
        kept = greedy_nms(boxes, scores[place, category], category, 0.6, KEPT)
        return category[kept], np.sqrt(scores[place, category][kept]), boxes[kept], place[kept]

    maps = synthetic_logits(len(centres), num_classes, seed, neighbours=9)
    return Selection(run, maps, "scores, threshold, top 1000 a level, boxes, class-wise NMS, top 100")
