"""Postprocessing without any shortcut, in float64 NumPy: every pixel of every mask is interpolated."""

from __future__ import annotations

import math

import numpy as np

from reference_model.images import Geometry


def resize_rows(values: np.ndarray, size: int) -> np.ndarray:
    """Bilinear interpolation along the first axis with half-pixel centres, the border repeated."""
    source = np.clip((np.arange(size) + 0.5) * len(values) / size - 0.5, 0, len(values) - 1)
    low = np.floor(source).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    part = (source - low).reshape(-1, *[1] * (values.ndim - 1))
    return values[low] * (1 - part) + values[high] * part


def resize(values: np.ndarray, height: int, width: int) -> np.ndarray:
    return resize_rows(resize_rows(values, height).T, width).T


def full_size_logits(logits: np.ndarray, geometry: Geometry) -> np.ndarray:
    """(h, w) mask logits -> padded input -> crop -> original size."""
    padded = resize(logits.astype(np.float64), 4 * logits.shape[0], 4 * logits.shape[1])
    shown = padded[: geometry.resized_height, : geometry.resized_width]
    return resize(shown, geometry.original_height, geometry.original_width)


def detections(
    class_logits: np.ndarray, objectness_logits: np.ndarray, mask_logits: np.ndarray, geometry: Geometry
) -> list[tuple[int, float, np.ndarray]]:
    """(class, score, full-size logits) of every kept query, best first, by the rule in words."""
    found = []
    for classes, objectness, logits in zip(class_logits, objectness_logits, mask_logits, strict=True):
        probabilities = [1 / (1 + math.exp(-x)) for x in classes]
        score = max(math.sqrt(p / (1 + math.exp(-objectness))) for p in probabilities)
        if score <= 0.005:
            continue
        inside = [
            1 / (1 + math.exp(-logits[y, x]))
            for y in range(logits.shape[0])
            for x in range(logits.shape[1])
            if 4 * y + 2 < geometry.resized_height and 4 * x + 2 < geometry.resized_width
        ]
        foreground = [p for p in inside if p > 0.45]
        full = full_size_logits(logits, geometry)
        if (full > math.log(0.45 / 0.55)).any():
            mean = sum(foreground) / len(foreground) if foreground else 0.0
            found.append((int(np.argmax(classes)), score * mean, full))
    return sorted(found, key=lambda one: -one[1])
