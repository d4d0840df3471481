"""The training loop: recipe + videos + seed -> weights. It reads top to bottom and owns no global state."""

from __future__ import annotations

import ctypes
import hashlib
import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from reference_model.config import ModelConfig
from reference_model.losses import Criterion
from reference_model.mobileinst import MobileInst
from reference_model.query_passing import TemporalCriterion
from suite.errors import InputError
from suite.progress import say, track
from suite.seeds import derive_seed
from suite.training.recipe import Recipe
from suite.training.samples import VideoSample, draw_batch
from suite.training.source import Batch
from suite.training.state import Progress, load_state, save_state

LOSS_TERMS = ("loss_class", "loss_mask_bce", "loss_dice", "loss_objectness")
CURVE_COLUMNS = ["iteration", "loss", *LOSS_TERMS, "loss_passed", "mask_ap"]
"""``loss`` and its terms are those of single frames (of frame t in a pair), so that both stages are on one scale;
``loss_passed`` is that of the passed queries, null in the image stage."""
CURVE_POINTS = 60

Evaluate = Callable[[MobileInst, ModelConfig], float]


@dataclass(frozen=True)
class TrainResult:
    """A finished run: the model in evaluation mode, its curve (columns `CURVE_COLUMNS`) and its training time."""

    model: MobileInst
    config: ModelConfig
    curve: list[list[float | int | None]]
    train_time_s: float


def run_identity(recipe: Recipe, seed: int, dataset_digest: str, code: str) -> str:
    """Return the digest of everything a run depends on: only the same run may be resumed."""
    return hashlib.sha256(f"{recipe.digest()} {seed} {dataset_digest} {code}".encode()).hexdigest()


def learning_rate_factor(recipe: Recipe, iteration: int) -> float:
    """Return the share of the peak learning rate at an iteration: linear warm-up, then cosine."""
    warmup = max(1, round(recipe.warmup_fraction * recipe.iterations))
    if iteration < warmup:
        return (iteration + 1) / warmup
    done = (iteration - warmup) / max(1, recipe.iterations - warmup)
    low = recipe.final_learning_rate_fraction
    return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * done))


def build_optimizer(recipe: Recipe, model: MobileInst) -> AdamW:
    """Return AdamW; norms, biases and learned queries or positions are not decayed."""
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


class Losses:
    """The weighted losses of one batch, of single frames or of pairs with temporal query passing."""

    def __init__(self, config: ModelConfig, query_passing: bool) -> None:
        self.frames = Criterion(config)
        self.pairs = TemporalCriterion(config) if query_passing else None

    def __call__(self, model: MobileInst, batch: Batch, pairs: bool) -> dict[str, Tensor]:
        """Return every loss term by name, weighted; their sum is what is minimised."""
        losses: dict[str, Tensor]
        if pairs and self.pairs is not None:
            half = len(batch.targets) // 2
            images, targets = batch.images, batch.targets
            losses = self.pairs(model, images[:half], targets[:half], images[half:], targets[half:])
        else:
            losses = self.frames(model(batch.images), batch.targets)
        return losses


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a question the loop asks between iterations; a second one stops at once."""
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def keep_freed_memory() -> None:
    """Let glibc's allocator keep what a training step frees for the next one.

    Otherwise each step of the embedded recipe takes about 13000 page faults, a tenth of its CPU time. Elsewhere than on
    glibc this does nothing.
    """
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    set_option(trim_threshold, 2**31 - 1)
    set_option(mmap_max, 0)


def curve_row(iteration: int, losses: dict[str, Tensor], mask_ap: float | None) -> list[float | int | None]:
    """Return one row of the training curve, in the order of `CURVE_COLUMNS`."""
    terms = [float(losses[name].detach()) for name in LOSS_TERMS]
    passed = [float(value.detach()) for name, value in losses.items() if name.startswith("passed/")]
    return [iteration, sum(terms), *terms, sum(passed) if passed else None, mask_ap]


def train(
    recipe: Recipe,
    videos: Sequence[VideoSample],
    seed: int,
    identity: str,
    state_path: Path,
    evaluate: Evaluate,
) -> TrainResult:
    """Train one model from scratch, or continue an interrupted run of the same identity.

    Ctrl-C (or SIGTERM) saves the state after the current iteration and raises KeyboardInterrupt.

    Args:
        recipe: what to train and how.
        videos: the training videos in memory.
        seed: base seed; weights, order, views and drop path derive from it.
        identity: see `run_identity`.
        state_path: where the state is kept between interruptions; the caller removes it once the result is saved.
        evaluate: returns the mask AP of a model in evaluation mode, in [0, 1].

    Raises:
        InputError: if the loss is not finite, with the iteration.
    """
    keep_freed_memory()
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(derive_seed(seed, "weights"))
    config = recipe.config()
    model = MobileInst(config).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(recipe, model)
    losses_of = Losses(config, recipe.query_passing)
    progress = Progress(identity)
    if state_path.exists():
        resumed = load_state(state_path, identity, model, optimizer)
        progress = resumed or progress
        say(
            f"resuming at iteration {progress.iteration}"
            if resumed
            else f"{state_path.name} is of another run: ignored"
        )
    evaluate_at = {round(recipe.iterations * (n + 1) / recipe.evaluations) for n in range(recipe.evaluations)}
    record_every = max(1, recipe.iterations // CURVE_POINTS)
    mask_ap: float | None = None
    with stop_requests() as stop_requested, track(f"train seed {seed}", recipe.iterations, progress.iteration) as step:
        model.train()
        started = time.monotonic() - progress.elapsed_s
        for iteration in range(progress.iteration, recipe.iterations):
            torch.manual_seed(derive_seed(seed, f"drop path/{iteration}"))
            for group in optimizer.param_groups:
                group["lr"] = group["base_rate"] * learning_rate_factor(recipe, iteration)
            batch = draw_batch(recipe, videos, seed, iteration)
            losses = losses_of(model, batch, recipe.trains_on_pairs(iteration))
            total = torch.stack(list(losses.values())).sum()
            if not torch.isfinite(total):
                raise InputError(
                    f"training seed {seed}: loss is {float(total)} at iteration {iteration}; lower learning_rate"
                )
            optimizer.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
            optimizer.step()
            done = iteration + 1
            if done in evaluate_at:
                mask_ap = evaluate(model.eval(), config)
                model.train()
            if done in evaluate_at or done % record_every == 0:
                progress.curve.append(curve_row(done, losses, mask_ap if done in evaluate_at else None))
            progress.iteration, progress.elapsed_s = done, time.monotonic() - started
            if stop_requested() or done % recipe.checkpoint_every == 0:
                save_state(state_path, progress, model, optimizer)
            if stop_requested():
                say(f"stopped after iteration {done}; the same command resumes there")
                raise KeyboardInterrupt
            shown_loss = curve_row(done, losses, None)[1]
            step(f"loss {shown_loss:.2f}" + (f" AP {100 * mask_ap:.1f}" if mask_ap is not None else ""))
    return TrainResult(model.eval(), config, progress.curve, progress.elapsed_s)
