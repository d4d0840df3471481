from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from reference_model.config import VARIANTS
from reference_model.images import (
    Geometry,
    ImageError,
    Thresholds,
    normalise,
    padded_size,
    postprocess,
    preprocess,
    resized_size,
    upsample_masks,
)
from reference_model.mobileinst import NonFiniteError
from tests.reference_model import naive_masks

LIMIT = math.log(0.45 / 0.55)


def blobs(rng: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    """Smooth blobs, specks, and empty masks."""
    y, x = np.mgrid[:height, :width]
    logits = np.empty((count, height, width), np.float32)
    for one in logits:
        centre = rng.uniform([0, 0], [height, width])
        radius = rng.uniform(-1, max(height, width) / 2)
        one[:] = (radius - np.hypot(y - centre[0], x - centre[1])) * rng.uniform(0.3, 3) + rng.normal(0, 0.5, y.shape)
    return logits


@st.composite
def geometries(draw: st.DrawFn) -> tuple[Geometry, int, int]:
    """A picture's sizes with the size of its mask logits, padded to 64 pixels."""
    resized = draw(st.integers(5, 190)), draw(st.integers(5, 190))
    original = draw(st.integers(3, 260)), draw(st.integers(3, 260))
    height, width = (-(-side // 64) * 16 for side in resized)
    return Geometry(*original, *resized), height, width


@settings(max_examples=40, deadline=None)
@given(geometries(), st.integers(0, 10**6), st.booleans())
def test_boxed_upsampling_equals_interpolating_every_pixel(
    sizes: tuple[Geometry, int, int], seed: int, as_sparseinst: bool
) -> None:
    geometry, height, width = sizes
    logits, limit = blobs(np.random.default_rng(seed), 6, height, width), 0.45 if as_sparseinst else LIMIT
    for one, mask in zip(logits, upsample_masks(torch.from_numpy(logits), geometry, 0.45, as_sparseinst), strict=True):
        naive = naive_masks.full_size_logits(1 / (1 + np.exp(-one.astype(float))) if as_sparseinst else one, geometry)
        certain = np.abs(naive - limit) > 1e-4  # nearer to the threshold float32 may fall on the other side
        painted = np.zeros(naive.shape, bool) if mask is None else mask.paint(*geometry.original_size)
        assert (painted == (naive > limit))[certain].all()
        assert np.count_nonzero(~certain) <= max(2, 0.02 * certain.size)


@settings(max_examples=10, deadline=None)
@given(geometries(), st.integers(0, 10**6))
def test_detections_follow_the_rule_in_words(sizes: tuple[Geometry, int, int], seed: int) -> None:
    geometry, height, width = sizes
    rng = np.random.default_rng(seed)
    classes = rng.normal(-4, 4, (12, 5)).astype(np.float32)
    objectness = rng.normal(-2, 4, 12).astype(np.float32)
    logits = blobs(rng, 12, height, width)
    found = postprocess(classes, objectness, logits, geometry)
    expected = naive_masks.detections(classes, objectness, logits, geometry)
    assert len(found) == len(expected)
    for one, (class_index, score, full) in zip(found, expected, strict=True):
        assert one.class_index == class_index
        assert one.score == pytest.approx(score, rel=1e-4)
        assert one.mask.shape == (geometry.original_height, geometry.original_width)
        certain = np.abs(full - LIMIT) > 1e-4
        assert (one.mask == (full > LIMIT))[certain].all()


def one_mask(class_logit: float, objectness_logit: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    logits = torch.full((1, 16, 16), -5.0)
    logits[0, 4:8, 4:8] = 5.0
    return torch.tensor([[class_logit]]), torch.tensor([objectness_logit]), logits


SQUARE = Geometry(64, 64, 64, 64)


@pytest.mark.parametrize(
    "values", [{"mask": 0.0}, {"mask": 1.0}, {"score": -0.1}, {"score": 1.0}, {"max_detections": 0}]
)
def test_impossible_thresholds_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        Thresholds(**values)  # type: ignore[arg-type]


def test_a_batch_and_nan_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        postprocess(*(part[None] for part in one_mask(0.0, 0.0)), SQUARE)
    with pytest.raises(NonFiniteError):
        postprocess(*one_mask(float("nan"), 0.0), SQUARE)


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
