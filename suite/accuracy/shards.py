"""Several processes, perhaps on several machines, that share one prediction. Started by ``torchrun``, or just one."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, TypeVar

Kind = TypeVar("Kind")


class Shards:
    """The processes of one prediction; alone, every method is a formality.

    Attributes:
        rank: number of this process, from 0.
        count: number of processes.
    """

    def __init__(self) -> None:
        self.rank, self.count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        if self.count > 1:
            import torch.distributed as distributed

            if not distributed.is_initialized():
                # One process may wait for another through a whole dataset.
                distributed.init_process_group("gloo", timeout=timedelta(days=30))

    def gather(self, value: Kind) -> list[Kind]:
        """Return what every process gave, by rank; waits for all of them."""
        if self.count == 1:
            return [value]
        import torch.distributed as distributed

        values: list[Any] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values

    def send(self, value: Any) -> None:
        """Send a value to process 0, which takes it with `receive`."""
        import torch.distributed as distributed

        distributed.send_object_list([value], dst=0)

    def receive(self, rank: int) -> Any:
        """Return what process ``rank`` sends."""
        import torch.distributed as distributed

        values: list[Any] = [None]
        distributed.recv_object_list(values, src=rank)
        return values[0]
