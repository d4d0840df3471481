from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from suite.models.parts.fpn import FeaturePyramid

torch.set_num_threads(1)

CHANNELS = (6, 5, 4)
MAPS = [torch.randn(1, channels, *size) for channels, size in zip(CHANNELS, ((12, 20), (6, 10), (3, 5)), strict=True)]


@torch.no_grad()
def test_levels_are_lateral_plus_the_coarser_sum() -> None:
    pyramid = FeaturePyramid(CHANNELS, width=8)
    lateral5 = pyramid.laterals[2](MAPS[2])
    sum4 = pyramid.laterals[1](MAPS[1]) + lateral5.repeat_interleave(2, 2).repeat_interleave(2, 3)
    sum3 = pyramid.laterals[0](MAPS[0]) + sum4.repeat_interleave(2, 2).repeat_interleave(2, 3)
    p3, p4, p5, p6 = pyramid(MAPS)
    for index, (level, expected) in enumerate(((p3, sum3), (p4, sum4), (p5, lateral5))):
        torch.testing.assert_close(level, pyramid.outputs[index](expected))
    assert torch.equal(p6, p5[..., ::2, ::2])


@torch.no_grad()
def test_bilinear_upsampling_reaches_sizes_that_are_not_doubles() -> None:
    maps = [torch.randn(1, channels, side, side) for channels, side in zip(CHANNELS, (69, 35, 18), strict=True)]
    pyramid = FeaturePyramid(CHANNELS, width=8, upsampling="bilinear", activated=True, extra="two")
    levels = pyramid(maps)
    assert [level.shape[-1] for level in levels] == [69, 35, 18, 9, 5]
    assert all(bool((level >= 0).all()) for level in levels[:3])
    assert any(bool((level < 0).any()) for level in levels[3:])
    coarse = F.interpolate(pyramid.laterals[2](maps[2]), size=(35, 35), mode="bilinear")
    torch.testing.assert_close(levels[1], F.relu(pyramid.outputs[1](pyramid.laterals[1](maps[1]) + coarse)))


@torch.no_grad()
@pytest.mark.parametrize(("extra", "between"), [("two", torch.clone), ("two_relu", F.relu)])
def test_two_extra_levels(extra: str, between: object) -> None:
    pyramid = FeaturePyramid(CHANNELS, width=8, extra=extra)  # type: ignore[arg-type]
    *_, p5, p6, p7 = pyramid(MAPS)
    torch.testing.assert_close(p6, pyramid.downs[0](p5))
    torch.testing.assert_close(p7, pyramid.downs[1](between(p6)))  # type: ignore[operator]
    assert p7.shape == (1, 8, 1, 2)
