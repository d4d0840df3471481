"""A MobileInst small enough to build and run in a moment, with every part in it."""

from __future__ import annotations

from typing import Any

import torch

from reference_model.config import ModelConfig
from reference_model.mobileinst import MobileInst


def small_config(**options: Any) -> ModelConfig:
    values: dict[str, Any] = {
        "name": "small",
        "backbone": "topformer_tiny",
        "num_classes": 3,
        "num_queries": 5,
        "hidden_dim": 32,
        "kernel_dim": 8,
        "num_heads": 4,
        "short_side_px": 64,
        "long_side_px": 96,
    }
    return ModelConfig(**{**values, **options})


def small_model(seed: int = 0, **options: Any) -> MobileInst:
    torch.manual_seed(seed)
    return MobileInst(small_config(**options)).eval()


def spread(model: MobileInst) -> None:
    """Give the heads weights with a spread as after training: instances differ and score above the limits."""
    decoder = model.instance_decoder
    for head in (decoder.kernel_head, decoder.class_head, decoder.objectness_head):
        torch.nn.init.normal_(head.weight, std=0.3)
    torch.nn.init.normal_(decoder.kernel_head.bias, std=0.3)
    torch.nn.init.zeros_(decoder.class_head.bias)


def image(height: int, width: int, batch: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))
