"""Every intermediate map equals the NumPy derivation from the same upstream checkpoint."""

import itertools

import numpy as np
import pytest
import torch

from reference_model.backbones import Backbone, build_backbone
from tests.reference_model.backbones import upstream
from tests.reference_model.backbones.numpy_blocks import Array, conv_bn, relu


def picture(height: int, width: int, batch: int = 1, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=(batch, 3, height, width))


def stages_of(backbone: Backbone, image: Array) -> dict[str, torch.Tensor]:
    dtype = next(backbone.parameters()).dtype
    with torch.no_grad():
        return backbone.eval().stage_features(torch.tensor(image, dtype=dtype))


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, Array], rtol: float, atol: float) -> None:
    assert list(found) == list(expected)
    for name, feature in expected.items():
        assert np.abs(feature).max() > 0.01, f"{name} is too small to show anything"
        np.testing.assert_allclose(found[name].numpy(), feature, rtol=rtol, atol=atol, err_msg=name)


def loaded(name: str, weights: upstream.Weights, inject: bool = False) -> Backbone:
    backbone = build_backbone(name, inject).double()
    assert backbone.load_official(upstream.to_state_dict(weights)) == []
    return backbone


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *((name, (137, 151)) for name in (*upstream.TOPFORMER, *upstream.SEAFORMER)),
        *itertools.product(("topformer_tiny", "seaformer_tiny"), ((128, 192), (128, 100), (1, 70))),
    ],
)
def test_every_map_equals_the_derivation_in_double_and_single_precision(name: str, size: tuple[int, int]) -> None:
    """TopFormer with injection and SeaFormer, at an odd size, and the smallest at even, uneven and tiny ones."""
    image = picture(*size, batch=2)
    if name in upstream.TOPFORMER:
        weights = upstream.random_weights(upstream.topformer_shapes(upstream.TOPFORMER[name], injected=True))
        expected = upstream.topformer_stages(upstream.TOPFORMER[name], weights, image, injected=True)
        backbone = loaded(name, weights, inject=True)
    else:
        weights = upstream.random_weights(upstream.seaformer_shapes(upstream.SEAFORMER[name]))
        expected = upstream.seaformer_stages(upstream.SEAFORMER[name], weights, image)
        backbone = loaded(name, weights)
    assert_same(stages_of(backbone, image), expected, rtol=1e-9, atol=1e-10)
    assert_same(stages_of(backbone.float(), image), expected, rtol=1e-4, atol=5e-4)


@pytest.mark.parametrize(("height", "width"), [(128, 64), (97, 133), (1, 1)])
def test_mobilenetv2_equals_the_derivation(height: int, width: int) -> None:
    weights = upstream.random_weights(upstream.mobilenetv2_shapes())
    backbone = loaded("mobilenetv2", weights)
    image = picture(height, width)
    expected = upstream.mobilenetv2_stages(weights, image)
    # X6 as documented: 2x2 means, cut at odd edges, then conv-BN-ReLU with the weights the backbone drew.
    own = {key: value.numpy() for key, value in backbone.state_dict().items() if key.startswith("x6_projection")}
    x5 = expected["stage7"]
    rows, columns = (-(-side // 2) for side in x5.shape[-2:])
    pooled = np.empty((*x5.shape[:2], rows, columns))
    for i in range(rows):
        for j in range(columns):
            pooled[:, :, i, j] = x5[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean(axis=(2, 3))
    expected["x6"] = relu(conv_bn(pooled, own, "x6_projection", layers=("convolution", "norm")))
    assert_same(stages_of(backbone, image), expected, rtol=1e-9, atol=1e-10)
