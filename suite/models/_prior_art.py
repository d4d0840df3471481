"""How a method of prior art declares its models."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from suite.models import ModelEntry
from suite.seeds import derive_seed

if TYPE_CHECKING:
    from torch import nn

    from suite.models.parts.selection import Selection

COCO_CLASSES = 80


def build_network(name: str, network: str, options: Mapping[str, Any], seed: int) -> nn.Module:
    """Build a graph of ``suite/models/networks`` with seeded random weights.

    Args:
        name: the model's name, part of the seed so that adding a model never changes another's weights.
        network: ``"module:Class"`` inside ``suite/models/networks``.
        options: keyword arguments of the class.
        seed: of the weights.
    """
    import torch

    from suite.models.parts.weights import draw_weights

    module, _, kind = network.partition(":")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, f"models/{name}"))
        made: nn.Module = getattr(importlib.import_module(f"suite.models.networks.{module}"), kind)(**options)
        draw_weights(made)
    return made.eval()


def prior_art(
    name: str,
    method: str,
    backbone: str,
    input_shapes: tuple[tuple[int, int], ...],
    network: str,
    options: Mapping[str, Any],
    reading: str,
    published_rows: tuple[str, ...] = (),
    alternative_to: str = "",
    num_classes: int = COCO_CLASSES,
    masks_apart: bool = False,
    selection: Callable[[int, int, int], Selection] | None = None,
) -> ModelEntry:
    """Return the entry of one row of prior art; the arguments are `ModelEntry`'s and `build_network`'s."""
    height_px, width_px = input_shapes[0]
    return ModelEntry(
        name=name,
        description=f"{method} with {backbone} at {height_px}x{width_px}: {reading}",
        method=method,
        backbone=backbone,
        input_shapes=input_shapes,
        num_classes=num_classes,
        build=partial(build_network, name, network, dict(options)),
        published_rows=published_rows,
        reading=reading,
        alternative_to=alternative_to,
        masks_apart=masks_apart,
        selection=selection,
    )
