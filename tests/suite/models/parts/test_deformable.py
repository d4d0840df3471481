"""Deformable attention against a loop over tokens, heads and points."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from suite.models.parts.deformable import DeformableAttention, cell_centres

torch.set_num_threads(1)
SIZES = [(2, 3), (4, 5)]


def at(values: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
    """Bilinear value of a map (h, w, c) at a place in cells, half-pixel centres, zero outside."""
    height, width, _ = values.shape
    left, top = int(np.floor(x - 0.5)), int(np.floor(y - 0.5))
    total = np.zeros(values.shape[2])
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        share = max(0.0, 1 - abs(x - 0.5 - column)) * max(0.0, 1 - abs(y - 0.5 - row))
        if 0 <= row < height and 0 <= column < width:
            total += share * values[row, column]
    return total


def test_every_token_mixes_bilinear_samples_of_every_map() -> None:
    torch.manual_seed(0)
    width, heads, points = 8, 2, 3
    layer = DeformableAttention(width, heads, len(SIZES), points).eval()
    count = sum(height * breadth for height, breadth in SIZES)
    queries, tokens = torch.randn(1, count, width), torch.randn(1, count, width)
    centres = cell_centres(SIZES, queries.device)
    with torch.no_grad():
        found = layer(queries, tokens, centres, SIZES)[0].numpy()
        offsets = layer.offsets(queries)[0].double().numpy().reshape(count, heads, len(SIZES), points, 2)
        weights = layer.weights(queries)[0].double().numpy().reshape(count, heads, -1)
        values = layer.value(tokens)[0].double().numpy()
        out = layer.out.weight.double().numpy(), layer.out.bias.double().numpy()
    weights = np.exp(weights) / np.exp(weights).sum(-1, keepdims=True)
    maps, start = [], 0
    for height, breadth in SIZES:
        maps.append(values[start : start + height * breadth].reshape(height, breadth, heads, -1))
        start += height * breadth
    mixed = np.zeros((count, heads, width // heads))
    for token, head, level, point in np.ndindex(count, heads, len(SIZES), points):
        height, breadth = SIZES[level]
        x = float(centres[token, 0]) * breadth + offsets[token, head, level, point, 0]
        y = float(centres[token, 1]) * height + offsets[token, head, level, point, 1]
        share = weights[token, head, level * points + point]
        mixed[token, head] += share * at(maps[level][:, :, head], x, y)
    expected = mixed.reshape(count, width) @ out[0].T + out[1]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_centres_are_in_the_middle_of_cells_map_by_map() -> None:
    centres = cell_centres(SIZES, torch.device("cpu"))
    assert centres.shape == (26, 2)
    torch.testing.assert_close(centres[0], torch.tensor([1 / 6, 1 / 4]))
    torch.testing.assert_close(centres[6 + 5], torch.tensor([1 / 10, 3 / 8]))
