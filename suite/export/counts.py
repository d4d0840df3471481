"""Parameters and multiply-accumulates (MACs), module by module."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
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
    counter, _ = _traced(model, height, width)
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


class Split(NamedTuple):
    """A network's MACs by how fast engines run them."""

    dense3x3: int
    """Of 3x3 convolutions of stride 1 without groups, which engines may compute by Winograd's filtering."""
    other: int
    """Of everything else: 1x1, strided, grouped and other convolutions, linear layers, matrix products."""


class _DenseConvolutions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the MACs of 3x3 convolutions of stride 1 without groups that run inside."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default:
            _, weight, _, stride, _, dilation, transposed, _, groups = args[:9]
            plain = (list(stride), list(dilation), bool(transposed), int(groups)) == ([1, 1], [1, 1], False, 1)
            if plain and tuple(weight.shape[2:]) == (3, 3):
                self.macs += result.shape[2] * result.shape[3] * weight.numel()
        return result


def _traced(
    model: nn.Module, height: int, width: int, method: str = "forward"
) -> tuple[FlopCounterMode, _DenseConvolutions]:
    """Run a method of a copy without storage on an image: only shapes are traced."""
    # The hooks of the counter want tensors that need no gradient.
    shadow = deepcopy(model).to("meta").requires_grad_(False).eval()
    image = torch.zeros(1, 3, height, width, device="meta")
    # The fused attention kernel of the CPU has no FLOP formula; the plain one is matrix products.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, _DenseConvolutions() as dense:
        # Called as a module for its hooks, which tell the counter the submodules apart.
        (shadow if method == "forward" else getattr(shadow, method))(image)
    return counter, dense


def split_macs(model: nn.Module, height: int, width: int, method: str = "forward") -> Split:
    """Count the MACs of dense 3x3 convolutions of stride 1, and of everything else, for a batch of one.

    Args:
        model: a module that takes (1, 3, height, width); it is not changed.
        height: image height in pixels.
        width: image width in pixels.
        method: ``forward``, or another method that takes an image.
    """
    counter, dense = _traced(model, height, width, method)
    return Split(dense.macs, counter.get_total_flops() // 2 - dense.macs)


def count_modules(model: nn.Module, height: int, width: int) -> dict[str, int]:
    """Return the MACs of every module that has any, by path (``mask_decoder.first3``), submodules included.

    Arguments as for `split_macs`; what the model itself computes is the total minus its children's.
    """
    name = type(model).__name__
    counter, _ = _traced(model, height, width)
    found = {module: sum(flops.values()) // 2 for module, flops in counter.get_flop_counts().items()}
    return {
        module.removeprefix(f"{name}."): macs
        for module, macs in found.items()
        if module.startswith(f"{name}.") and macs
    }
