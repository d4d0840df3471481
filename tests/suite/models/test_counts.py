"""Sizes of prior art against figures counted from independent builds of the published configurations, and published."""

from __future__ import annotations

import pytest
import torch

from suite.claims.latency_bound import load_readings
from suite.claims.loader import load_claims
from suite.export.counts import count, total
from suite.models import discover, get_entry
from suite.models._size import counted_module
from suite.models.fastinst import FastInst
from suite.models.mask2former import Mask2Former
from suite.models.parts.trunks import TRUNKS

# Name -> millions of parameters, and GMACs by shape, with the masks of 100 instances.
COUNTS: dict[str, tuple[float, dict[tuple[int, int], float]]] = {
    "yolact_resnet50_550": (31.144, {(550, 550): 59.20}),
    "yolact_mobilenetv2_550": (8.122, {(550, 550): 34.30}),
    "yolact_topformer_base_550": (11.874, {(550, 550): 34.64}),
    "solov2_lite_resnet18_448": (18.272, {(448, 768): 51.79, (448, 608): 43.29}),
    "solov2_lite_resnet50_448": (31.341, {(448, 768): 69.36, (448, 608): 57.20}),
    "solov2_mobilenetv2_640": (24.034, {(640, 864): 118.93, (640, 640): 106.24}),
    "solov2_lite_mobilenetv2_640": (8.782, {(640, 864): 58.95}),
    "condinst_resnet50_800": (34.164, {(800, 1344): 235.18, (800, 1088): 190.39}),
    "condinst_topformer_base_640": (14.893, {(640, 864): 80.02, (640, 640): 59.23, (640, 1088): 100.72}),
    "crossvis_resnet50_360": (36.501, {(384, 640): 65.66}),
    "crossvis_topformer_base_360": (17.230, {(384, 640): 47.46}),
    "sparseinst_resnet50_608": (32.848, {(608, 864): 94.75, (608, 832): 91.24}),
    "sparseinst_topformer_base_608": (13.577, {(608, 864): 53.50, (608, 832): 51.50}),
    "sparseinst_vis_topformer_base_360": (13.536, {(384, 640): 25.06}),
    "mask2former_topformer_base_640": (20.302, {(640, 864): 43.12}),
    "mask2former_topformer_base_640_deformable": (24.695, {(640, 864): 92.73, (640, 640): 69.07}),
    "fastinst_topformer_base_640": (14.959, {(640, 864): 38.51}),
}


METHODS = {get_entry(name).method: name for name in COUNTS}
"""One row of each method; the others are built by the same code."""


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param(name, number, marks=pytest.mark.slow if number or name not in METHODS.values() else ())
        for name, (_, by_shape) in COUNTS.items()
        for number in range(len(by_shape))
    ],
)
def test_parameters_and_macs(name: str, number: int) -> None:
    entry = get_entry(name)
    parameters_m, by_shape = COUNTS[name]
    assert set(by_shape) <= set(entry.input_shapes)
    assert next(iter(by_shape)) == entry.input_shapes[0]
    shape, gmacs = list(by_shape.items())[number]
    counted = total(count(counted_module(entry), *shape))
    assert counted.parameters / 1e6 == pytest.approx(parameters_m, rel=1e-4)
    # The figures are rounded; they count the classes of Mask2Former's ten predictions, of which an inference graph
    # needs the last, and CondInst's mask head multiplies 1/10 more here in its first layer.
    assert counted.macs / 1e9 == pytest.approx(gmacs, rel=1e-3)


def test_every_row_of_prior_art_is_counted_and_the_claims_file_has_the_same() -> None:
    assert set(COUNTS) == {name for name, entry in discover().items() if entry.reading}
    readings = [reading for reading in load_readings(load_claims()) if not reading.convolutions]
    for reading in readings:
        gmacs = COUNTS[reading.model][1].get((reading.height_px, reading.width_px))
        if gmacs is not None:
            assert reading.gmacs_dense3x3 + reading.gmacs_other == pytest.approx(gmacs, rel=0.01)
    assert {reading.model for reading in readings} == set(COUNTS)


@pytest.mark.parametrize(
    ("network", "size", "millions", "gmacs"),
    [
        (Mask2Former, (800, 1088), pytest.approx(44.023377, rel=1e-9), 216.6),  # as Hugging Face's; the paper: 44 M
        (FastInst, (640, 864), pytest.approx(34.230, rel=1e-4), 81.95),  # 34 M as published for D3
    ],
)
def test_sizes_of_the_authors(network: type[FastInst], size: tuple[int, int], millions: float, gmacs: float) -> None:
    with torch.device("meta"):
        counted = total(count(network("resnet50", 80), *size))
    assert (counted.parameters / 1e6, counted.macs / 1e9) == (millions, pytest.approx(gmacs, rel=1e-3))


@pytest.mark.parametrize(
    ("name", "channels", "parameters_m", "gmacs_at_224"),
    [
        ("resnet18", (64, 128, 256, 512), 11.177, 1.814),
        ("resnet50", (256, 512, 1024, 2048), 23.508, 4.087),
        ("resnet50_msra", (256, 512, 1024, 2048), 23.508, None),
        ("mobilenetv2", (24, 32, 96, 320), 1.812, None),
        ("mobilenetv2_edge", (24, 32, 64, 160), 1.338, None),
        ("topformer_base", (32, 256, 256, 256), 4.958, None),
    ],
)
def test_published_sizes_of_backbones(
    name: str, channels: tuple[int, ...], parameters_m: float, gmacs_at_224: float | None
) -> None:
    with torch.device("meta"):
        trunk = TRUNKS[name]()
        maps = trunk.eval()(torch.zeros(1, 3, 96, 160))
    assert tuple(trunk.out_channels) == channels
    assert [tuple(feature.shape[1:]) for feature in maps] == [
        (width, 96 // stride, 160 // stride) for width, stride in zip(channels, (4, 8, 16, 32), strict=True)
    ]
    counted = total(count(trunk, 224, 224))
    assert counted.parameters / 1e6 == pytest.approx(parameters_m, rel=5e-4)
    if gmacs_at_224 is not None:
        assert counted.macs / 1e9 == pytest.approx(gmacs_at_224, rel=1e-3)
