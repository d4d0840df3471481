"""One process of trainings in parts: writes the losses of every step to a file. Run by `test_processes`.

It computes in float64: in float32 the rounding of another order of additions grows by a factor of ten per step, since
AdamW turns the sign of a tiny gradient into a whole step, and would hide what is to be compared. It reads RANK,
WORLD_SIZE, MASTER_ADDR and MASTER_PORT as ``torchrun`` sets them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

import torch

from reference_model.backbones.blocks import DropPath
from suite.distributed import start_processes
from suite.training.initial import How, build_model
from suite.training.loop import learning_rate_factor
from suite.training.parts import Batch, freeze_batch_norm
from suite.training.step import TrainingStep, build_optimizer
from tests.suite.training.tiny import small_recipe, small_source


def with_crowds(batch: Batch) -> Batch:
    """Ignore a part of some frames that depends on the frame alone, so that it is the same however they are dealt."""
    targets = []
    for image, target in zip(batch.images, batch.targets, strict=True):
        first = round(float(image.abs().sum()) * 1000) % image.shape[-1]
        ignored = torch.zeros(target.masks.shape[1:], dtype=torch.bool)
        ignored[:, first : first + 8] = True
        targets.append(target._replace(ignored=ignored) if first % 2 else target)
    return dataclasses.replace(batch, targets=targets)


def losses_of(steps: int, changes: dict[str, object]) -> list[list[float]]:
    """Train, images in the first half of the steps and pairs in the second; returns all losses of each step."""
    recipe = small_recipe(iterations=steps, batch_size=8, image_stage_fraction=0.5, learning_rate=1e-4, **changes)
    processes = start_processes("cpu")
    source = small_source(recipe, uneven=True)
    model = build_model(recipe, 0, processes, How())
    assert any(isinstance(module, DropPath) and module.probability > 0 for module in model.modules())
    optimizer = build_optimizer(recipe, model)
    step = TrainingStep(recipe, model, optimizer, processes, 0)
    model.train()
    if recipe.batch_norm == "frozen":
        freeze_batch_norm(model)
    rows = []
    for iteration in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = group["base_rate"] * learning_rate_factor(recipe, iteration)
        first = processes.rank * recipe.accumulation
        parts = range(first, first + recipe.accumulation)
        batches = [source.batch(iteration, part, processes.count * recipe.accumulation) for part in parts]
        batches = [dataclasses.replace(with_crowds(batch), images=batch.images.double()) for batch in batches]
        losses, norm = step(iteration, batches)
        rows.append([*losses.values(), norm])
    return rows


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    found = [losses_of(int(sys.argv[2]), changes) for changes in json.loads(sys.argv[3])]
    if os.environ["RANK"] == "0":
        Path(sys.argv[1]).write_text(json.dumps(found))
