from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_model.config import VARIANTS
from reference_model.images import Geometry, Thresholds, detect, maskness, postprocess, preprocess, upsample_masks
from reference_model.mobileinst import MobileInst, NonFiniteError
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
@given(geometries(), st.integers(0, 10**6))
def test_boxed_upsampling_equals_interpolating_every_pixel(sizes: tuple[Geometry, int, int], seed: int) -> None:
    geometry, height, width = sizes
    logits = blobs(np.random.default_rng(seed), 6, height, width)
    for one, mask in zip(logits, upsample_masks(torch.from_numpy(logits), geometry, 0.45), strict=True):
        naive = naive_masks.full_size_logits(one, geometry)
        certain = np.abs(naive - LIMIT) > 1e-4  # nearer to the threshold float32 may fall on the other side
        painted = (
            np.zeros(naive.shape, bool)
            if mask is None
            else mask.paint(geometry.original_height, geometry.original_width)
        )
        assert (painted == (naive > LIMIT))[certain].all()
        assert certain.mean() > 0.98


@settings(max_examples=15, deadline=None)
@given(geometries(), st.integers(0, 10**6))
def test_boxed_upsampling_is_bit_identical_to_torch_interpolation(sizes: tuple[Geometry, int, int], seed: int) -> None:
    """On logits that are multiples of 1/16 the enlargement by 4 is exact, so only the resize may round."""
    geometry, height, width = sizes
    geometry = Geometry(
        geometry.resized_height, geometry.resized_width, geometry.resized_height, geometry.resized_width
    )
    logits = torch.from_numpy(blobs(np.random.default_rng(seed), 6, height, width)).mul(16).round().div(16)
    padded = torch.nn.functional.interpolate(logits[None], scale_factor=4, mode="bilinear", align_corners=False)[0]
    expected = padded[:, : geometry.resized_height, : geometry.resized_width] > LIMIT
    for mask, full in zip(upsample_masks(logits, geometry, 0.45), expected.numpy(), strict=True):
        if mask is None:
            assert not full.any()
        else:
            np.testing.assert_array_equal(mask.paint(*full.shape), full)


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


@pytest.mark.parametrize(("score", "kept"), [(0.49, 1), (0.51, 0)])
def test_score_threshold_applies_before_maskness(score: float, kept: int) -> None:
    found = postprocess(*one_mask(0.0, 0.0), SQUARE, Thresholds(score=score))
    assert len(found) == kept
    if found:
        assert found[0].score == pytest.approx(0.5 / (1 + math.exp(-5)))


def test_at_most_max_detections_and_the_best_of_them() -> None:
    _, objectness, logits = one_mask(0.0, 0.0)
    found = postprocess(
        torch.tensor([[0.0], [3.0], [1.0], [2.0]]),
        objectness.expand(4),
        logits.expand(4, -1, -1),
        SQUARE,
        Thresholds(max_detections=2, maskness=False),
    )
    assert [round(one.score, 4) for one in found] == [round(math.sqrt(0.5 / (1 + math.exp(-x))), 4) for x in (3, 2)]


def test_maskness_ignores_padding() -> None:
    logits = torch.full((1, 16, 16), 4.0)
    logits[:, 5:] = 0.0
    assert float(maskness(logits, Geometry(20, 64, 20, 64), 0.45)) == pytest.approx(1 / (1 + math.exp(-4)))


def test_masks_are_stored_by_columns_as_run_length_encoders_want_them() -> None:
    (found,) = postprocess(*one_mask(0.0, 0.0), SQUARE)
    assert found.mask.flags.f_contiguous
    assert found.mask.dtype == bool


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


def test_a_picture_through_the_whole_model() -> None:
    torch.manual_seed(0)
    config = VARIANTS["mobileinst_topformer_tiny_shapes"]
    model = MobileInst(config).eval()
    image = np.random.default_rng(0).integers(0, 256, (100, 90, 3), dtype=np.uint8)
    found = detect(model, image, config)
    pixels, geometry = preprocess(image, config)
    with torch.no_grad():
        output = model(pixels)
    arrays = [part[0].numpy() for part in (output.class_logits, output.objectness_logits, output.mask_logits)]
    expected = postprocess(*arrays, geometry)
    assert found
    assert [(one.class_index, one.score) for one in found] == [(one.class_index, one.score) for one in expected]
    assert all((one.mask == other.mask).all() for one, other in zip(found, expected, strict=True))
    assert found[0].mask.shape == (100, 90)
