"""The batch that a training broke down on, kept so that the failure can be looked at and repeated."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from reference_model.targets import InstanceTargets
from suite.files import atomic_path
from suite.training.source import Batch


def save_bad_batch(path: Path, batch: Batch, model: nn.Module, iteration: int, reason: str) -> None:
    """Write images, targets and the weights that met them.

    Args:
        path: the safetensors file.
        batch: of this process, as given to the losses.
        model: with the weights before the step.
        iteration: from 0.
        reason: what was not finite.
    """
    tensors: dict[str, Tensor] = {"images": batch.images}
    if batch.valid_size is not None:
        tensors["valid_size"] = batch.valid_size
    for index, target in enumerate(batch.targets):
        parts = target._asdict().items()
        tensors |= {f"targets/{index}/{name}": part for name, part in parts if part is not None}
    tensors |= {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    # Copies: images of one batch may share a tensor, e.g. the labels of two frames, which the format refuses.
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    ids = " ".join(map(str, batch.image_ids))
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {"iteration": str(iteration), "reason": reason, "image_ids": ids})


def load_bad_batch(path: Path) -> tuple[Batch, dict[str, Tensor], dict[str, str]]:
    """Return the batch, the weights and the metadata (``iteration``, ``reason``) of a kept batch."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    targets = []
    for index in range(len(tensors["images"])):
        labels, masks, ids = (tensors[f"targets/{index}/{name}"] for name in ("labels", "masks", "instance_ids"))
        targets.append(InstanceTargets(labels, masks, ids, tensors.get(f"targets/{index}/ignored")))
    images = tensors["images"].contiguous(memory_format=torch.channels_last)
    image_ids = tuple(int(word) for word in metadata.get("image_ids", "").split())
    weights = {name.removeprefix("model/"): item for name, item in tensors.items() if name.startswith("model/")}
    return Batch(images, targets, tensors.get("valid_size"), image_ids), weights, metadata
