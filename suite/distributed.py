"""The processes that train or predict together: one alone, or those that ``torchrun`` started on some machines.

torch is imported where it is first needed, so that a prediction by ONNX Runtime in one process does without it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from suite.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Kind = TypeVar("Kind")
WAIT = timedelta(days=30)
"""How long a process waits for another one, which may predict or score a whole dataset meanwhile."""


def _number(name: str, default: int) -> int:
    """Return one of the environment variables that ``torchrun`` sets.

    Raises:
        InputError: if it is no whole number of at least 0.
    """
    text = os.environ.get(name, str(default))
    if not text.isascii() or not text.isdigit():
        raise InputError(f"environment variable {name}={text}: not a whole number; unset it or start with torchrun")
    return int(text)


@dataclass(frozen=True)
class Processes:
    """The processes that work on one model together; in one process alone no method communicates.

    Attributes:
        rank: number of this process, from 0; process 0 writes files and messages.
        count: number of processes.
        device_name: where this process computes, e.g. ``"cpu"`` or ``"cuda:1"``.
    """

    rank: int
    count: int
    device_name: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this is process 0."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        import torch

        return torch.device(self.device_name)

    def gather(self, value: Kind) -> list[Kind]:
        """Return the values of all processes by rank; waits for all of them."""
        if self.count == 1:
            return [value]
        from torch import distributed

        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def share(self, value: Kind) -> Kind:
        """Return the value of process 0; every process waits for it."""
        if self.count == 1:
            return value
        from torch import distributed

        values: list[Any] = [value]
        distributed.broadcast_object_list(values, src=0)
        shared: Kind = values[0]
        return shared

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, on its device."""
        if self.count == 1:
            return values
        from torch import distributed

        summed = values.to(self.device, copy=True)
        distributed.all_reduce(summed)
        return summed.to(values.device)

    def mean(self, values: Sequence[float]) -> list[float]:
        """Return the mean of each value over all processes; NaN anywhere stays NaN."""
        if self.count == 1:
            return list(values)
        import torch

        return [float(value) for value in self.total(torch.tensor(values, dtype=torch.float64)) / self.count]

    def maximum(self, value: float) -> float:
        """Return the largest value of all processes."""
        if self.count == 1:
            return value
        import torch
        from torch import distributed

        largest = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(largest, op=distributed.ReduceOp.MAX)
        return float(largest)

    def copy_model(self, model: nn.Module) -> None:
        """Give the parameters and buffers of process 0 to every process."""
        if self.count == 1:
            return
        from torch import distributed

        for tensor in model.state_dict().values():
            # A copy: collectives need contiguous memory, and convolutions are stored channels last.
            sent = tensor.detach().contiguous()
            distributed.broadcast(sent, src=0)
            tensor.copy_(sent)


def start_processes(device: str = "cpu") -> Processes:
    """Join the processes that ``torchrun`` started, or be the only one; may be called repeatedly.

    Args:
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for a GPU where there is one.

    Raises:
        InputError: if a GPU is asked for and there is none for this process, RANK, WORLD_SIZE or LOCAL_RANK is no
            number or out of range, or the other processes are not reached.
    """
    rank, count, local = _number("RANK", 0), _number("WORLD_SIZE", 1), _number("LOCAL_RANK", 0)
    name = "cpu"
    if device != "cpu":
        import torch

        gpus = torch.cuda.device_count()
        if local < gpus:
            name = f"cuda:{local}"
            torch.cuda.set_device(local)
        elif device == "cuda":
            raise InputError(
                f"--device cuda: process {local} of this machine has no GPU, torch sees {gpus}; use cpu or auto"
            )
    if count > 1:
        from torch import distributed

        if rank >= count:
            raise InputError(f"environment variable RANK={rank}: of WORLD_SIZE={count} processes; start with torchrun")
        if not distributed.is_initialized():
            try:
                distributed.init_process_group("gloo" if name == "cpu" else "cpu:gloo,cuda:nccl", timeout=WAIT)
            except (ValueError, RuntimeError) as error:  # MASTER_ADDR and MASTER_PORT absent, not free or not reached
                raise InputError(f"WORLD_SIZE={count}: no process group ({error}); start with torchrun") from None
    return Processes(rank, count, name)


def available_cores() -> int:
    """Return how many cores this process may run on; where a system does not say, how many the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
