"""SparseInst, FastInst and Mask2Former: output shapes, the parts against plain NumPy."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from suite.models import get_entry
from suite.models.fastinst import choose_places
from suite.models.mask2former import DeformableAttention, cell_centres
from suite.models.parts.attention import HIDDEN, Attention, attention_bias
from suite.models.sparseinst import InstanceBranch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def shapes(name: str, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        output = get_entry(name).build(0)(torch.zeros(1, 3, *size))
    return {field: tuple(value.shape) for field, value in zip(output._fields, output, strict=True)}


def test_outputs_are_those_of_the_methods() -> None:
    assert shapes("sparseinst_topformer_base_608", (608, 864)) == {
        "class_logits": (1, 100, 80),
        "objectness_logits": (1, 100, 1),
        "mask_logits": (1, 100, 152, 216),
    }
    assert shapes("sparseinst_vis_topformer_base_360", (384, 640))["class_logits"] == (1, 100, 40)
    assert shapes("fastinst_topformer_base_640", (640, 864)) == {
        "class_logits": (1, 100, 81),
        "mask_logits": (1, 100, 80, 108),
    }
    for reading in ("", "_deformable"):
        assert shapes(f"mask2former_topformer_base_640{reading}", (640, 864)) == {
            "class_logits": (1, 100, 81),
            "mask_logits": (1, 100, 160, 216),
        }


def _conv(feature: NDArray[np.float64], weight: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
    """A 3x3 convolution, written out: (C, h, w) to (O, h, w)."""
    padded = np.pad(feature, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    result: NDArray[np.float64] = np.einsum("chwij,ocij->ohw", windows, weight) + bias[:, None, None]
    return result


def test_each_instance_s_features_are_four_weighted_means() -> None:
    torch.manual_seed(0)
    branch = InstanceBranch(num_classes=3).eval()
    feature = torch.randn(1, 256, 4, 5)
    class_logits, objectness_logits, kernels = branch(feature)
    inner = branch.branch(feature)[0].double().numpy()
    weight, bias = branch.activation.weight.double().numpy(), branch.activation.bias.double().numpy()
    vectors = np.empty((100, 4, 256))
    for group in range(4):
        own = slice(100 * group, 100 * (group + 1))
        activation = _conv(inner[64 * group : 64 * (group + 1)], weight[own], bias[own])
        share = 1 / (1 + np.exp(-activation))
        share /= share.sum(axis=(1, 2), keepdims=True)
        vectors[:, group] = np.einsum("nhw,chw->nc", share, inner)
    hidden = np.maximum(_linear(branch.hidden, vectors.reshape(100, 1024)), 0)
    for layer, found in (
        (branch.classes, class_logits),
        (branch.objectness, objectness_logits),
        (branch.kernels, kernels),
    ):
        np.testing.assert_allclose(found[0].numpy(), _linear(layer, hidden), atol=1e-4)


def _linear(layer: torch.nn.Linear, values: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = values @ layer.weight.double().numpy().T + layer.bias.double().numpy()
    return result


def test_masked_attention_is_a_softmax_over_the_mask_s_foreground() -> None:
    torch.manual_seed(0)
    attention = Attention(width=16, heads=2).eval()
    tokens, keys, values = torch.randn(1, 3, 16), torch.randn(1, 6, 16), torch.randn(1, 6, 16)
    position = torch.randn(1, 3, 16)
    mask = torch.tensor([[1.0, -1, -1, 1, 0, -1], [-1.0] * 6, [1.0] * 6]).reshape(1, 3, 2, 3)
    bias = attention_bias(mask)
    assert bias.shape == (1, 1, 3, 6)
    # The query without foreground sees everything, as the one whose mask is everywhere; 0 is foreground.
    assert bias[0, 0].tolist() == [[0, HIDDEN, HIDDEN, 0, 0, HIDDEN], [0] * 6, [0] * 6]
    found = attention(tokens, position, keys, values, bias)[0].numpy()

    q = _linear(attention.query, (tokens + position)[0].double().numpy())
    k, v = (
        _linear(layer, value[0].double().numpy()) for layer, value in ((attention.key, keys), (attention.value, values))
    )
    mixed = np.zeros((3, 16))
    seen = [[0, 3, 4], list(range(6)), list(range(6))]
    for head in (slice(0, 8), slice(8, 16)):
        for query, places in enumerate(seen):
            scores = np.exp(k[places][:, head] @ q[query, head] / np.sqrt(8))
            mixed[query, head] = (scores / scores.sum()) @ v[places][:, head]
    total = tokens[0].double().numpy() + _linear(attention.out, mixed)
    total = (total - total.mean(1, keepdims=True)) / np.sqrt(total.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(found, total, atol=1e-5)


def test_fastinst_prefers_local_maxima_of_a_class_to_higher_neighbours() -> None:
    logits = torch.full((1, 3, 4, 5), -4.0)
    logits[:, 2] = 0.0  # no object
    logits[0, 0, 0, 0] = 4.0
    logits[0, 0, 0, 1] = 3.0  # confident, but beside a more confident place of its class
    logits[0, 1, 3, 4] = 1.0  # a weak peak of the other class
    generator = torch.Generator().manual_seed(0)
    logits[0, :2] += torch.rand(2, 4, 5, generator=generator) * 1e-3
    probability = logits.softmax(1)[0, :2].numpy()
    scores = np.empty((4, 5))
    for row, column in np.ndindex(4, 5):
        category = int(probability[:, row, column].argmax())
        window = probability[category, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        value = probability[category, row, column]
        scores[row, column] = value + float(value >= window.max())
    for count in (2, 5, 20):
        expected = np.sort(np.argsort(-scores.ravel())[:count])
        assert choose_places(logits, count).tolist() == expected.tolist()
    chosen = choose_places(logits, 2).tolist()
    assert chosen == [0, 19]


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
