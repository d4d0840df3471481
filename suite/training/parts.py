"""The parts of an iteration, and what makes them equal the whole: losses, drop path and batch norm over all parts.

An iteration is divided over processes and accumulation steps. Its loss is the mean of the parts' losses, so every
summed loss is divided by the whole iteration's count over the number of parts: then the mean equals the loss that one
process computes on all images at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed, nn

from reference_model.backbones.blocks import DropPath
from reference_model.config import ModelConfig
from reference_model.losses import Criterion, Match
from reference_model.targets import MASK_STRIDE, InstanceTargets, counted_pixels, to_mask_scale, valid_pixels
from suite.distributed import Processes

if TYPE_CHECKING:
    from reference_model.mobileinst import MobileInstOutput


@dataclass(frozen=True)
class Batch:
    """Images and what they should be segmented into.

    Attributes:
        images: (B, 3, H, W) float32, normalised, padded with zeros at the right and the bottom, channels last.
        targets: one entry per image; masks cover the padded input, at its size or evenly reduced.
        valid_size: (B, 2) height and width of each image before padding, in pixels; None: nothing is padded.
        image_ids: the dataset's id of each image, for messages; may be empty.

    In an iteration on pairs the first half holds frames t and the second half, in the same order, frames t + delta of
    the same videos, flipped, scaled and cropped alike, so that both halves of ``valid_size`` are equal.
    """

    images: Tensor
    targets: list[InstanceTargets]
    valid_size: Tensor | None = None
    image_ids: tuple[int | str, ...] = ()

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; images keep their memory format."""
        size = None if self.valid_size is None else self.valid_size.to(device)
        targets = [target.map(lambda part: part.to(device)) for target in self.targets]
        return Batch(self.images.to(device), targets, size, self.image_ids)


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
        self._coming: deque[list[float]] = deque()

    def expect(self, totals: Tensor, parts: int) -> None:
        """Take the counts of the whole iteration, (groups, 3) as `expected_counts` summed over all parts."""
        self._coming.clear()
        for number, counts in enumerate(totals.clamp(min=1).div(parts).tolist()):
            # With deep supervision the first two groups (frames, not passed queries) are supervised twice.
            self._coming.extend([counts] * (2 if self.config.deep_supervision and number < 2 else 1))

    def losses(
        self,
        output: MobileInstOutput,
        targets: Sequence[InstanceTargets],
        valid: Tensor,
        matches: Sequence[Match],
        instances: int,
    ) -> dict[str, Tensor]:
        """Compute the weighted losses of one group; arguments and result as `Criterion.losses`."""
        whole_instances, whole_matched, whole_pixels = self._coming.popleft()
        matched = [len(pairs.queries) for pairs in matches]
        pixels = sum(count * float(area.sum()) for count, area in zip(matched, valid, strict=True))
        # One instance makes the base class divide by one, so that it returns sums.
        values = super().losses(output, targets, valid, matches, 1)
        values["loss_class"] = values["loss_class"] / whole_instances
        values["loss_dice"] = values["loss_dice"] / whole_instances
        values["loss_mask_bce"] = values["loss_mask_bce"] * (max(pixels, 1.0) / whole_pixels)
        values["loss_objectness"] = values["loss_objectness"] * (max(sum(matched), 1) / whole_matched)
        return values


class Part:
    """Which part of the iteration is being computed; shared by all layers and changed between parts.

    Attributes:
        rank: number of the part.
        count: number of parts.
        halves: 2 where a part holds frames t and then frames t + delta, else 1.
    """

    def __init__(self) -> None:
        self.rank, self.count, self.halves = 0, 1, 1


class SharedDropPath(DropPath):
    """`DropPath` that draws for the images of all parts and uses its own part's draws.

    All parts must start from the same state of the random generator.

    Args:
        probability: chance in [0, 1) that a sample loses the branch.
        part: the part that is being computed.
    """

    def __init__(self, probability: float, part: Part) -> None:
        super().__init__(probability)
        self.part = part

    def forward(self, branch: Tensor) -> Tensor:
        """``(B, ...)`` to the same shape, B the images of this part."""
        if not self.training or self.probability == 0.0:
            return branch
        keep, part = 1.0 - self.probability, self.part
        every = torch.empty(branch.shape[0] * part.count, dtype=branch.dtype, device=branch.device).bernoulli_(keep)
        own = every.view(part.halves, part.count, -1)[:, part.rank].reshape(-1, *(1,) * (branch.ndim - 1))
        return branch * (own / keep)


def share_drop_path(model: nn.Module, part: Part) -> None:
    """Replace every `DropPath` of a model by a `SharedDropPath`, in place."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is DropPath:
                setattr(module, name, SharedDropPath(child.probability, part))


class _Total(torch.autograd.Function):
    """The sum of a tensor over all processes; the gradient of a sum is summed likewise."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


class _SyncBatchNormOnCpu(nn.BatchNorm2d):
    """`nn.SyncBatchNorm` for CPUs, which torch's own refuses: what runs on eight GPUs is tested with two processes."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape; B may differ between processes."""
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        assert self.num_batches_tracked is not None
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        local = torch.full((1,), values.numel() / values.shape[1], dtype=values.dtype)
        # Two passes, since a difference of large sums of squares loses digits.
        sums: Tensor = _Total.apply(torch.cat([values.sum((0, 2, 3)), local]))  # type: ignore[no-untyped-call]
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = values - mean[:, None, None]
        squares: Tensor = _Total.apply(centred.square().sum((0, 2, 3)))  # type: ignore[no-untyped-call]
        variance = squares / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), self.momentum)
            self.num_batches_tracked += 1
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(input.dtype)


def synchronise_batch_norm(model: nn.Module, processes: Processes) -> None:
    """Make every batch norm of a model use the statistics of all processes, in place; parameters stay the same objects.

    On GPUs this is torch's `SyncBatchNorm`.
    """
    if processes.count == 1:
        return
    if processes.device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return
    for module in list(model.modules()):
        if type(module) is nn.BatchNorm2d:
            module.__class__ = _SyncBatchNormOnCpu


def freeze_batch_norm(model: nn.Module) -> None:
    """Normalise by the running statistics of a model in training mode, which stay as they are."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
