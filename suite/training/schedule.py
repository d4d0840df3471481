"""The optimiser and its learning rate."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import AdamW

from reference_model.mobileinst import MobileInst
from suite.training.recipe import Recipe


def learning_rate_factor(recipe: Recipe, iteration: int) -> float:
    """Return the share of the peak learning rate at an iteration: linear warm-up, then steps or a cosine."""
    warmup = max(1, round(recipe.warmup_fraction * recipe.iterations))
    if iteration < warmup:
        return (iteration + 1) / warmup
    if recipe.decay_at:
        passed = sum(iteration >= round(share * recipe.iterations) for share in recipe.decay_at)
        return float(recipe.decay_factor**passed)
    done = (iteration - warmup) / max(1, recipe.iterations - warmup)
    low = recipe.final_learning_rate_fraction
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done))


def build_optimizer(recipe: Recipe, model: MobileInst) -> AdamW:
    """Return AdamW; norms, biases and the decoders' learned queries and positions are not decayed."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decayed = parameter.ndim > 1 and not name.endswith(("query_content", "query_position"))
        key = (name.startswith("backbone."), decayed)
        groups.setdefault(key, []).append(parameter)
    rate = recipe.learning_rate
    return AdamW(
        [
            {
                "params": parameters,
                "base_rate": rate * (recipe.backbone_learning_rate_multiplier if backbone else 1.0),
                "weight_decay": recipe.weight_decay if decayed else 0.0,
            }
            for (backbone, decayed), parameters in groups.items()
        ],
        lr=rate,
        fused=True,
    )
