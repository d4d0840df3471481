"""What chooses detections after a network: timed apart, on synthetic scores, since random weights give no good ones.

NumPy only. A method's selection covers everything that decides which
instances are returned and how they are scored (thresholds, top-k, suppression, mask scores); upsampling masks to the
picture is left out for all methods alike. Here is what several methods share; boxes are (left, top, right, bottom) in
pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

BACKGROUND_LOGIT = -6.0
OBJECT_LOGIT = 2.0
NO_OBJECT_LOGIT = 4.0
MASK_THRESHOLD = 0.45
SCORE_THRESHOLD = 0.005
MAPS = 4
"""Score maps that a selection is timed on, in turn."""
DETECTIONS = 100
"""Most detections that a dense method returns."""


@dataclass(frozen=True)
class Selection:
    """A method's selection, ready to be timed.

    Attributes:
        run: scores of one image -> what is kept; everything else it needs (boxes, masks) is fixed inside.
        score_maps: seeded score maps of a few images, all of one shape, float32.
        covers: one line that says which steps are timed.
    """

    run: Callable[[Floats], object]
    score_maps: tuple[Floats, ...]
    covers: str


def synthetic_logits(
    places: int,
    classes: int,
    seed: int,
    objects: int = 100,
    neighbours: int = 1,
    background: int | None = None,
) -> tuple[Floats, ...]:
    """Return class logits as a trained network gives them: background nearly everywhere, some confident places.

    Args:
        places: locations, anchors or queries.
        classes: number of columns.
        seed: of the draws.
        objects: confident groups of places (at most a third of the places are confident).
        neighbours: consecutive places that see the same object, so that there are duplicates to suppress.
        background: the column that stands for background, 0 or -1, of methods that take a softmax over all columns:
            high everywhere but at confident places. None: methods with a sigmoid a column have none.

    Returns:
        Maps (places, classes), float32, logits.
    """
    generator = np.random.default_rng(seed)
    groups = max(1, min(objects, places // (3 * neighbours)))
    first, end = (1 if background == 0 else 0), classes - (background == -1)
    maps = []
    for _ in range(MAPS):
        logits = generator.normal(BACKGROUND_LOGIT, 1.0, (places, classes)).astype(np.float32)
        if background is not None:
            logits[:, background] = generator.normal(NO_OBJECT_LOGIT, 1.0, places)
        starts = generator.choice(max(1, places - neighbours), groups, replace=False)
        for start, category in zip(starts, generator.integers(first, end, groups), strict=True):
            logits[start : start + neighbours, category] = generator.normal(OBJECT_LOGIT, 1.0, neighbours)
            if background is not None:
                logits[start : start + neighbours, background] = generator.normal(BACKGROUND_LOGIT, 1.0, neighbours)
        maps.append(logits)
    return tuple(maps)


def sigmoid(logits: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)) without overflow warnings for logits above -80."""
    result: Floats = (1 / (1 + np.exp(-logits))).astype(np.float32)
    return result


def blob_logits(count: int, height: int, width: int, seed: int) -> Floats:
    """Return mask logits (count, height, width) of discs, positive inside, as trained masks are."""
    generator = np.random.default_rng(seed)
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
    centres = generator.uniform((0, 0), (height, width), (count, 2)).astype(np.float32)
    radii = generator.uniform(0.05, 0.3, count).astype(np.float32) * min(height, width)
    discs = [radius - np.hypot(rows - y, columns - x) for (y, x), radius in zip(centres, radii, strict=True)]
    return np.stack(discs).astype(np.float32)


def mask_scores(mask_logits: Floats, threshold: float) -> Floats:
    """Return the mean probability of each mask's foreground pixels, 0 without any: the "maskness" of SOLO.

    Args:
        mask_logits: (K, h, w).
        threshold: probability above which a pixel is foreground.
    """
    flat = sigmoid(mask_logits.reshape(len(mask_logits), -1))
    foreground = flat > threshold
    mean: Floats = ((flat * foreground).sum(1) / np.maximum(foreground.sum(1), 1)).astype(np.float32)
    return mean


