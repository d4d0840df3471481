"""Sizes, strides and parameters of the backbones of prior art."""

from __future__ import annotations

import pytest
import torch

from suite.export.counts import count_total
from suite.models.parts.trunks import TrunkName, build_trunk

torch.set_num_threads(1)


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
def test_published_sizes(
    name: TrunkName, channels: tuple[int, ...], parameters_m: float, gmacs_at_224: float | None
) -> None:
    with torch.device("meta"):
        trunk = build_trunk(name)
        maps = trunk.eval()(torch.zeros(1, 3, 96, 160))
    assert tuple(trunk.out_channels) == channels
    assert [tuple(feature.shape[1:]) for feature in maps] == [
        (width, 96 // stride, 160 // stride) for width, stride in zip(channels, (4, 8, 16, 32), strict=True)
    ]
    counted = count_total(trunk, 224, 224)
    assert counted.parameters / 1e6 == pytest.approx(parameters_m, rel=5e-4)
    if gmacs_at_224 is not None:
        assert counted.macs / 1e9 == pytest.approx(gmacs_at_224, rel=1e-3)


def test_the_early_stride_saves_about_six_percent() -> None:
    with torch.device("meta"):
        late, early = (count_total(build_trunk(name), 800, 1344).macs for name in ("resnet50", "resnet50_msra"))
    assert 0.04 < 1 - early / late < 0.08
