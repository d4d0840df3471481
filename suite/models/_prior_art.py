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
YOUTUBE_VIS_CLASSES = 40
INJECTED = "TopFormer's maps after semantic injection"
"""Which of TopFormer's maps a rival takes: part of its reading."""


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


def dense_selection(function: str, num_classes: int, height_px: int, width_px: int, seed: int) -> Selection:
    """Return a selection of `suite.models.parts.dense_selection` by its function's name."""
    from suite.models.parts import dense_selection as selections

    made: Selection = getattr(selections, function)(num_classes, height_px, width_px, seed)
    return made


def query_selection(
    function: str, stride_px: int, num_classes: int, height_px: int, width_px: int, seed: int
) -> Selection:
    """Return a selection among 100 queries of `suite.models.parts.selection` by its function's name.

    Args:
        function: ``"sigmoid_query_selection"`` or ``"softmax_query_selection"``.
        stride_px: of the masks.
        num_classes: categories without background.
        height_px: of the input.
        width_px: of the input.
        seed: of scores and masks.
    """
    from suite.models.parts import selection as selections

    mask_size = (height_px // stride_px, width_px // stride_px)
    made: Selection = getattr(selections, function)(num_classes, 100, mask_size, seed)
    return made


def prior_art(
    *,
    name: str,
    method: str,
    backbone: str,
    trunk: str,
    input_shapes: tuple[tuple[int, int], ...],
    network: str,
    reading: str,
    selection: Callable[[int, int, int, int], Selection],
    options: Mapping[str, Any] | None = None,
    published_rows: tuple[str, ...] = (),
    alternative_to: str = "",
    num_classes: int = COCO_CLASSES,
    masks_apart: bool = False,
) -> ModelEntry:
    """Return the entry of one row of prior art; a method's module fixes what its entries share with `partial`.

    The arguments are `ModelEntry`'s and `build_network`'s. ``trunk`` names the backbone for the network and is an
    option of it, as ``num_classes`` is; ``selection`` takes ``num_classes`` before `ModelEntry.selection`'s arguments.
    """
    height_px, width_px = input_shapes[0]
    return ModelEntry(
        name=name,
        description=f"{method} with {backbone} at {height_px}x{width_px}: {reading}",
        method=method,
        backbone=backbone,
        input_shapes=input_shapes,
        num_classes=num_classes,
        build=partial(build_network, name, network, {"trunk": trunk, "num_classes": num_classes, **(options or {})}),
        published_rows=published_rows,
        reading=reading,
        alternative_to=alternative_to,
        masks_apart=masks_apart,
        selection=partial(selection, num_classes),
    )
