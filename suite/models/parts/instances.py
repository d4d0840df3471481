"""Which instances get a mask when the choice must not depend on the data."""

from __future__ import annotations

import torch
from torch import Tensor

from suite.models.networks import MASKS


def spread_over(candidates: int, device: torch.device) -> Tensor:
    """Return `MASKS` indices, evenly spread over ``candidates`` places from the first on (repeated if there are fewer).

    Args:
        candidates: number of places.
        device: of the result.

    Returns:
        (MASKS,) int64 in [0, candidates), ascending.
    """
    return torch.tensor([index * candidates // MASKS for index in range(MASKS)], device=device)
