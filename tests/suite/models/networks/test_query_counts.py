"""Sizes of the query-based methods against figures counted from independent builds of the published configurations."""

from __future__ import annotations

import pytest
import torch

from suite.export.counts import count_total
from suite.models import get_entry
from suite.models.networks.fastinst import FastInst
from suite.models.networks.mask2former import Mask2Former

# Name, shapes, millions of parameters, GMACs.
ROWS = [
    ("sparseinst_resnet50_608", [(608, 864), (608, 832)], 32.848, [94.75, 91.24]),
    ("sparseinst_resnet50_608_base_iam", [(608, 864), (608, 832)], 31.637, [93.99, 90.51]),
    ("sparseinst_topformer_base_608", [(608, 864), (608, 832)], 13.577, [53.50, 51.50]),
    ("sparseinst_topformer_base_608_base_iam", [(608, 864), (608, 832)], 12.367, [52.75, 50.77]),
    ("sparseinst_vis_topformer_base_360", [(384, 640)], 13.536, [25.06]),
    ("sparseinst_vis_topformer_base_360_base_iam", [(384, 640)], 12.356, [24.65]),
    ("mask2former_topformer_base_640", [(640, 864)], 20.302, [43.12]),
    ("mask2former_topformer_base_640_deformable", [(640, 864), (640, 640)], 24.695, [92.73, 69.07]),
    ("fastinst_topformer_base_640", [(640, 864)], 14.959, [38.51]),
    ("fastinst_topformer_base_640_d1", [(640, 864)], 10.440, [21.15]),
]


@pytest.mark.parametrize(("name", "shapes", "parameters_m", "gmacs"), ROWS, ids=[row[0] for row in ROWS])
def test_parameters_and_macs(name: str, shapes: list[tuple[int, int]], parameters_m: float, gmacs: list[float]) -> None:
    entry = get_entry(name)
    assert shapes[0] == entry.input_shapes[0]
    assert set(shapes) <= set(entry.input_shapes)
    with torch.device("meta"):
        network = entry.build(0)
    for shape, expected in zip(shapes, gmacs, strict=True):
        counted = count_total(network, *shape)
        assert counted.parameters / 1e6 == pytest.approx(parameters_m, rel=1e-4)
        # The figures count the classes of Mask2Former's ten predictions, of which an inference graph needs the last.
        assert counted.macs / 1e9 == pytest.approx(expected, rel=1e-3)


def test_mask2former_of_the_authors_has_their_parameters() -> None:
    with torch.device("meta"):
        network = Mask2Former("resnet50", 80, "deformable")
    counted = count_total(network, 800, 1088)
    # The same number as Hugging Face's implementation with 80 labels; the paper prints 44 M.
    assert counted.parameters == 44_023_377
    assert counted.macs / 1e9 == pytest.approx(216.6, rel=1e-3)


@pytest.mark.parametrize(
    ("layers", "size", "parameters_m", "published_m", "gmacs"),
    [(1, (576, 768), 29.711, 30, 51.72), (3, (640, 864), 34.230, 34, 81.95)],
)
def test_fastinst_of_the_authors_has_their_parameters(
    layers: int, size: tuple[int, int], parameters_m: float, published_m: float, gmacs: float
) -> None:
    with torch.device("meta"):
        network = FastInst("resnet50", 80, layers)
    counted = count_total(network, *size)
    assert counted.parameters / 1e6 == pytest.approx(parameters_m, rel=1e-4)
    assert counted.parameters / 1e6 == pytest.approx(published_m, rel=0.01)
    assert counted.macs / 1e9 == pytest.approx(gmacs, rel=1e-3)


def test_mask2former_s_middle_reading_lies_between() -> None:
    with torch.device("meta"):
        counted = count_total(get_entry("mask2former_topformer_base_640_context_pyramid").build(0), 640, 864)
    # The lightest reading's 43.1 G and about 6.8 G for pyramid pooling and a 3x3 convolution on each of three maps.
    assert counted.macs / 1e9 == pytest.approx(43.12 + 6.8, rel=0.01)
