"""Shapes and parts of YOLACT, SOLOv2, CondInst and CrossVIS, and their exported graphs."""

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
from suite.models.networks.condinst import CondInst
from suite.models.networks.crossvis import CrossVis
from suite.models.networks.solov2 import GRIDS, GridHead, MaskBranch, Solov2, window_maxima
from suite.models.networks.yolact import Yolact
from suite.models.parts import dense_selection
from suite.models.parts.coordinates import CoordinateConv, coordinate_maps

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
    assert 3 * cells == len(dense_selection.yolact_anchors(550, 550)) == 19_248


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
    assert np.array_equal(dense_selection.window_maxima(scores.numpy()), torch.cat(expected, dim=1).T.numpy())


def test_mask_features_of_solov2_sum_levels_brought_to_a_quarter() -> None:
    torch.manual_seed(0)
    branch = MaskBranch(32).eval()
    levels = tuple(torch.randn(1, 256, 32 >> power, 48 >> power) for power in range(4))
    found = branch(levels)
    assert found.shape == (1, 32, 32, 48)
    doublings = [sum(isinstance(step, nn.Upsample) for step in level.children()) for level in branch.levels]
    assert doublings == [0, 1, 2, 3]
    assert float(found.min()) >= 0.0


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("yolact_mobilenetv2_550", (102, 102)),
        ("yolact_topformer_base_550", (102, 102)),
        ("solov2_lite_resnet18_448", (96, 128)),
        ("condinst_topformer_base_640", (96, 128)),
        ("crossvis_topformer_base_360", (96, 128)),
    ],
)
def test_exported_graphs_compute_what_the_module_does(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    from suite.export.exporter import Part, export_graph

    network = get_entry(name).build(0)
    part = Part("with_masks", "with_masks")
    export = export_graph(name, network, part, tmp_path / "graph.onnx", size)
    report, outputs = export.report, export.outputs
    assert report.parity_max_rel < 1e-4
    assert {"mask_probabilities"} < set(outputs)
    # One normalisation is one node between two reshapes; adaptive pooling left no gathers behind.
    assert report.op_counts.get("Gather", 0) <= 3
    assert report.op_counts.get("ReduceMean", 0) == 0
