"""Shapes and parts of YOLACT, SOLOv2, CondInst and CrossVIS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from suite.errors import InputError
from suite.models import get_entry
from suite.models.condinst import OBJECT_SIZES_PX, CondInst, dynamic_masks, locations_px, upsample_aligned
from suite.models.crossvis import CrossVis
from suite.models.parts.feature_maps import CoordinateConv, FeaturePyramid, coordinate_maps
from suite.models.solov2 import GRIDS, GridHead, Solov2, grid_maxima, window_maxima
from suite.models.yolact import Yolact, yolact_anchors

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def shapes(output: tuple[torch.Tensor | None, ...]) -> dict[str, tuple[int, ...]]:
    fields: tuple[str, ...] = output._fields  # type: ignore[attr-defined]
    return {name: tuple(value.shape) for name, value in zip(fields, output, strict=True) if value is not None}


def on_meta(network: type[nn.Module], *options: object, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        made = network(*options).eval()
        return shapes(made.with_masks(torch.zeros(1, 3, *size)))  # type: ignore[operator]


def test_yolact_predicts_for_every_anchor() -> None:
    cells = 69**2 + 35**2 + 18**2 + 9**2 + 5**2
    assert on_meta(Yolact, "mobilenetv2_edge", size=(550, 550)) == {
        "class_logits": (1, 3, 81, cells),
        "box_deltas": (1, 3, 4, cells),
        "coefficients": (1, 3, 32, cells),
        "prototypes": (1, 32, 138, 138),
        "mask_probabilities": (1, 100, 138, 138),
    }
    assert 3 * cells == len(yolact_anchors(550, 550)) == 19_248


def test_solov2_predicts_for_every_cell() -> None:
    assert on_meta(Solov2, "resnet18", True, size=(448, 608)) == {
        "class_scores": (1, 80, 3872),
        "window_maxima": (1, 80, 3872),
        "kernels": (1, 128, 3872),
        "mask_features": (1, 128, 112, 152),
        "mask_probabilities": (1, 100, 112, 152),
    }


def test_a_size_that_a_network_cannot_take_is_one_line(tmp_path: Path) -> None:
    from suite.export.exporter import Part, export_graph

    with pytest.raises(InputError, match=r"solov2.*440x608"):
        export_graph("solov2", Solov2("mobilenetv2", True), Part("whole"), tmp_path / "graph.onnx", (440, 608))


def test_condinst_and_crossvis_predict_for_every_location() -> None:
    dense = on_meta(CondInst, "topformer_base", size=(640, 864))
    assert dense == {
        "class_logits": (1, 80, 11_515),
        "box_sides_px": (1, 4, 11_515),
        "centerness_logits": (1, 1, 11_515),
        "controllers": (1, 169, 11_515),
        "mask_features": (1, 8, 80, 108),
        "mask_probabilities": (1, 100, 160, 216),
    }
    tracked = on_meta(CrossVis, "topformer_base", size=(384, 640))
    assert tracked["embeddings"] == (1, 256, 5_115)
    assert tracked["class_logits"] == (1, 40, 5_115)
    assert list(tracked)[:4] == list(dense)[:4]


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


def test_windows_end_at_their_cell() -> None:
    scores = torch.rand(1, 2, 5, 7, generator=torch.Generator().manual_seed(0))
    maxima = window_maxima(scores)[0].numpy()
    for channel, row, column in np.ndindex(2, 5, 7):
        window = scores[0, channel, max(row - 1, 0) : row + 1, max(column - 1, 0) : column + 1]
        assert maxima[channel, row, column] == float(window.max())


def test_windows_of_selection_and_network_agree() -> None:
    scores = torch.rand(3872, 3, generator=torch.Generator().manual_seed(0))
    by_grid = torch.split(scores.T, [grid**2 for grid in GRIDS], dim=1)
    expected = [
        window_maxima(cells.view(1, 3, grid, grid)).flatten(2)[0] for cells, grid in zip(by_grid, GRIDS, strict=True)
    ]
    assert np.array_equal(grid_maxima(scores.numpy()), torch.cat(expected, dim=1).T.numpy())


def test_masks_come_from_the_instances_in_the_middle() -> None:
    network = get_entry("yolact_topformer_base_550").build(0)
    assert isinstance(network, Yolact)
    image = torch.randn(1, 3, 96, 128)
    output = network.with_masks(image)
    assert output.mask_probabilities is not None
    cells = output.coefficients.shape[3]
    chosen = list(range((cells - 100) // 2, (cells - 100) // 2 + 100))
    expected = np.einsum(
        "kn,khw->nhw", output.coefficients[0, 0][:, chosen].numpy(), output.prototypes[0].numpy(), dtype=np.float64
    )
    np.testing.assert_allclose(output.mask_probabilities[0].numpy(), 1 / (1 + np.exp(-expected)), atol=1e-5)
    for name, value in zip(output._fields[:4], network(image)[:4], strict=True):
        assert torch.equal(getattr(output, name), value)


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


def test_bilinear_upsampling_reaches_sizes_that_are_not_doubles() -> None:
    maps = [torch.randn(1, channels, side, side) for channels, side in zip(CHANNELS, (69, 35, 18), strict=True)]
    pyramid = FeaturePyramid(CHANNELS, width=8, upsampling="bilinear", activated=True, extra="two")
    levels = pyramid(maps)
    assert [level.shape[-1] for level in levels] == [69, 35, 18, 9, 5]
    assert all(bool((level >= 0).all()) for level in levels[:3])
    assert any(bool((level < 0).any()) for level in levels[3:])
    coarse = F.interpolate(pyramid.laterals[2](maps[2]), size=(35, 35), mode="bilinear")
    torch.testing.assert_close(levels[1], F.relu(pyramid.outputs[1](pyramid.laterals[1](maps[1]) + coarse)))


@pytest.mark.parametrize(("extra", "between"), [("two", torch.clone), ("two_relu", F.relu)])
def test_two_extra_levels(extra: str, between: object) -> None:
    pyramid = FeaturePyramid(CHANNELS, width=8, extra=extra)  # type: ignore[arg-type]
    *_, p5, p6, p7 = pyramid(MAPS)
    torch.testing.assert_close(p6, pyramid.downs[0](p5))
    torch.testing.assert_close(p7, pyramid.downs[1](between(p6)))  # type: ignore[operator]
    assert p7.shape == (1, 8, 1, 2)
