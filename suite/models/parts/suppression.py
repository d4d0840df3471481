"""How dense detectors drop duplicates: greedy, Fast and Matrix non-maximum suppression, in NumPy.

Boxes are (left, top, right, bottom) in pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


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


def matrix_nms(masks: Floats, scores: Floats, categories: Indices, sigma: float = 2.0) -> Floats:
    """Return scores decayed by how much better masks of the same category cover each mask (SOLOv2, section 3.3).

    The decay of mask j is the least, over better masks i, of exp(-sigma * IoU(i, j)²) relative to the same of i's own
    largest IoU with a better mask.

    Args:
        masks: (N, pixels), 0 or 1, best first.
        scores: (N,), descending.
        categories: (N,).
        sigma: width of the Gaussian.
    """
    shared = masks @ masks.T
    areas = shared.diagonal()
    iou = shared / np.maximum(areas[:, None] + areas[None] - shared, np.float32(1))
    iou = np.triu(iou * (categories[:, None] == categories[None]), k=1)
    covered = iou.max(axis=0, initial=0.0)
    decay = np.exp(-sigma * (iou**2 - covered[:, None] ** 2)).min(axis=0, initial=1.0)
    result: Floats = scores * decay
    return result
