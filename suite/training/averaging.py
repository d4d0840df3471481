"""An exponential moving average of the weights, evaluated and saved in their place."""

from __future__ import annotations

import copy

import torch

from reference_model.mobileinst import MobileInst


class AveragedModel:
    """The running average of a model's parameters; batch-norm statistics are taken as they are.

    Args:
        model: the model that is trained.
        decay: weight of the average at each update, in (0, 1); smaller in the first updates, (1 + n) / (10 + n), so
            that the random start is forgotten.
    """

    def __init__(self, model: MobileInst, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update(self, model: MobileInst, updates: int) -> None:
        """Take in the weights after a step; ``updates`` is the number of updates before this one."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        for ours, theirs in zip(self.model.parameters(), model.parameters(), strict=True):
            ours.lerp_(theirs, 1 - decay)
        for kept, given in zip(self.model.buffers(), model.buffers(), strict=True):
            kept.copy_(given)
