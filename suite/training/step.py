"""One optimiser step: an iteration's parts through the model, their losses, the gradient, the update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from reference_model.config import ModelConfig
from reference_model.losses import Criterion
from reference_model.mobileinst import MobileInst, NonFiniteError
from reference_model.query_passing import TemporalCriterion
from suite.seeds import derive_seed
from suite.training.drop_path import Part, deal_drop_path
from suite.training.precision import MixedPrecision
from suite.training.processes import Processes
from suite.training.recipe import Recipe
from suite.training.shared_losses import SharedCriterion, at_mask_scale, expected_counts
from suite.training.source import Batch


class BrokenLossError(Exception):
    """A loss or a gradient is not finite.

    Attributes:
        batch: of this process, where the fault was first seen; None if it is another process's.
    """

    def __init__(self, reason: str, batch: Batch | None) -> None:
        super().__init__(reason)
        self.batch = batch


class Losses:
    """The weighted losses of one part, of single frames or of pairs with temporal query passing.

    Args:
        config: gives the losses' weights.
        query_passing: whether pairs will come.
        shared: whether an iteration has several parts, so that they must be normalised together.
    """

    def __init__(self, config: ModelConfig, query_passing: bool, shared: bool = False) -> None:
        self.frames: Criterion = SharedCriterion(config) if shared else Criterion(config)
        self.pairs = TemporalCriterion(config) if query_passing else None
        if self.pairs is not None and shared:
            self.pairs.criterion = self.frames

    def __call__(self, model: MobileInst, batch: Batch, pairs: bool) -> dict[str, Tensor]:
        """Return every loss term by name, weighted; their sum is what is minimised."""
        images, targets, valid = batch.images, batch.targets, batch.valid_size
        losses: dict[str, Tensor]
        if pairs and self.pairs is not None:
            half = len(targets) // 2
            first = None if valid is None else valid[:half]
            losses = self.pairs(model, images[:half], targets[:half], images[half:], targets[half:], first)
        else:
            losses = self.frames(model(images), targets, valid)
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
        self.losses_of = Losses(recipe.config(), recipe.query_passing, self.parts > 1)
        if self.parts > 1:
            deal_drop_path(model, self.part)
        self.runner = model
        if recipe.precision != "fp32" or compiled:
            runner = MixedPrecision(model, recipe.precision, processes.device.type, compiled)
            self.runner = cast(MobileInst, runner)
        self.scaler = torch.amp.GradScaler(processes.device.type) if recipe.precision == "fp16" else None

    def __call__(self, iteration: int, batches: Sequence[Batch]) -> tuple[dict[str, float], float]:
        """Do one step.

        Args:
            iteration: from 0.
            batches: this process's parts of the iteration, `Recipe.accumulation` of them.

        Returns:
            Every loss term, over all images of the iteration, and the norm of the gradient before clipping.

        Raises:
            BrokenLossError: if a loss or the gradient is not finite; the weights are those before the step.
        """
        pairs = self.recipe.trains_on_pairs(iteration)
        batches = [batch.to(self.processes.device) for batch in batches]
        if isinstance(self.losses_of.frames, SharedCriterion):
            batches = self._count(batches, pairs)
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for number, batch in enumerate(batches):
            self.part.rank = self.processes.rank * len(batches) + number
            self.part.count, self.part.halves = self.parts, 2 if pairs else 1
            torch.manual_seed(derive_seed(self.seed, f"drop path/{iteration}"))
            for name, value in self._backward(batch, pairs, number).items():
                sums[name] = sums.get(name, 0.0) + value / len(batches)
        return self._mean(sums), self._update(batches)

    def _count(self, batches: Sequence[Batch], pairs: bool) -> list[Batch]:
        """Bring targets to mask scale and count the whole iteration's, for `SharedCriterion`."""
        scaled = [at_mask_scale(batch) for batch in batches]
        queries = self.recipe.config().num_queries
        counts = torch.stack([expected_counts(batch, valid, queries, pairs) for batch, valid in scaled]).sum(0)
        self._totals = self.processes.total(counts)
        return [batch for batch, _ in scaled]

    def _backward(self, batch: Batch, pairs: bool, number: int) -> dict[str, float]:
        if isinstance(self.losses_of.frames, SharedCriterion):
            self.losses_of.frames.expect(self._totals, self.parts)
        try:
            losses = self.losses_of(self.runner, batch, pairs)
        except NonFiniteError as error:
            raise BrokenLossError(str(error), batch) from None
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            raise BrokenLossError(f"loss is {float(total)}", batch)
        if self.recipe.accumulation > 1:
            total = total / self.recipe.accumulation
        scaled = total if self.scaler is None else self.scaler.scale(total)
        scaled.backward()  # type: ignore[no-untyped-call]
        return {name: float(value.detach()) for name, value in losses.items()}

    def _mean(self, sums: dict[str, float]) -> dict[str, float]:
        return dict(zip(sums, self.processes.mean(list(sums.values())), strict=True))

    def _update(self, batches: Sequence[Batch]) -> float:
        parameters = list(self.model.parameters())
        self.processes.average_gradients(parameters)
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        limit = self.recipe.clip_norm if self.recipe.clipping else float("inf")
        norm = float(nn.utils.clip_grad_norm_(parameters, limit))
        if self.scaler is not None:
            # Skips the step where the scaled gradient overflowed, and scales less from there on.
            self.scaler.step(self.optimizer)
            self.scaler.update()
            return norm
        if norm != norm or norm == float("inf"):
            raise BrokenLossError(f"norm of the gradient is {norm}", batches[-1])
        self.optimizer.step()
        return norm
