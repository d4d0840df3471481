"""Everything before the first iteration: memory, weights, and the state of an interrupted run."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field

import torch

from reference_model.mobileinst import MobileInst
from suite.cores import available_cores
from suite.errors import InputError
from suite.progress import say
from suite.seeds import derive_seed
from suite.training.batch_norm import synchronise_batch_norm
from suite.training.initial import InitialFiles, load_weights, warning
from suite.training.processes import Processes
from suite.training.recipe import Recipe
from suite.training.state import Progress, StateFiles, Trained, restore

PRECIOUS_S = 3600.0
"""Training time above which the state of another run is refused and not overwritten."""


@dataclass(frozen=True)
class How:
    """What a run is computed with; it changes no number but by rounding.

    Attributes:
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        workers: processes that prepare batches; 0: none.
        compiled: whether to use `torch.compile`.
        tensorboard: whether to write event files where TensorBoard is installed.
        initial: files to start from.
    """

    device: str = "auto"
    workers: int = 0
    compiled: bool = False
    tensorboard: bool = False
    initial: InitialFiles = field(default_factory=InitialFiles)


def keep_freed_memory() -> None:
    """Let glibc's allocator keep what a training step frees for the next one.

    Otherwise each step of the embedded recipe takes about 13000 page faults, a tenth of its CPU time. Elsewhere than on
    glibc this does nothing.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    set_option(trim_threshold, 2**31 - 1)
    set_option(mmap_max, 0)


def take_threads(recipe: Recipe, processes: Processes) -> None:
    """Compute with the recipe's threads, but not with more than cores.

    Four threads on two cores wait for each other: a step of a COCO recipe took three times as long as with two.
    """
    threads = min(recipe.threads, available_cores())
    if threads < recipe.threads and processes.first:
        say(f"computing with {threads} threads, this machine has no cores for the recipe's {recipe.threads}")
    torch.set_num_threads(threads)


def build_model(recipe: Recipe, seed: int, processes: Processes, initial: InitialFiles) -> MobileInst:
    """Return the model on this process's device, with the weights a run starts from; the same in every process."""
    torch.manual_seed(derive_seed(seed, "weights"))
    model = MobileInst(recipe.config())
    if processes.first:
        if said := warning(recipe, initial):
            say(said)
        if said := load_weights(model, initial):
            say(f"starting from {said}")
    model.to(processes.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    processes.copy_model(model)
    if recipe.batch_norm == "synchronised":
        synchronise_batch_norm(model, processes)
    return model


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
        others = f", saved by {stored.processes} processes" if stored.processes != processes.count else ""
        say(f"resuming at iteration {stored.iteration}{others}")
    return stored
