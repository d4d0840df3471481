"""Kernel association: which query of a key frame is which of the key frame before.

As in MinVIS: cosine similarity, Hungarian algorithm over all queries, no threshold, no births or deaths.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def cosine_similarity(previous: Tensor, current: Tensor) -> Tensor:
    """Cosine of the angle between every previous and every current vector.

    Args:
        previous: (N, D).
        current: (M, D).

    Returns:
        (N, M) in [-1, 1]; 0 for a zero vector.
    """
    return F.normalize(previous, dim=1) @ F.normalize(current, dim=1).T


def associate(previous: Tensor, current: Tensor) -> Tensor:
    """Finds the order of the current queries in which they continue the previous ones with the largest sum of cosines.

    Args:
        previous: (N, D) kernels, or embeddings, of the previous key frame in the order of the tracks.
        current: (N, D) of the current key frame in the order of the queries.

    Returns:
        (N,) int64: the query that continues each track; every query exactly once.

    Raises:
        ValueError: if the numbers are not finite.
    """
    similarity = cosine_similarity(previous, current)
    if not bool(torch.isfinite(similarity).all()):
        raise ValueError("kernels are not finite: the model's weights are spoiled")
    _, order = linear_sum_assignment(similarity.double().cpu().numpy(), maximize=True)
    return torch.as_tensor(order, dtype=torch.long, device=current.device)
