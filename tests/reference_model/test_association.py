from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_model.mobileinst import NonFiniteError
from reference_model.tracking import associate, cosine_similarity


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(2, 6))
def test_order_has_the_largest_sum_of_cosines(seed: int, count: int, length: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    previous, current = (torch.randn(count, length, generator=generator, dtype=torch.float64) for _ in range(2))

    def cosine(a: list[float], b: list[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5

    table = [[cosine(a, b) for b in current.tolist()] for a in previous.tolist()]
    torch.testing.assert_close(cosine_similarity(previous, current), torch.tensor(table, dtype=torch.float64))
    best = max(itertools.permutations(range(count)), key=lambda order: sum(table[i][j] for i, j in enumerate(order)))
    assert associate(previous, current).tolist() == list(best)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(20)), st.integers(0, 10**6))
def test_a_permutation_is_recovered_whatever_the_lengths_and_small_changes(order: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    kernels = torch.randn(20, 64, generator=generator)
    scale = torch.rand(20, 1, generator=generator) * 5 + 0.1
    changed = (kernels + 0.1 * torch.randn(20, 64, generator=generator)) * scale
    found = associate(kernels, changed[order])
    assert torch.tensor(order)[found].tolist() == list(range(20))


def test_kernels_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(NonFiniteError):
        associate(torch.ones(2, 3), torch.full((2, 3), float("nan")))
