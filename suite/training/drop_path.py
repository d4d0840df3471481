"""Stochastic depth for one part of an iteration: the draws are those of all its images at once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reference_model.backbones.blocks import DropPath


class Part:
    """Which part of the iteration is being computed; shared by all layers and changed between parts.

    Attributes:
        rank: number of the part.
        count: number of parts.
        halves: 2 where a part holds frames t and then frames t + delta, else 1.
    """

    def __init__(self) -> None:
        self.rank, self.count, self.halves = 0, 1, 1


class DealtDropPath(DropPath):
    """`DropPath` that draws for the images of all parts and keeps its own part's draws.

    All parts must start from the same state of the random generator.

    Args:
        probability: chance in [0, 1) that a sample loses the branch.
        part: the part that is being computed.
    """

    def __init__(self, probability: float, part: Part) -> None:
        super().__init__(probability)
        self.part = part

    def forward(self, branch: Tensor) -> Tensor:
        """``(B, ...)`` to the same shape, B the images of this part."""
        if not self.training or self.probability == 0.0:
            return branch
        keep, part = 1.0 - self.probability, self.part
        every = torch.empty(branch.shape[0] * part.count, dtype=branch.dtype, device=branch.device).bernoulli_(keep)
        own = every.view(part.halves, part.count, -1)[:, part.rank].reshape(-1, *(1,) * (branch.ndim - 1))
        return branch * (own / keep)


def deal_drop_path(model: nn.Module, part: Part) -> None:
    """Replace every `DropPath` of a model, in place."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is DropPath:
                setattr(module, name, DealtDropPath(child.probability, part))
