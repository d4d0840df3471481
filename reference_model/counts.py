"""Parameters and multiply-accumulates (MACs), module by module."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

OTHER = "other"


class Count(NamedTuple):
    """The size of one module."""

    parameters: int
    """Learned values, without batch-norm statistics."""
    macs: int
    """Multiply-accumulates of convolutions, linear layers and matrix products for one image."""


def count(model: nn.Module, height: int, width: int) -> dict[str, Count]:
    """Count a model that takes an image, for a batch of one.

    Half of torch's FLOP count is the MACs of convolutions and matrix products (attention included). Normalisation,
    activations, pooling and resizing are not counted, nor folded. Nothing is computed, shapes are
    traced.

    Args:
        model: a module whose forward takes (1, 3, height, width); it is not changed.
        height: image height in pixels.
        width: image width in pixels.

    Returns:
        One entry per direct submodule in order of definition, and ``"other"`` for what the model does or holds itself,
        if anything. The sums over all entries are the model's totals.

    Raises:
        ValueError: if a side is not positive.
    """
    if height < 1 or width < 1:
        raise ValueError(f"size is {height}x{width} px, both sides must be positive")
    name = type(model).__name__
    # A copy without storage: only shapes are traced. The hooks of the counter want tensors that need no gradient.
    shadow = deepcopy(model).to("meta").requires_grad_(False).eval()
    image = torch.zeros(1, 3, height, width, device="meta")
    # The fused attention kernel of the CPU has no FLOP formula; the plain one is matrix products.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        shadow(image)
    flops = {module: sum(operators.values()) for module, operators in counter.get_flop_counts().items()}
    counts = {
        child_name: Count(sum(p.numel() for p in child.parameters()), flops.get(f"{name}.{child_name}", 0) // 2)
        for child_name, child in model.named_children()
    }
    rest = Count(
        sum(p.numel() for p in model.parameters()) - sum(c.parameters for c in counts.values()),
        counter.get_total_flops() // 2 - sum(c.macs for c in counts.values()),
    )
    if any(rest):
        counts[OTHER] = rest
    return counts


def total(counts: dict[str, Count]) -> Count:
    """Return the sums over all modules of `count`'s result."""
    return Count(sum(c.parameters for c in counts.values()), sum(c.macs for c in counts.values()))


def count_total(model: nn.Module, height: int, width: int) -> Count:
    """Return the whole model's parameters and MACs; arguments and errors are those of `count`."""
    return total(count(model, height, width))
