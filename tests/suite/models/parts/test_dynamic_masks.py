from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from suite.models.parts.dynamic_masks import OBJECT_SIZES_PX, dynamic_masks, upsample_aligned
from suite.models.parts.fcos_head import locations_px

torch.set_num_threads(1)


@pytest.mark.parametrize("factor", [2, 4])
def test_enlarged_cells_land_where_they_should(factor: int) -> None:
    cells = np.random.default_rng(0).normal(size=(5, 7))
    found = upsample_aligned(torch.from_numpy(cells)[None, None], factor)[0, 0].numpy()

    def along(values: NDArray[np.float64]) -> NDArray[np.float64]:
        positions = (np.arange(factor * len(values)) - factor // 2) / factor
        return np.asarray(np.interp(positions, np.arange(len(values)), values))

    expected = np.apply_along_axis(along, 1, np.apply_along_axis(along, 0, cells))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 4])
def test_enlarging_is_padding_and_resizing_with_aligned_corners(factor: int) -> None:
    """The form in which AdelaiDet states it."""
    feature = torch.randn(1, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    padded = F.pad(feature, (0, 1, 0, 1), mode="replicate")
    resized = F.interpolate(padded, (factor * 6 + 1, factor * 5 + 1), mode="bilinear", align_corners=True)
    shifted = F.pad(resized, (factor // 2, 0, factor // 2, 0), mode="replicate")[..., : factor * 6, : factor * 5]
    torch.testing.assert_close(upsample_aligned(feature, factor), shifted)


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


def test_locations_are_the_centres_of_cells_of_all_levels() -> None:
    levels = [(100, 168), (50, 84), (25, 42), (13, 21), (7, 11)]
    centres_px, numbers = locations_px(levels)
    assert centres_px.shape == (22_400, 2)
    assert torch.bincount(numbers).tolist() == [height * width for height, width in levels]
    assert centres_px[0].tolist() == [4, 4]
    assert centres_px[168 + 2].tolist() == [20, 12]  # x, y of the third cell of the second row
    assert centres_px[-1].tolist() == [10 * 128 + 64, 6 * 128 + 64]
