from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reference_model.config import VARIANTS
from reference_model.images import Geometry, ImageError, normalise, padded_size, preprocess, resized_size

CONFIG = dataclasses.replace(VARIANTS["mobileinst_topformer_tiny_shapes"], short_side_px=96, long_side_px=160)
MEAN = np.array([123.675, 116.28, 103.53])
STD = np.array([58.395, 57.12, 57.375])


@pytest.mark.parametrize(
    ("size", "sides", "expected"),
    [
        ((480, 640), (640, 864), (640, 853)),
        ((640, 480), (640, 864), (853, 640)),
        ((427, 640), (640, 864), (576, 864)),
        ((720, 1280), (360, 640), (360, 640)),
        ((128, 192), (128, 192), (128, 192)),
        ((1, 4000), (128, 192), (1, 192)),
    ],
)
def test_sizes_of_well_known_pictures(size: tuple[int, int], sides: tuple[int, int], expected: tuple[int, int]) -> None:
    assert resized_size(*size, *sides) == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(32, 640), st.integers(0, 400))
def test_one_side_meets_its_limit_and_the_aspect_stays(height: int, width: int, short: int, more: int) -> None:
    resized = resized_size(height, width, short, short + more)
    assert min(resized) == short or max(resized) == short + more
    assert max(resized) <= short + more
    scale = max(resized) / max(height, width)
    assert (
        abs(min(resized) - min(height, width) * scale) <= 0.5 + 0.5 * min(height, width) / max(height, width) + 1e-6
        or min(resized) == 1
    )


@pytest.mark.parametrize("size", [(60, 80), (240, 200), (96, 130), (331, 500)])
def test_picture_is_what_pillow_resizes_then_normalised_and_padded(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    pixels, geometry = preprocess(image, CONFIG)
    height, width = resized_size(*size, 96, 160)
    assert geometry == Geometry(*size, height, width)
    assert pixels.shape == (1, 3, *padded_size(height, width, 64))
    assert pixels.dtype == torch.float32
    resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR), dtype=float)
    shown = pixels[0, :, :height, :width].permute(1, 2, 0).numpy() * STD + MEAN
    assert np.abs(shown - resized).max() <= 1.001  # one grey level, from rounding
    assert np.abs(shown - resized).mean() < 0.05
    assert pixels[0, :, height:].abs().max() == 0 if height % 64 else True
    assert pixels[0, :, :, width:].abs().max() == 0 if width % 64 else True


def test_picture_of_the_right_size_is_not_resampled() -> None:
    image = np.random.default_rng(1).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    pixels, _ = preprocess(image, CONFIG)
    expected = (image.transpose(2, 0, 1) - MEAN[:, None, None]) / STD[:, None, None]
    np.testing.assert_allclose(pixels[0, :, :96, :128].numpy(), expected, atol=1e-6)
    batch = torch.from_numpy(image).permute(2, 0, 1)[None].expand(2, -1, -1, -1)
    torch.testing.assert_close(normalise(batch)[1], pixels[0, :, :96, :128], rtol=0, atol=0)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((3,), np.uint8),
    ],
)
def test_anything_but_an_8_bit_rgb_picture_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ImageError):
        preprocess(image, CONFIG)
