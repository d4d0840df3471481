"""What a training starts from: the machine's threads, and random weights, an official backbone or a checkpoint."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path

import torch

from reference_model.backbones.blocks import BackboneError
from reference_model.mobileinst import MobileInst
from reference_model.weights import CheckpointError, load_checkpoint, refuse_misfit
from suite.distributed import Processes, available_cores
from suite.errors import InputError
from suite.files import file_digest
from suite.models.parts.official import read_official
from suite.progress import say
from suite.seeds import derive_seed
from suite.training.parts import synchronise_batch_norm
from suite.training.recipe import Recipe

CLASS_HEAD = "instance_decoder.class_head."
"""Weights of a number of classes; drawn anew where a checkpoint of another dataset has another number."""


@dataclass(frozen=True)
class How:
    """What a run is computed with, which changes no number but by rounding, and what it starts from.

    Attributes:
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        workers: processes that prepare batches; 0: none.
        compiled: whether the backbone and the mask decoder go through `torch.compile`.
        tensorboard: whether to write event files where TensorBoard is installed.
        backbone: an official checkpoint of the recipe's backbone (``.pth``, ``.pt`` or ``.safetensors``), or None.
        checkpoint: a checkpoint of this suite, or None.
    """

    device: str = "auto"
    workers: int = 0
    compiled: bool = False
    tensorboard: bool = False
    backbone: Path | None = None
    checkpoint: Path | None = None

    @property
    def initial(self) -> Path | None:
        """The file to start from, if there is one.

        Raises:
            InputError: if both are given.
        """
        if self.backbone and self.checkpoint:
            raise InputError("--backbone and --initial-weights: give one of them, a checkpoint has its own backbone")
        return self.backbone or self.checkpoint

    def initial_digest(self) -> str:
        """Return the SHA-256 of that file, ``""`` without one.

        Raises:
            DataError: if the file is absent.
        """
        return file_digest(self.initial) if self.initial else ""


def warning(recipe: Recipe, how: How) -> str | None:
    """Return what must be said loudly before training starts, None if it starts from what its recipe wants."""
    if recipe.initial_weights == "imagenet":
        if how.initial is not None:  # a checkpoint of this suite has a backbone too
            return None
        return (
            f"WARNING: training {recipe.model} WITHOUT PRE-TRAINING. The public reproduction of MobileInst found that "
            "training on COCO from random weights fails; the paper starts from ImageNet. Give the official checkpoint "
            f"of {recipe.config().backbone} with --backbone FILE (docs/training.md says where they are)."
        )
    if not recipe.initial_weights or how.checkpoint is not None:
        return None
    given = "RANDOM WEIGHTS around an ImageNet backbone" if how.backbone else "RANDOM WEIGHTS"
    return (
        f"WARNING: fine-tuning {recipe.model} from {given}. This recipe starts from what recipe "
        f"{recipe.initial_weights!r} trains; give its checkpoint with --initial-weights FILE."
    )


def load_backbone(model: MobileInst, path: Path) -> str:
    """Load an official checkpoint into a model's backbone, strictly; nothing in the file is executed.

    Returns:
        One sentence on what was loaded and dropped.

    Raises:
        DataError: if the file is absent.
        InputError: if it is no checkpoint, holds more than tensors and plain values, or does not fit; nothing is
            loaded then.
    """
    # A classifier knows no injection of semantics; where a recipe builds one, it is learned from the start.
    try:
        dropped = model.backbone.load_official(read_official(path), optional=("injection.",))
    except BackboneError as error:
        raise InputError(f"{path}: {error}") from None
    return f"backbone from {path.name}" + (f", without its {len(dropped)} tensors of heads" if dropped else "")


def load_initial(model: MobileInst, path: Path) -> str:
    """Load a checkpoint of this suite into a model; a class head of another number of classes stays as drawn.

    Returns:
        One sentence on what was loaded.

    Raises:
        InputError: if the file is no checkpoint, or anything but the class head does not fit.
    """
    kinds = ""
    try:
        given, _ = load_checkpoint(path)
        if given.config.name != model.config.name:
            kinds = f"; it is {given.config.name}, the recipe's model is {model.config.name}"
        wanted, tensors = model.state_dict(), given.state_dict()
        other = [name for name in wanted if name.startswith(CLASS_HEAD) and tensors[name].shape != wanted[name].shape]
        tensors |= {name: wanted[name] for name in other}
        refuse_misfit(path, wanted, tensors)
    except CheckpointError as error:
        raise InputError(f"{error}{kinds}") from None
    model.load_state_dict(tensors)
    classes = f"; its class head has {given.config.num_classes} classes, so it is drawn anew" if other else ""
    return f"all weights from {path.name}{classes}"


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


def build_model(recipe: Recipe, seed: int, processes: Processes, how: How) -> MobileInst:
    """Return the model on this process's device, with the weights a run starts from; the same in every process."""
    torch.manual_seed(derive_seed(seed, "weights"))
    model = MobileInst(recipe.config())
    if processes.first:
        if said := warning(recipe, how):
            say(said)
        if how.initial is not None:
            load = load_backbone if how.backbone else load_initial
            say(f"starting from {load(model, how.initial)}")
    model.to(processes.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    processes.copy_model(model)
    if recipe.batch_norm == "synchronised":
        synchronise_batch_norm(model, processes)
    return model
