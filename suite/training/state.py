"""The state of a training, from which it continues bit for bit.

Order, augmentation, drop path and learning rate are functions of seed and iteration, so the iteration is all that the
state holds of the sampler, the random generators and the schedule. Its file is never unpickled.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from suite.distributed import Processes
from suite.errors import InputError
from suite.files import atomic_path
from suite.progress import say

FORMAT = "mobileinst-suite training state 4"
PRECIOUS_S = 3600.0
"""Training time above which the state of another run is refused and not overwritten."""


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        identity: digest of everything the run depends on; only the same run may be resumed.
        iteration: number of finished iterations.
        elapsed_s: training time so far, over all restarts.
        curve: rows of the training curve.
        best: the best score of an evaluation so far, in [0, 1].
        scaler: state of the loss scaling of float16; empty without.
    """

    identity: str
    iteration: int = 0
    elapsed_s: float = 0.0
    curve: list[list[float | int | None]] = field(default_factory=list)
    best: float | None = None
    scaler: dict[str, float] = field(default_factory=dict)


@dataclass
class Trained:
    """What a state holds tensors of: the model, its optimiser, and the averaged weights if there are any."""

    model: nn.Module
    optimizer: Optimizer
    average: nn.Module | None = None


class StateFiles:
    """The newest states of one run, ``state-ITERATION.safetensors`` in its folder.

    Args:
        folder: of the run.
        keep: number of states that stay.
    """

    def __init__(self, folder: Path, keep: int = 1) -> None:
        self.folder, self.keep = folder, keep

    def paths(self) -> list[Path]:
        """Return the states, newest first."""
        return sorted(self.folder.glob("state-*.safetensors"), reverse=True)

    def save(self, progress: Progress, trained: Trained) -> None:
        """Write weights, buffers, optimiser moments and average, at once or not at all; then drop the oldest state.

        States of later iterations go too: they are damaged, or another run's that was ignored, and would be taken for
        the newest ones.

        Raises:
            InputError: if the file cannot be written, e.g. on a full disk; the states before it are intact.
        """
        path = self.folder / f"state-{progress.iteration:08d}.safetensors"
        tensors = {f"model/{name}": tensor for name, tensor in trained.model.state_dict().items()}
        for index, moments in trained.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": tensor for name, tensor in moments.items()}
        if trained.average is not None:
            tensors |= {f"average/{name}": tensor for name, tensor in trained.average.state_dict().items()}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        metadata = {"format": FORMAT, "progress": json.dumps(vars(progress))}
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            stream.write(save(tensors, metadata))
            # On the disk before it takes its name, or a power cut could leave an empty file.
            os.fsync(stream.fileno())
        found = self.paths()
        place = found.index(path)
        for other in (*found[:place], *found[place + self.keep :]):
            other.unlink(missing_ok=True)

    def read(self) -> tuple[Progress, dict[str, Tensor]] | None:
        """Return the newest state that can be read, None where there is none.

        Raises:
            InputError: if every state is damaged.
        """
        problems = []
        for path in self.paths():
            try:
                found = _read(path)
            except InputError as error:
                problems.append(str(error))
                continue
            for problem in problems:
                say(f"{problem}; taking {path.name} instead")
            return found
        if problems:
            raise InputError(f"{problems[0]}; delete it to start this run afresh")
        return None


def _read(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise InputError(f"{path}: not a training state")
            progress = Progress(**json.loads(metadata["progress"]))
            return progress, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: damaged training state ({error})") from None


def restore(tensors: dict[str, Tensor], trained: Trained) -> None:
    """Put the tensors of a state into the model, the optimiser and the average."""

    def of(kind: str) -> dict[str, Tensor]:
        return {name.removeprefix(kind): item for name, item in tensors.items() if name.startswith(kind)}

    trained.model.load_state_dict(of("model/"))
    if trained.average is not None:
        trained.average.load_state_dict(of("average/"))
    parameters = [parameter for group in trained.optimizer.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in of("optimizer/").items():
        index, key = name.split("/")
        like = parameters[int(index)]
        # Moments take their parameter's memory layout, or the optimiser's fused step would pair wrong elements.
        same_shape = tensor.shape == like.shape
        moments.setdefault(int(index), {})[key] = torch.empty_like(like).copy_(tensor) if same_shape else tensor
    full = trained.optimizer.state_dict()
    full["state"] = moments
    trained.optimizer.load_state_dict(full)


def resume(states: StateFiles, progress: Progress, trained: Trained, processes: Processes) -> Progress:
    """Continue from the newest state, if it is of the same run; process 0 reads, all get it.

    Raises:
        InputError: if the states are damaged, or hold more than an hour of another run.
    """
    found = processes.share(states.read() if processes.first else None)
    if found is None:
        return progress
    stored, tensors = found
    if stored.identity != progress.identity:
        what = f"the state in {states.folder} is of another run (other data, code, initial weights or recipe)"
        if stored.elapsed_s > PRECIOUS_S:
            raise InputError(
                f"{what} and took {stored.elapsed_s / 3600:.1f} hours; check out its code and data, or discard it "
                "with --fresh"
            )
        if processes.first:
            say(f"{what}: ignored")
        return progress
    restore(tensors, trained)
    if processes.first:
        say(f"resuming at iteration {stored.iteration}")
    return stored
