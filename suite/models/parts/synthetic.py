"""What stands in for training in a graph with random weights: drawn parameters, and a fixed choice of instances.

Speed does not depend on a weight's value, except that subnormal numbers slow some CPUs down and a branch that is all
zeros can hide an error from the parity check.
"""

from __future__ import annotations

import math
from typing import TypeVar

from torch import nn

Network = TypeVar("Network", bound=nn.Module)
MASKS = 100
"""Instances whose masks are made: the queries of query-based methods, and as many places of dense ones."""
RESIDUAL_SCALE = 0.3
DECISIVE = 100.0
"""Standard deviation of a bias that decides the sign of nearly every mask logit of a query. Where a network thresholds
its own masks (masked attention), random logits near zero would flip with the last digit of an engine's arithmetic, and
two correct graphs would give different outputs. The work done does not depend on the signs."""


def draw_weights(module: Network) -> Network:
    """Draw every convolution and linear layer from N(0, 1 / fan in) and every bias from N(0, 0.02); norms keep 1 and 0.

    A normalisation whose scale was built as zero, the end of a residual branch that starts switched off, gets
    `RESIDUAL_SCALE`, so that the branch computes something. Other parameters (queries, embeddings) stay as built. At
    the end every submodule's ``after_draw``, where it has one, says what it needs otherwise.

    Args:
        module: changed in place; draws from the global random state.

    Returns:
        The same module.
    """
    for part in module.modules():
        if any(values.is_meta for values in part.parameters(recurse=False)):
            continue  # built for its shapes only
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            fan_in = part.weight[0].numel()
            nn.init.normal_(part.weight, 0.0, math.sqrt(1 / fan_in))
            if part.bias is not None:
                nn.init.normal_(part.bias, 0.0, 0.02)
        elif isinstance(part, nn.BatchNorm2d) and not part.weight.any():
            nn.init.constant_(part.weight, RESIDUAL_SCALE)
    for part in module.modules():
        after_draw = getattr(part, "after_draw", None)
        if after_draw is not None:
            after_draw()
    return module


def middle(places: int) -> slice:
    """Return `MASKS` consecutive places in the middle of ``places``; all of them if there are fewer.

    Consecutive, so that every runtime can cut them out; which ones does not change the time that their masks take.
    """
    start = max(places - MASKS, 0) // 2
    return slice(start, start + min(MASKS, places))
