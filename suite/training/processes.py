"""The processes of one training: alone, or started by ``torchrun`` on one or several machines.

Gradients are averaged by one all-reduce of all of them after the last accumulated part. The models here have about ten
million parameters (40 MB), so overlapping that with the backward pass, as DistributedDataParallel does, has little to
hide, and the losses may call the model's parts (`TemporalCriterion`) without a wrapper's forward.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from suite.errors import InputError

Kind = TypeVar("Kind")
WAIT = timedelta(days=1)
"""How long one process waits for another: process 0 scores and writes while the others wait."""


@dataclass(frozen=True)
class Processes:
    """The processes that train one model together; alone, every method is a formality.

    Attributes:
        rank: number of this process, from 0; process 0 writes files and messages.
        count: number of processes.
        device: where this process computes.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is process 0."""
        return self.rank == 0

    def mean(self, values: Sequence[float]) -> list[float]:
        """Return the mean of each value over all processes; NaN anywhere stays NaN."""
        if self.count == 1:
            return list(values)
        return [float(value) for value in self.total(torch.tensor(values, dtype=torch.float64)) / self.count]

    def maximum(self, values: Sequence[float]) -> list[float]:
        """Return the largest of each value over all processes."""
        if self.count == 1:
            return list(values)
        largest = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(largest, op=distributed.ReduceOp.MAX)
        return [float(value) for value in largest]

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, on its device."""
        if self.count == 1:
            return values
        summed = values.to(self.device, copy=True)
        distributed.all_reduce(summed)
        return summed.to(values.device)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its mean over all processes."""
        if self.count == 1:
            return
        wanted = [parameter for parameter in parameters if parameter.requires_grad]
        gradients = [torch.zeros_like(item) if item.grad is None else item.grad for item in wanted]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.count
        start = 0
        for parameter, gradient in zip(wanted, gradients, strict=True):
            gradient.copy_(flat[start : start + gradient.numel()].view(gradient.shape))
            parameter.grad = gradient
            start += gradient.numel()

    def copy_model(self, model: nn.Module) -> None:
        """Give every process the parameters and buffers of process 0."""
        if self.count > 1:
            for tensor in model.state_dict().values():
                # A copy: collectives need contiguous memory, and convolutions are kept channels last.
                sent = tensor.detach().contiguous()
                distributed.broadcast(sent, src=0)
                tensor.copy_(sent)

    def share(self, value: Kind) -> Kind:
        """Return what process 0 gave."""
        if self.count == 1:
            return value
        values: list[Any] = [value]
        distributed.broadcast_object_list(values, src=0)
        shared: Kind = values[0]
        return shared


def start_processes(device: str = "auto") -> Processes:
    """Join the processes that ``torchrun`` started, or be the only one.

    Args:
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU where there is one.

    Raises:
        InputError: if a GPU is asked for and there is none for this process.
    """
    rank, count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    gpus = torch.cuda.device_count()
    if device == "cuda" and local >= gpus:
        raise InputError(
            f"--device cuda: process {local} of this machine has no GPU, torch sees {gpus}; use cpu or auto"
        )
    chosen = torch.device("cuda", local) if device != "cpu" and local < gpus else torch.device("cpu")
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if count > 1 and not distributed.is_initialized():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", timeout=WAIT)
    return Processes(rank, count, chosen)
