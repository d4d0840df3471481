from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from reference_model.instance_decoder import Attention, QueryDecoder, sine_position
from reference_model.mask_decoder import MaskDecoder, SemanticEnhancer
from reference_model.mobileinst import MaskProduct
from tests.reference_model.small import image, small_config, small_model

OPTIONS: list[dict[str, Any]] = [
    {},
    {"pyramid": "injected"},
    {"lateral_activation": "none"},
    {"semantic_enhancer": "shared"},
    {"upsampling": "nearest"},
    {"downsampling": "bilinear"},
    {"local_pooling": "average"},
    {"decoder_stride": 32},
    {"decoder": "local_local"},
    {"decoder": "local_global"},
    {"decoder": "single_local"},
    {"self_attention": False},
    {"norm_position": "post"},
    {"feed_forward_dim": 48},
    {"position_encoding": "none"},
    {"token_norm": False},
    {"deep_supervision": True},
    {"backbone": "seaformer_tiny"},
    {"backbone": "mobilenetv2"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("height", "width"), [(64, 128), (50, 77)])
def test_shapes_and_gradients_of_every_option(options: dict[str, Any], height: int, width: int) -> None:
    model = small_model(**options).train()
    output = model(image(height, width, batch=2))
    rows, columns = math.ceil(height / 8), math.ceil(width / 8)
    assert output.class_logits.shape == (2, 5, 3)
    assert output.objectness_logits.shape == (2, 5)
    assert output.kernels.shape == (2, 5, 8)
    assert output.mask_features.shape == (2, 8, rows, columns)
    assert output.mask_logits.shape == (2, 5, 2 * rows, 2 * columns)
    assert output.global_queries.shape == (2, 5, 32)
    parts = [output, output.auxiliary] if options.get("deep_supervision") else [output]
    assert (output.auxiliary is not None) == bool(options.get("deep_supervision"))
    loss = torch.stack([part[index].square().mean() for part in parts for index in range(5)]).sum()
    loss.backward()
    unused = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    # A single local decoder never reads X_G, but the semantic enhancers do: everything is used by every option.
    assert unused == []


def test_decoders_read_the_features_they_are_named_after() -> None:
    for decoder, reads_global, reads_local in [
        ("global_local", True, True),
        ("local_global", True, True),
        ("global_global", True, False),
        ("local_local", False, True),
        ("single_global", True, False),
        ("single_local", False, True),
    ]:
        model = small_model(decoder=decoder)
        with torch.no_grad():
            features = model.encode(image(64, 128))
            kernels = model.decode(features).kernels
            for field, reads in (("global_", reads_global), ("local", reads_local)):
                changed = model.decode(features._replace(**{field: getattr(features, field).flip(1)})).kernels
                assert torch.equal(kernels, changed) != reads, (decoder, field)


def test_local_features_are_the_maxima_of_the_mask_map_s_cells() -> None:
    model, images = small_model(), image(100, 150)
    with torch.no_grad():
        x_mask = model.mask_decoder(*model.backbone(images)).x_mask[0].numpy()
        local = model.encode(images).local[0].numpy()
    assert x_mask.shape == (32, 13, 19)
    assert local.shape == (32, 2, 3)
    for row in range(2):
        for column in range(3):
            cell = x_mask[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            np.testing.assert_array_equal(local[:, row, column], cell.max(axis=(1, 2)))


def test_mask_product_is_the_dot_product_enlarged_twofold() -> None:
    kernels, features = torch.randn(2, 3, 4), torch.randn(2, 4, 5, 6)
    masks = MaskProduct()(kernels, features).numpy()
    products = np.einsum("bnk,bkhw->bnhw", kernels.numpy(), features.numpy())
    # Half-pixel centres: every output is 3/4 of the near and 1/4 of the far sample along each axis.
    for axis in (2, 3):
        near = np.repeat(products, 2, axis)
        far = np.empty_like(near)
        size = products.shape[axis]
        for index in range(2 * size):
            source = min(max(index // 2 + (1 if index % 2 else -1), 0), size - 1)
            np.moveaxis(far, axis, 0)[index] = np.moveaxis(products, axis, 0)[source]
        products = 0.75 * near + 0.25 * far
    np.testing.assert_allclose(masks, products, rtol=1e-5, atol=1e-5)


def test_attention_equals_loops_over_heads_and_tokens() -> None:
    torch.manual_seed(0)
    attention = Attention(8, 2).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    query, key, value = (torch.randn(2, length, 8).double() for length in (3, 5, 5))
    with torch.no_grad():
        found = attention(query, key, value).numpy()
    weights = {name: parameter.detach().numpy() for name, parameter in attention.named_parameters()}

    def project(name: str, x: np.ndarray) -> np.ndarray:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    expected = np.zeros((2, 3, 8))
    q, k, v = project("query", query.numpy()), project("key", key.numpy()), project("value", value.numpy())
    for batch in range(2):
        for head in (slice(0, 4), slice(4, 8)):
            for token in range(3):
                scores = np.array([q[batch, token, head] @ k[batch, other, head] / 2 for other in range(5)])
                shares = np.exp(scores) / np.exp(scores).sum()
                expected[batch, token, head] = sum(s * v[batch, other, head] for other, s in enumerate(shares))
    np.testing.assert_allclose(found, project("out", expected), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("norm_position", ["pre", "post"])
def test_query_decoder_is_cross_then_self_attention_with_residuals(norm_position: str) -> None:
    torch.manual_seed(0)
    decoder = QueryDecoder(small_config(norm_position=norm_position)).double()
    queries, position = torch.randn(1, 5, 32).double(), torch.randn(5, 32).double()
    tokens, keys = torch.randn(1, 6, 32).double(), torch.randn(1, 6, 32).double()
    cross, own = decoder.cross_attention, decoder.self_attention
    if norm_position == "pre":
        middle = queries + cross(decoder.cross_norm(queries) + position, keys, tokens)
        normed = decoder.self_norm(middle)
        expected = middle + own(normed + position, normed + position, normed)
    else:
        middle = decoder.cross_norm(queries + cross(queries + position, keys, tokens))
        expected = decoder.self_norm(middle + own(middle + position, middle + position, middle))
    torch.testing.assert_close(decoder(queries, position, tokens, keys), expected)


def test_semantic_enhancer_is_gate_and_shift_by_the_formula() -> None:
    torch.manual_seed(0)
    enhancer = SemanticEnhancer(small_config(hidden_dim=4)).eval()
    x_local, x_global = torch.randn(1, 4, 4, 4), 3 * torch.randn(1, 4, 1, 1)
    with torch.no_grad():
        found = enhancer(x_local, x_global).numpy()[0]
    epsilon = 1e-5

    def conv(name: str, x: np.ndarray) -> np.ndarray:
        kernel = dict(enhancer.named_parameters())[f"{name}.convolution.weight"].detach().numpy()[:, :, 0, 0]
        return np.einsum("oc,chw->ohw", kernel, x) / math.sqrt(1 + epsilon)

    gate = np.clip(conv("scale", x_global.numpy()[0]) + 3, 0, 6) / 6
    expected = conv("local", x_local.numpy()[0]) * gate + conv("shift", x_global.numpy()[0])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@given(height=st.integers(1, 12), width=st.integers(1, 12), quarter=st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_sine_position_by_its_definition(height: int, width: int, quarter: int) -> None:
    found = sine_position(height, width, 4 * quarter, torch.zeros(1)).numpy()
    assert found.shape == (height * width, 4 * quarter)
    for row in range(height):
        for column in range(width):
            expected = []
            for place, count in ((row, height), (column, width)):
                angles = [2 * math.pi * (place + 1) / count / 10000 ** (index / quarter) for index in range(quarter)]
                expected += [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
            np.testing.assert_allclose(found[row * width + column], expected, atol=1e-5)


BOXES = (
    *("lateral3", "lateral4", "lateral5", "lateral6", "enhance_in", "enhance_out", "mask_features"),
    *("first3", "first4", "first5", "second3", "second4", "second5"),
)


class Times(nn.Module):
    """Multiplies a map; a second map, X_G for the semantic enhancers, counts a hundredfold."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor, x_global: Tensor | None = None) -> Tensor:
        return self.factor * x if x_global is None else self.factor * x + 100 * x_global.mean()


def test_the_three_fusions_are_those_of_the_figure() -> None:
    rng = np.random.default_rng(0)
    factors = dict(zip(BOXES, rng.uniform(0.5, 2, len(BOXES)).tolist(), strict=True))
    decoder = MaskDecoder((1, 1, 1, 1), small_config()).double()
    for name, factor in factors.items():
        setattr(decoder, name, Times(factor))
    values = rng.uniform(1, 3, 4).tolist()
    x3, x4, x5, x6 = (
        torch.full((1, 1, side, side), value, dtype=torch.float64)
        for value, side in zip(values, (16, 8, 4, 2), strict=True)
    )
    found = decoder(x3, x4, x5, x6)

    v3, v4, v5, v_global = (
        factors[f"lateral{level}"] * value for level, value in zip((3, 4, 5, 6), values, strict=True)
    )
    p5 = factors["enhance_in"] * v5 + 100 * v_global
    p4 = v4 + p5
    p3 = v3 + p4
    n3 = factors["first3"] * p3
    n4 = factors["first4"] * p4 + n3
    n5 = factors["first5"] * p5 + n4
    s5 = factors["enhance_out"] * (factors["second5"] * n5) + 100 * v_global
    s4 = factors["second4"] * n4 + s5
    x_mask = factors["second3"] * n3 + s4
    expected = (x_mask, factors["mask_features"] * x_mask, v_global)
    for part, value, side in zip(found, expected, (16, 16, 2), strict=True):
        assert part.shape == (1, 1, side, side)
        np.testing.assert_allclose(part.detach().numpy(), value, rtol=1e-12)
