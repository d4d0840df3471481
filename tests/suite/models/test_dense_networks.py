"""Shapes and parts of YOLACT, SOLOv2, CondInst and CrossVIS."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from suite.models.condinst import OBJECT_SIZES_PX, dynamic_masks
from suite.models.parts.feature_maps import CoordinateConv, FeaturePyramid, coordinate_maps
from suite.models.solov2 import GridHead

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_a_tower_with_coordinates_is_one_on_two_more_channels() -> None:
    torch.manual_seed(0)
    head = GridHead(depth=2, width=64, kernel_dim=16, num_classes=5).eval()
    level = torch.randn(1, 256, 12, 20)
    scores, maxima, kernels = head(level, 6)
    # As published: the coordinates are appended to the level and both are resized to the grid.
    appended = F.interpolate(
        torch.cat([level, coordinate_maps(12, 20, level.device)], dim=1), size=(6, 6), mode="bilinear"
    )
    first, *rest = head.kernel_tower
    assert isinstance(first, CoordinateConv)
    weight = torch.cat([first.of_features.weight, first.of_coordinates.weight], dim=1)
    feature = F.conv2d(appended, weight, padding=1)
    for layer in rest:
        feature = layer(feature)
    torch.testing.assert_close(kernels, head.kernels(feature).flatten(2), rtol=1e-4, atol=1e-4)
    plain = head.classes(head.class_tower(appended[:, :256])).sigmoid().flatten(2)
    torch.testing.assert_close(scores, plain)
    assert 0 < int((scores == maxima).sum()) < scores.numel()
    assert bool((maxima >= scores).all())


def test_every_instance_has_its_own_mask_head() -> None:
    generator = np.random.default_rng(0)
    count, height, width = 6, 4, 5
    features = generator.normal(size=(8, height, width))
    controllers = generator.normal(size=(count, 169))
    centres = generator.uniform(0, 40, (count, 2))
    sizes = np.array([*OBJECT_SIZES_PX, 64.0])
    expected = np.zeros((count, height, width))
    for k, row, column in np.ndindex(count, height, width):
        pixel = np.array([column * 8 + 4, row * 8 + 4])
        values = np.concatenate([(centres[k] - pixel) / sizes[k], features[:, row, column]])
        weights, start = controllers[k], 0
        layers = []
        for out_channels, in_channels in ((8, 10), (8, 8), (1, 8)):
            layers.append(weights[start : start + out_channels * in_channels].reshape(out_channels, in_channels))
            start += out_channels * in_channels
        for number, layer in enumerate(layers):
            values = layer @ values + weights[start : start + len(layer)]
            start += len(layer)
            values = np.maximum(values, 0) if number < 2 else values
        assert start == 169
        expected[k, row, column] = values[0]
    found = dynamic_masks(*(torch.from_numpy(array) for array in (features[None], controllers, centres, sizes)))
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-9)


CHANNELS = (6, 5, 4)
MAPS = [torch.randn(1, channels, *size) for channels, size in zip(CHANNELS, ((12, 20), (6, 10), (3, 5)), strict=True)]


def test_levels_are_lateral_plus_the_coarser_sum() -> None:
    pyramid = FeaturePyramid(CHANNELS, width=8)
    lateral5 = pyramid.laterals[2](MAPS[2])
    sum4 = pyramid.laterals[1](MAPS[1]) + lateral5.repeat_interleave(2, 2).repeat_interleave(2, 3)
    sum3 = pyramid.laterals[0](MAPS[0]) + sum4.repeat_interleave(2, 2).repeat_interleave(2, 3)
    p3, p4, p5, p6 = pyramid(MAPS)
    for index, (level, expected) in enumerate(((p3, sum3), (p4, sum4), (p5, lateral5))):
        torch.testing.assert_close(level, pyramid.outputs[index](expected))
    assert torch.equal(p6, p5[..., ::2, ::2])
