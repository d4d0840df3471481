"""Batch normalisation over all processes, and normalisation by fixed statistics.

torch's own `SyncBatchNorm` computes on GPUs only. `SynchronisedBatchNorm2d` does the same by plain operations on any
device, so that what runs on eight GPUs can be checked with two processes on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn

from suite.training.processes import Processes


class _Total(torch.autograd.Function):
    """The sum of a tensor over all processes; the gradient of a sum is summed likewise."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the mean and variance over the images of all processes; names as `nn.BatchNorm2d`."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape; B may differ between processes."""
        if not self.training:
            return super().forward(input)
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            raise ValueError("synchronised batch norm needs running statistics with a momentum")
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        local = torch.full((1,), values.numel() / values.shape[1], dtype=values.dtype, device=values.device)
        # Two passes, since a difference of large sums of squares loses digits.
        sums: Tensor = _Total.apply(torch.cat([values.sum((0, 2, 3)), local]))  # type: ignore[no-untyped-call]
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = values - mean[:, None, None]
        squares: Tensor = _Total.apply(centred.square().sum((0, 2, 3)))  # type: ignore[no-untyped-call]
        variance = squares / count
        with torch.no_grad():
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)


def synchronise_batch_norm(model: nn.Module, processes: Processes) -> None:
    """Make every batch norm of a model use the statistics of all processes, in place; parameters stay the same objects.

    On GPUs torch's `SyncBatchNorm` is used.
    """
    if processes.count == 1:
        return
    if processes.device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return
    for module in list(model.modules()):
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SynchronisedBatchNorm2d


def freeze_batch_norm(model: nn.Module) -> None:
    """Keep the running statistics of a model in training mode as they are, and normalise by them."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
