from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from suite.datasets import rle
from suite.datasets.annotations import Rle, Segmentation
from suite.datasets.masks import compress, encode_mask, to_mask
from suite.datasets.rle import BadCodeError, check_codes
from suite.errors import InputError
from tests.suite.accuracy.cases import compressed, random_mask


def read(form: Any) -> Any:
    return msgspec.convert(form, Segmentation)


RELAXED = settings(max_examples=60, deadline=None)
MASKS = arrays(np.bool_, st.tuples(st.integers(1, 30), st.integers(1, 30)))


def runs_of(mask: np.ndarray) -> list[int]:
    """Column by column run lengths, starting with zeros, counted in plain Python."""
    counts, value = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


@RELAXED
@given(MASKS)
def test_a_mask_survives_every_encoding(mask):
    height, width = mask.shape
    for form in (encode_mask(mask), {"size": [height, width], "counts": runs_of(mask)}):
        back = to_mask(read(form), height, width, "here")
        assert back is not None
        assert back.dtype == np.bool_
        assert np.array_equal(back, mask)
        assert compress([read(form)], [mask.shape], np.zeros(1, int), "here", str).rles() == [encode_mask(mask)]


@RELAXED
@given(MASKS, st.integers(0, 40), st.integers(0, 127))
def test_a_damaged_string_of_counts_is_read_or_refused(mask, place, code):
    counts = encode_mask(mask)["counts"]
    place %= max(len(counts), 1)
    damaged = counts[:place] + chr(code) + counts[place + 1 :]
    try:
        back = to_mask(Rle(mask.shape, damaged), *mask.shape, "here")
    except InputError:
        return
    assert back is not None
    assert coco_mask.area(encode_mask(back)) == back.sum()


@pytest.mark.parametrize(
    "segmentation",
    [
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [[float("nan"), 2, 3, 4, 5, 6]],
        [[1, 2, 3, 4, 5, -2e5]],
        [[1, 2, 3, 4, 5, 6], [1e5, 1e5, -1e5, -1e5] * 3],  # 1.2e6 px of boundary
        {"size": [4, 5], "counts": [20]},
        {"size": [4, 4]},
        {"size": [4, 4], "counts": [15]},
        {"size": [4, 4], "counts": [17, -1]},
        {"size": [4, 4], "counts": [2**32, -(2**32) + 16]},
        {"size": [4, 4], "counts": "ö"},
        {"size": [4, 4], "counts": ""},
        {"size": [4, 4], "counts": "191goooooO4"},  # -9 in seven groups: pycocotools reads -1
    ],
)
def test_what_is_not_a_mask_is_refused_with_its_place(segmentation):
    with pytest.raises(InputError) as caught:
        to_mask(read(segmentation), 4, 4, "file.json: annotations[3]")
    assert str(caught.value).startswith("file.json: annotations[3]")


def test_a_boundary_is_as_long_as_its_edges_together() -> None:
    """Many corners close to each other, and few far from each other, are drawn as pycocotools draws them."""
    turns = np.linspace(0, 2 * np.pi, 40_000)
    circle = np.stack((32 + 30 * np.cos(turns), 32 + 30 * np.sin(turns)), 1).ravel().tolist()
    for polygon in (circle, [-1e5, -1e5, 1e5, -1e5, 1e5, 1e5, -1e5, 1e5], [1e5, 1e5, -1e5, -1e5] * 2 + [0, 0]):
        official = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([polygon], 64, 64)))
        mask = to_mask(read([polygon]), 64, 64, "here")
        assert mask is not None
        assert np.array_equal(mask, official)


@pytest.mark.parametrize("segmentation", [None, [], [[]], {}])
def test_no_mask_is_told_from_a_bad_one(segmentation):
    assert to_mask(read(segmentation), 4, 4, "here") is None


@pytest.mark.parametrize(
    ("segmentation", "pixels"),
    [
        ({"size": [4.0, 4.0], "counts": [10.0, 6.0]}, 6),
        ([[0, 0, 4, 0, 4, 4, 0, 4], [1, 1, 2, 2]], 16),
        ([[0, 0, 4, 0, 4, 4, 0, 4], [3, 3]], 16),
    ],
)
def test_what_pycocotools_draws_is_read(segmentation, pixels):
    mask = to_mask(read(segmentation), 4, 4, "here")
    assert mask is not None
    assert mask.sum() == pixels


def runs_one_by_one(code: str) -> list[int] | None:
    """Read a code character by character; None where it is no sequence of whole groups."""
    runs: list[int] = []
    value = shift = 0
    for character in code:
        group = ord(character) - 48
        if not 0 <= group < 64:
            return None
        value += (group & 31) << shift
        shift += 5
        if group < 32:
            if group & 16:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    return runs if code and not shift else None


def is_mask(code: str, area: int) -> bool:
    runs = runs_one_by_one(code)
    return runs is not None and min(runs) >= 0 and sum(runs) == area


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30), st.sampled_from([1, 7, 64, 1 << 16]))
def test_bad_codes_among_good_ones_are_found(seed: int, amount: int, chunk: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 40, (amount, 2))
    codes = [compressed(random_mask(rng, height, width))["counts"] for height, width in sizes]
    areas = sizes[:, 0] * sizes[:, 1]
    for _ in range(rng.integers(0, 3)):
        index = int(rng.integers(amount))
        letters = list(codes[index])
        place = int(rng.integers(len(letters) + 1))
        letters[place : place + int(rng.integers(0, 2))] = [
            chr(rng.integers(44, 115)) for _ in range(rng.integers(0, 2))
        ]
        codes[index] = "".join(letters)
    good = [is_mask(code, area) for code, area in zip(codes, areas, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rle, "CHUNK_CHARACTERS", chunk)
        if not all(good):
            with pytest.raises(BadCodeError) as caught:
                check_codes(codes, areas)
            assert not good[caught.value.index]
            return
        areas_px, has_empty_runs = check_codes(codes, areas)
    runs = [runs_one_by_one(code) or [] for code in codes]
    assert areas_px.tolist() == [sum(counts[1::2]) for counts in runs]
    assert has_empty_runs == any(0 in counts[1:] for counts in runs)


def test_one_mask_larger_than_a_chunk() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((1000, 900)) < 0.5
    code = compressed(mask)["counts"]
    assert len(code) > 1.5 * rle.CHUNK_CHARACTERS
    assert check_codes([code] * 2, np.array([mask.size] * 2))[0].tolist() == [mask.sum()] * 2
    with pytest.raises(BadCodeError) as caught:
        check_codes([code, code], np.array([mask.size, mask.size - 1]))
    assert caught.value.index == 1


def test_long_boundaries_are_bounded_over_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.datasets.masks.MAX_EXCESS_PX", 2e5)
    polygon = [0.0, 0, 5e4, 0, 5e4, 5e4, 0, 5e4]
    short = [[0.0, 0, 20, 0, 20, 20]]
    forms = [read([polygon]), *[read(short)] * 50, read([polygon, polygon])]
    codes = compress(forms[:-1], [(40, 40)], np.zeros(51, np.int64), "a.json", str)
    assert codes.areas_px.tolist()[0] == 1600
    with pytest.raises(InputError, match=r"a\.json: 51: "):
        compress(forms, [(40, 40)], np.zeros(52, np.int64), "a.json", str)
