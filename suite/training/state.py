"""The state of an interrupted training run: enough to continue it bit for bit, in a file that is never unpickled."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from suite.errors import InputError
from suite.files import atomic_path

FORMAT = "mobileinst-suite training state 1"


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        identity: digest of everything the run depends on; only the same run may be resumed.
        iteration: number of finished iterations.
        elapsed_s: training time so far, over all processes that worked on it.
        curve: rows of the training curve.
    """

    identity: str
    iteration: int = 0
    elapsed_s: float = 0.0
    curve: list[list[float | int | None]] = field(default_factory=list)


def save_state(path: Path, progress: Progress, model: nn.Module, optimizer: Optimizer) -> None:
    """Write weights, buffers and optimiser moments, at once or not at all."""
    tensors = {f"model/{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{name}": tensor.contiguous() for name, tensor in moments.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"format": FORMAT, "progress": json.dumps(vars(progress))})


def load_state(path: Path, identity: str, model: nn.Module, optimizer: Optimizer) -> Progress | None:
    """Continue from a saved state.

    Returns:
        The progress it was saved at, or None if the state belongs to another run (recipe, seed, data or code).

    Raises:
        InputError: if the file is truncated or not a training state.
    """
    remedy = "delete it to start this run afresh"
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError(f"{path}: not a training state; {remedy}")
            progress = Progress(**json.loads(metadata["progress"]))
            if progress.identity != identity:
                return None
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: damaged training state ({error}); {remedy}") from None
    model.load_state_dict({name.removeprefix("model/"): t for name, t in tensors.items() if name.startswith("model/")})
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, index, key = name.split("/")
            like = parameters[int(index)]
            # Moments take their parameter's memory layout, or the optimiser's fused step would pair wrong elements.
            same_shape = tensor.shape == like.shape
            moments.setdefault(int(index), {})[key] = torch.empty_like(like).copy_(tensor) if same_shape else tensor
    full = optimizer.state_dict()
    full["state"] = moments
    optimizer.load_state_dict(full)
    return progress


def weights_of(model: nn.Module) -> Tensor:
    """Return every parameter and buffer as one float64 vector, for comparing two models bit for bit."""
    return torch.cat([tensor.double().reshape(-1) for tensor in model.state_dict().values()])
