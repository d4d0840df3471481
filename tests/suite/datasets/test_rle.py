from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.datasets import rle
from suite.datasets.rle import check_codes
from tests.suite.accuracy.cases import compressed, random_mask


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
        checked = check_codes(codes, areas)
    if all(good):
        runs = [runs_one_by_one(code) or [] for code in codes]
        assert checked.bad_index is None
        assert checked.areas_px.tolist() == [sum(counts[1::2]) for counts in runs]
        assert checked.has_empty_runs == any(0 in counts[1:] for counts in runs)
    else:
        assert checked.bad_index is not None
        assert not good[checked.bad_index]


def test_one_mask_larger_than_a_chunk() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((700, 800)) < 0.5
    code = compressed(mask)["counts"]
    assert len(code) > 1.5 * rle.CHUNK_CHARACTERS
    assert check_codes([code] * 2, np.array([mask.size] * 2)).areas_px.tolist() == [mask.sum()] * 2
    assert check_codes([code, code], np.array([mask.size, mask.size - 1])).bad_index == 1
