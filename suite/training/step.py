"""One optimiser step: an iteration's parts through the model, their losses, the gradient, the update."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import AdamW

from reference_model.losses import Criterion
from reference_model.mobileinst import MobileInst, MobileInstOutput, NonFiniteError
from reference_model.query_passing import TemporalCriterion
from suite.distributed import Processes
from suite.errors import InputError
from suite.seeds import derive_seed
from suite.training.parts import Batch, Part, SharedCriterion, at_mask_scale, expected_counts, share_drop_path
from suite.training.recipe import Recipe

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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


def _float32(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    return None if value is None else type(value)(*(_float32(part) for part in value))


class MixedPrecision(nn.Module):
    """The parts of a model that losses call, each under autocast, its outputs in float32.

    Args:
        model: its weights stay float32.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"``.
        device_type: ``"cpu"`` or ``"cuda"``.
        compiled: whether the backbone and the mask decoder, which take most of the time, go through `torch.compile`.
    """

    def __init__(self, model: MobileInst, precision: str, device_type: str, compiled: bool) -> None:
        super().__init__()
        self.model = model
        self.compute_type, self.device_type = TYPES[precision], device_type
        # Features keep the low precision: they are only read by the other parts.
        self.encode = self._part(torch.compile(model.encode, dynamic=True) if compiled else model.encode, lambda it: it)
        self.segment = self._part(model.segment, _float32)
        self.decode_from_queries = self._part(model.decode_from_queries, _float32)
        self.with_masks = self._part(model.with_masks, _float32)

    def _part(self, part: Callable[..., Any], converted: Callable[[Any], Any]) -> Callable[..., Any]:
        """Return a method of the model that computes under autocast."""

        def computed(*inputs: Any) -> Any:
            with torch.autocast(self.device_type, self.compute_type, enabled=self.compute_type != torch.float32):
                return converted(part(*inputs))

        return computed

    def forward(self, images: Tensor) -> MobileInstOutput:
        """As `MobileInst.forward`, in float32."""
        output: MobileInstOutput = self.segment(self.encode(images))
        return output


class LossModel(nn.Module):
    """A model and the weighted losses of one part, of single frames or of pairs with temporal query passing.

    Args:
        model: called as the losses need it.
        recipe: gives the losses' weights and whether pairs will come.
        shared: whether an iteration has several parts, so that they must be normalised together.
    """

    def __init__(self, model: MobileInst, recipe: Recipe, shared: bool = False) -> None:
        super().__init__()
        config = recipe.config()
        self.model = model
        self.frames: Criterion = SharedCriterion(config) if shared else Criterion(config)
        self.pairs = TemporalCriterion(config) if recipe.query_passing else None
        if self.pairs is not None and shared:
            self.pairs.criterion = self.frames

    def forward(self, batch: Batch, pairs: bool) -> dict[str, Tensor]:
        """Return every loss term by name, weighted; their sum is what is minimised."""
        images, targets, valid = batch.images, batch.targets, batch.valid_size
        losses: dict[str, Tensor]
        if pairs and self.pairs is not None:
            half = len(targets) // 2
            first = None if valid is None else valid[:half]
            losses = self.pairs(self.model, images[:half], targets[:half], images[half:], targets[half:], first)
        else:
            losses = self.frames(self.model(images), targets, valid)
        return losses


class TrainingStep:
    """Computes the parts of an iteration and updates the weights.

    Args:
        recipe: gives precision, accumulation, clipping.
        model: on the processes' device, batch norm synchronised already if it is to be.
        optimizer: of the model's parameters.
        processes: that share every iteration.
        seed: base seed of the drop path.
        compiled: whether to use `torch.compile`.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: MobileInst,
        optimizer: AdamW,
        processes: Processes,
        seed: int,
        compiled: bool = False,
    ) -> None:
        self.recipe, self.model, self.optimizer, self.processes, self.seed = recipe, model, optimizer, processes, seed
        self.parts = processes.count * recipe.accumulation
        self.part = Part()
        runner = model
        if recipe.precision != "fp32" or compiled:
            runner = cast(MobileInst, MixedPrecision(model, recipe.precision, processes.device.type, compiled))
        if self.parts > 1:
            share_drop_path(model, self.part)
        self.losses_of = LossModel(runner, recipe, self.parts > 1)
        self.parallel: DistributedDataParallel | None = None
        if processes.count > 1:
            # Batch statistics are either frozen, synchronised or, before a prediction, copied from process 0.
            self.parallel = DistributedDataParallel(
                self.losses_of, broadcast_buffers=False, find_unused_parameters=True
            )
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=recipe.precision == "fp16")

    def __call__(self, iteration: int, batches: Sequence[Batch]) -> tuple[dict[str, float], float]:
        """Do one step.

        Args:
            iteration: from 0.
            batches: this process's parts of the iteration, `Recipe.accumulation` of them.

        Returns:
            Every loss term, over all images of the iteration, and the norm of the gradient before clipping.

        Raises:
            InputError: if a loss or the gradient is not finite; the weights are those before the step.
        """
        pairs = self.recipe.trains_on_pairs(iteration)
        batches = [batch.to(self.processes.device) for batch in batches]
        if isinstance(self.losses_of.frames, SharedCriterion):
            batches = self._count(batches, pairs)
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        try:
            for number, batch in enumerate(batches):
                self.part.rank = self.processes.rank * len(batches) + number
                self.part.count, self.part.halves = self.parts, 2 if pairs else 1
                torch.manual_seed(derive_seed(self.seed, f"drop path/{iteration}"))
                for name, value in self._backward(batch, pairs, last=number == len(batches) - 1).items():
                    sums[name] = sums.get(name, 0.0) + value / len(batches)
            means = dict(zip(sums, self.processes.mean(list(sums.values())), strict=True))
            return means, self._update()
        except NonFiniteError as error:
            seen = [str(key) for batch in batches for key in batch.image_ids]
            images = f" on images {', '.join(seen)}" if seen else ""
            raise InputError(
                f"training seed {self.seed}: {error} at iteration {iteration}{images}; lower learning_rate"
            ) from None

    def _count(self, batches: Sequence[Batch], pairs: bool) -> list[Batch]:
        """Bring targets to mask scale and count the whole iteration's, for `SharedCriterion`."""
        config = self.recipe.config()
        if config.loss_counts_padding:
            batches = [replace(batch, valid_size=None) for batch in batches]
        scaled = [at_mask_scale(batch) for batch in batches]
        queries = config.num_queries
        counts = torch.stack([expected_counts(batch, valid, queries, pairs) for batch, valid in scaled]).sum(0)
        self._totals = self.processes.total(counts)
        return [batch for batch, _ in scaled]

    def _backward(self, batch: Batch, pairs: bool, last: bool) -> dict[str, float]:
        """Add a part's gradient; with the last one it is averaged over the processes."""
        if isinstance(self.losses_of.frames, SharedCriterion):
            self.losses_of.frames.expect(self._totals, self.parts)
        parallel = self.parallel
        with nullcontext() if parallel is None or last else parallel.no_sync():
            losses: dict[str, Tensor] = (parallel or self.losses_of)(batch, pairs)
            total = torch.stack(list(losses.values())).sum()
            if not torch.isfinite(total):
                raise NonFiniteError(f"loss is {float(total)}")
            if self.recipe.accumulation > 1:
                total = total / self.recipe.accumulation
            self.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        return {name: float(value.detach()) for name, value in losses.items()}

    def _update(self) -> float:
        """Clip the gradient and step; returns its norm before clipping."""
        self.scaler.unscale_(self.optimizer)
        limit = self.recipe.clip_norm if self.recipe.clipping else float("inf")
        norm = float(nn.utils.clip_grad_norm_(list(self.model.parameters()), limit))
        if not self.scaler.is_enabled() and not math.isfinite(norm):
            raise NonFiniteError(f"norm of the gradient is {norm}")
        # With float16, skips the step where the scaled gradient overflowed, and scales less from there on.
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return norm
