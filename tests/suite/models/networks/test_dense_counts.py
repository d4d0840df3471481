"""Sizes of the dense detectors against figures counted from independent builds of the published configurations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from suite.export.counts import count_total
from suite.models import get_entry


class WithMasks(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> object:
        made: object = self.network.with_masks(image)  # type: ignore[operator]
        return made


# Name, shapes, millions of parameters, GMACs with the masks of 100 instances.
COUNTS = [
    ("yolact_resnet50_550", [(550, 550)], 31.144, [59.20]),
    ("yolact_mobilenetv2_550", [(550, 550)], 8.122, [34.30]),
    ("yolact_topformer_base_550", [(550, 550)], 11.874, [34.64]),
    ("solov2_lite_resnet18_448", [(448, 768), (448, 608)], 18.272, [51.79, 43.29]),
    ("solov2_lite_resnet50_448", [(448, 768), (448, 608)], 31.341, [69.36, 57.20]),
    ("solov2_mobilenetv2_640", [(640, 864), (640, 640)], 24.034, [118.93, 106.24]),
    ("solov2_lite_mobilenetv2_640", [(640, 864)], 8.782, [58.95]),
    ("condinst_resnet50_800", [(800, 1344), (800, 1088)], 34.164, [235.18, 190.39]),
    ("condinst_topformer_base_640", [(640, 864), (640, 640)], 14.893, [80.02, 59.23]),
    ("condinst_topformer_base_640x1088", [(640, 1088)], 14.893, [100.72]),
    ("crossvis_resnet50_360", [(384, 640)], 36.501, [65.66]),
    ("crossvis_topformer_base_360", [(384, 640)], 17.230, [47.46]),
]


@pytest.mark.parametrize(("name", "shapes", "parameters_m", "gmacs"), COUNTS, ids=[row[0] for row in COUNTS])
def test_parameters_and_macs(name: str, shapes: list[tuple[int, int]], parameters_m: float, gmacs: list[float]) -> None:
    entry = get_entry(name)
    assert set(shapes) <= set(entry.input_shapes)
    assert shapes[0] == entry.input_shapes[0]
    with torch.device("meta"):
        network = WithMasks(entry.build(0))
    for shape, expected in zip(shapes, gmacs, strict=True):
        counted = count_total(network, *shape)
        assert counted.parameters / 1e6 == pytest.approx(parameters_m, rel=1e-4)
        # A rounding of the figures, and CondInst's mask head in a form that multiplies 1/10 more in its first layer.
        assert counted.macs / 1e9 == pytest.approx(expected, rel=5e-4)


def test_an_alternative_is_the_same_network_read_differently() -> None:
    assert get_entry("condinst_resnet50_800x1088").alternative_to == "condinst_resnet50_800"
    assert get_entry("condinst_topformer_base_640x1088").alternative_to == "condinst_topformer_base_640"
    assert get_entry("solov2_lite_mobilenetv2_640").alternative_to == "solov2_mobilenetv2_640"
