"""The three fusions of the paper's figure, by value: every box of it becomes a number, every map a constant."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reference_model.mask_decoder import MaskDecoder
from tests.reference_model.small import small_config

BOXES = (
    *("lateral3", "lateral4", "lateral5", "lateral6", "enhance_in", "enhance_out", "mask_features"),
    *("first3", "first4", "first5", "second3", "second4", "second5"),
)


class Times(nn.Module):
    """Multiplies a map; a second map, X_G for the semantic enhancers, counts a hundredfold."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor, x_global: Tensor | None = None) -> Tensor:
        return self.factor * x if x_global is None else self.factor * x + 100 * x_global.mean()


def test_the_three_fusions_are_those_of_the_figure() -> None:
    rng = np.random.default_rng(0)
    factors = dict(zip(BOXES, rng.uniform(0.5, 2, len(BOXES)).tolist(), strict=True))
    decoder = MaskDecoder((1, 1, 1, 1), small_config()).double()
    for name, factor in factors.items():
        setattr(decoder, name, Times(factor))
    values = rng.uniform(1, 3, 4).tolist()
    x3, x4, x5, x6 = (
        torch.full((1, 1, side, side), value, dtype=torch.float64)
        for value, side in zip(values, (16, 8, 4, 2), strict=True)
    )
    found = decoder(x3, x4, x5, x6)

    v3, v4, v5, v_global = (
        factors[f"lateral{level}"] * value for level, value in zip((3, 4, 5, 6), values, strict=True)
    )
    p5 = factors["enhance_in"] * v5 + 100 * v_global
    p4 = v4 + p5
    p3 = v3 + p4
    n3 = factors["first3"] * p3
    n4 = factors["first4"] * p4 + n3
    n5 = factors["first5"] * p5 + n4
    s5 = factors["enhance_out"] * (factors["second5"] * n5) + 100 * v_global
    s4 = factors["second4"] * n4 + s5
    x_mask = factors["second3"] * n3 + s4
    expected = (x_mask, factors["mask_features"] * x_mask, v_global)
    for part, value, side in zip(found, expected, (16, 16, 2), strict=True):
        assert part.shape == (1, 1, side, side)
        np.testing.assert_allclose(part.detach().numpy(), value, rtol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(6, 8), (5, 7)])
def test_halving_is_the_mean_of_two_by_two_cells_cut_at_the_border(height: int, width: int) -> None:
    x = torch.randn(1, 1, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows, columns = -(-height // 2), -(-width // 2)
    decoder = MaskDecoder((1, 1, 1, 1), small_config())
    found = decoder.down(x, torch.zeros(1, 1, rows, columns))[0, 0].numpy()
    for row, column in np.ndindex(rows, columns):
        cell = x[0, 0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        assert found[row, column] == pytest.approx(float(cell.mean()))
