"""Losses of one part of an iteration, normalised by the instances of the whole iteration.

An iteration is dealt out to processes and accumulation steps. What is minimised is the mean of the parts' losses, so
every summed loss is divided by the whole iteration's count over the number of parts: then the mean equals the loss
that one process computes on all images at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from reference_model.config import ModelConfig
from reference_model.losses import Criterion, Match
from reference_model.targets import MASK_STRIDE, InstanceTargets, counted_pixels, to_mask_scale, valid_pixels
from suite.training.source import Batch

if TYPE_CHECKING:
    from reference_model.mobileinst import MobileInstOutput


class Counts(NamedTuple):
    """What one group of losses is normalised by, over the whole iteration and divided by the number of parts."""

    instances: float
    matched: float
    pixels: float


def at_mask_scale(batch: Batch) -> tuple[Batch, Tensor]:
    """Return the batch with its masks at the scale of the mask logits, and the pixels (B, h, w) that count there."""
    size = (batch.images.shape[2] // MASK_STRIDE, batch.images.shape[3] // MASK_STRIDE)
    valid = valid_pixels(batch.valid_size, len(batch.images), size, batch.images.device)
    targets = to_mask_scale(batch.targets, valid)
    return replace(batch, targets=targets), counted_pixels(targets, valid)


def expected_counts(batch: Batch, valid: Tensor, queries: int, pairs: bool) -> Tensor:
    """Count what a part's losses will be summed over, before the model has run.

    Args:
        batch: with masks at mask scale.
        valid: (B, h, w) of zeros and ones.
        queries: number of queries N of the model.
        pairs: whether the halves of the batch are frames of the same videos, between which queries are passed.

    Returns:
        (groups, 3) float64: instances, matched queries and mask pixels; one group for images, three (t, t + delta,
        passed) for pairs. The last one is exact unless a frame holds more instances than there are queries.
    """
    area = valid.flatten(1).sum(1).tolist()
    ids = [target.instance_ids.tolist() for target in batch.targets]
    half = len(ids) // 2 if pairs else len(ids)

    def group(counts: list[int], areas: list[float]) -> list[float]:
        matched = [min(count, queries) for count in counts]
        return [sum(counts), sum(matched), sum(k * a for k, a in zip(matched, areas, strict=True))]

    groups = [group([len(found) for found in ids[:half]], area[:half])]
    if pairs:
        groups.append(group([len(found) for found in ids[half:]], area[half:]))
        passed = [len(set(now) & set(later)) for now, later in zip(ids[:half], ids[half:], strict=True)]
        groups.append(group(passed, area[half:]))
    return torch.tensor(groups, dtype=torch.float64)


class SharedCriterion(Criterion):
    """`Criterion` with the normalisers of the whole iteration.

    Call `expect` before each use: the losses of one part are computed group by group in a fixed order.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self._coming: deque[Counts] = deque()

    def expect(self, totals: Tensor, parts: int) -> None:
        """Take the counts of the whole iteration, (groups, 3) as `expected_counts` summed over all parts."""
        self._coming.clear()
        for number, (instances, matched, pixels) in enumerate(totals.clamp(min=1).div(parts).tolist()):
            # With deep supervision the first two groups (frames, not passed queries) are supervised twice.
            times = 2 if self.config.deep_supervision and number < 2 else 1
            self._coming.extend([Counts(instances, matched, pixels)] * times)

    def losses(
        self,
        output: MobileInstOutput,
        targets: Sequence[InstanceTargets],
        valid: Tensor,
        matches: Sequence[Match],
        instances: int,
    ) -> dict[str, Tensor]:
        """Compute the weighted losses of one group; arguments and result as `Criterion.losses`."""
        whole = self._coming.popleft()
        matched = [len(pairs.queries) for pairs in matches]
        pixels = sum(count * float(area.sum()) for count, area in zip(matched, valid, strict=True))
        # One instance on every rank makes the base class divide by one, so that sums come back.
        values = super().losses(output, targets, valid, matches, 1)
        values["loss_class"] = values["loss_class"] / whole.instances
        values["loss_dice"] = values["loss_dice"] / whole.instances
        values["loss_mask_bce"] = values["loss_mask_bce"] * (max(pixels, 1.0) / whole.pixels)
        values["loss_objectness"] = values["loss_objectness"] * (max(sum(matched), 1) / whole.matched)
        return values