def level_sizes(height_px: int, width_px: int, levels: int) -> list[tuple[int, int]]:
    """Return (height, width) of the levels from stride 8 on, each half of the one before, rounded up."""
    return [(-(-height_px // 2**power), -(-width_px // 2**power)) for power in range(3, 3 + levels)]


def cell_centres(height: int, width: int, stride_px: float) -> Floats:
    """Return x and y of the centres of a level's cells (height * width, 2), row by row."""
    rows, columns = np.divmod(np.arange(height * width, dtype=np.float32), np.float32(width))
    return (np.stack([columns, rows], axis=1) + np.float32(0.5)) * np.float32(stride_px)


def box_iou(first: Floats, second: Floats) -> Floats:
    """Return the IoU of boxes (..., N, 4) with boxes (..., M, 4) as (..., N, M); 0 where both are empty."""
    a, b = first[..., :, None, :], second[..., None, :, :]
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    shared = width.clip(0) * height.clip(0)
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    result: Floats = shared / np.maximum(area_a + area_b - shared, np.float32(1e-9))
    return result


def greedy_nms(boxes: Floats, scores: Floats, categories: Indices, iou_threshold: float, limit: int) -> Indices:
    """Keep the best boxes, dropping those of the same category that overlap a kept one.

    Args:
        boxes: (N, 4), coordinates not negative.
        scores: (N,).
        categories: (N,).
        iou_threshold: a box is dropped if its IoU with a kept one is above it.
        limit: most boxes to keep.

    Returns:
        Indices of the kept boxes, best first.
    """
    if len(boxes) == 0:
        return np.zeros(0, np.int64)
    # Categories are moved apart, so that one pass serves them all.
    apart = boxes + (categories[:, None] * (boxes.max() + 1)).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    kept: list[np.int64] = []
    while len(order) and len(kept) < limit:
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[box_iou(apart[best][None], apart[order])[0] <= iou_threshold]
    return np.array(kept, np.int64)


def fast_nms(boxes: Floats, iou_threshold: float) -> NDArray[np.bool_]:
    """Return which boxes stay when dropped boxes still suppress others (YOLACT, section 4.2).

    Args:
        boxes: (classes, N, 4), best first within a class.
        iou_threshold: a box stays if its IoU with no better one of its class is above it.

    Returns:
        (classes, N).
    """
    overlaps = np.triu(box_iou(boxes, boxes), k=1)
    stays: NDArray[np.bool_] = overlaps.max(axis=1, initial=0.0) <= iou_threshold
    return stays


def matrix_nms(masks: Floats, scores: Floats, categories: Indices) -> Floats:
    """Return scores decayed by how much better masks of the same category cover each mask (SOLOv2, section 3.3).

    The decay of mask j is the least, over better masks i, of exp(-2 * IoU(i, j)²) relative to the same of i's own
    largest IoU with a better mask.

    Args:
        masks: (N, pixels), 0 or 1, best first.
        scores: (N,), descending.
        categories: (N,).
    """
    shared = masks @ masks.T
    areas = shared.diagonal()
    iou = shared / np.maximum(areas[:, None] + areas[None] - shared, np.float32(1))
    iou = np.triu(iou * (categories[:, None] == categories[None]), k=1)
    covered = iou.max(axis=0, initial=0.0)
    decay = np.exp(-2.0 * (iou**2 - covered[:, None] ** 2)).min(axis=0, initial=1.0)
    result: Floats = scores * decay
    return result


def sigmoid_query_selection(num_classes: int, queries: int, mask_size: tuple[int, int], seed: int) -> Selection:
    """Return SparseInst's and MobileInst's selection: no top-k and no suppression.

    Score = square root of class times objectness probability, best class of a query, threshold, times the mask score.

    Args:
        num_classes: number of classes.
        queries: number of queries.
        mask_size: (height, width) of the network's masks.
        seed: of scores and masks.
    """
    masks = blob_logits(queries, *mask_size, seed)

    def run(scores: Floats) -> object:
        probability = np.sqrt(sigmoid(scores[:, :-1]) * sigmoid(scores[:, -1:]))
        category = probability.argmax(1)
        best = probability[np.arange(len(category)), category]
        kept = best > SCORE_THRESHOLD
        return category[kept], best[kept] * mask_scores(masks[kept], MASK_THRESHOLD), kept

    logits = synthetic_logits(queries, num_classes + 1, seed, objects=20)
    return Selection(run, logits, "score, threshold, mask score")


def softmax_query_selection(num_classes: int, queries: int, mask_size: tuple[int, int], seed: int) -> Selection:
    """Return Mask2Former's and FastInst's selection: the best pairs of query and class, times the mask score.

    Arguments as for `sigmoid_query_selection`, background not counted; as many pairs are kept as there are queries.
    """
    masks = blob_logits(queries, *mask_size, seed)

    def run(scores: Floats) -> object:
        exponents = np.exp(scores - scores.max(1, keepdims=True))
        probability = (exponents / exponents.sum(1, keepdims=True))[:, :-1].reshape(-1)
        pairs = np.argpartition(probability, -queries)[-queries:]
        query, category = np.divmod(pairs, num_classes)
        return category, probability[pairs] * mask_scores(masks[query], 0.5), query

    logits = synthetic_logits(queries, num_classes + 1, seed, objects=20, background=-1)
    return Selection(run, logits, "softmax, top pairs of query and class, mask score")
